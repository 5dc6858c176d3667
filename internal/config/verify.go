package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"uwsgi/internal/option"
)

// verify looks at settings that only make sense together.
func (r *reader) verify(s *option.Settings) {
	at := func(name string) *pair {
		row, ok := option.Lookup(name)
		for i := len(r.pairs) - 1; ok && i >= 0; i-- {
			if other, found := option.Lookup(r.pairs[i].Key); found && other == row {
				return r.pairs[i]
			}
		}
		return &pair{Pair: Pair{Key: name}}
	}
	if s.Gevent > 0 {
		if s.Threads > 1 {
			r.doubt(at("threads"), "take one of the two out",
				fmt.Errorf("with gevent = %d a worker serves on one thread", s.Gevent))
			s.Threads = 1
		}
		s.SocketTimeout = max(s.SocketTimeout, geventTimeout)
	}
	if s.Cheaper > 0 && s.Cheaper >= s.Processes && !r.awaited["processes"] {
		r.problem(at("cheaper"), fmt.Sprintf("write processes = %d, the most workers there may be, or a smaller "+
			"number here", 2*s.Cheaper),
			fmt.Errorf("cheaper is the least number of workers and must be below processes, which is %d", s.Processes))
	}
	if s.Cheaper > 0 && s.CheaperInitial > s.Processes {
		r.doubt(at("cheaper-initial"), "", fmt.Errorf("more than processes; %d are started", s.Processes))
		s.CheaperInitial = s.Processes
	}
	if s.Cheaper > 0 && s.CheaperInitial > 0 && s.CheaperInitial < s.Cheaper {
		r.doubt(at("cheaper-initial"), "", fmt.Errorf("less than cheaper; %d are started", s.Cheaper))
		s.CheaperInitial = s.Cheaper
	}
	if s.MaxWorkerLifetime > 0 && s.MaxWorkerLifetime <= s.MinWorkerLifetime {
		r.problem(at("max-worker-lifetime"), "write a larger number, or a smaller min-worker-lifetime",
			fmt.Errorf("it must be above min-worker-lifetime, which is %v", s.MinWorkerLifetime))
	}
	if b := s.Busyness; b.Max <= b.Min {
		r.doubt(at("cheaper-busyness-max"), "", fmt.Errorf("it should be above cheaper-busyness-min, which is %d",
			b.Min))
	}
	if n := len(s.Spoolers); n > 0 && s.Spoolers[n-1].Processes != s.SpoolerProcesses {
		r.doubt(at("spooler-processes"), "write it before spooler",
			errors.New("it counts for the spoolers that are named after it, and there are none"))
	}
	for _, f := range s.Farms {
		if n := f.Lacking(s); n > 0 {
			r.problem(at("farm"), "write mules = "+strconv.Itoa(n),
				fmt.Errorf("farm %s: there is no mule %d", f.Name, n))
		}
	}
	r.verifyAlarms(s, at)
	r.verifyThresholds(s)
	r.verifyCacheItems(s)
	beside := len(s.Mules) + len(s.Spoolers)
	if len(s.Sockets) == 0 {
		beside += len(s.Crons) + len(s.Daemons)
	}
	if len(s.Apps) == 0 && beside > 0 && !slices.Contains(r.pairs, at("need-app")) {
		s.NeedApp = false // what runs beside workers is what it is for
	}
	r.verifySockets(s)
	r.verifyProxyProtocol(s)
	s.LogRoutes = r.verifyRoutes("log-route", "logger", s.LogRoutes, s.Loggers)
	s.LogReqRoutes = r.verifyRoutes("log-req-route", "req-logger", s.LogReqRoutes, s.ReqLoggers)
	r.noteIdle(s)
	r.verifyRefused(s)
}

// verifyRefused finds what is refused and asks for nothing, seen beside the rest.
func (r *reader) verifyRefused(s *option.Settings) {
	for i := range r.findings {
		f := &r.findings[i]
		if f.Standing != option.Refused.String() || f.Fatal {
			continue
		}
		note := ""
		switch f.Option {
		case "http-to":
			if ownSocket(s, f.Value) {
				note = "it is a socket of this instance: http serves the application itself"
			}
		case "vhost", "vhosthost", "vhost-host":
			if len(s.Apps) <= 1 {
				note = "there is one application, whatever Host says"
			}
		}
		if note != "" {
			f.Standing, f.Note = option.NotNeeded.String(), note
		}
	}
}

// ownSocket reports whether who connects to an address reaches a socket of these settings.
func ownSocket(s *option.Settings, address string) bool {
	host, port, tcp := cutLast(address, ":")
	return slices.ContainsFunc(s.Sockets, func(k option.Socket) bool {
		if h, p, ok := cutLast(k.Address, ":"); tcp && ok {
			return p == port && (h == host || (h == "" || h == "0.0.0.0") && slices.Contains(here, host))
		}
		return k.Address == address
	})
}

// here are the names of this machine that everybody uses.
var here = []string{"", "0.0.0.0", "127.0.0.1", "localhost"}

func cutLast(s, separator string) (before, after string, ok bool) {
	at := strings.LastIndex(s, separator)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(separator):], true
}

// verifyAlarms finds names of alarms that are not there. uWSGI does not mind with two of the
// options.
func (r *reader) verifyAlarms(s *option.Settings, at func(string) *pair) {
	hint := func(name string) (string, error) {
		return "write alarm = " + name + " cmd:COMMAND", fmt.Errorf("there is no alarm named %q", name)
	}
	for _, k := range s.AlarmLogs {
		for _, name := range k.Alarms {
			if !s.HasAlarm(name) {
				what := "log-alarm"
				if k.Not {
					what = "not-log-alarm"
				}
				text, err := hint(name)
				r.problem(at(what), text, err)
			}
		}
	}
	for _, k := range s.AlarmFDs {
		if !s.HasAlarm(k.Alarm) {
			text, err := hint(k.Alarm)
			r.problem(at("alarm-fd"), text, err)
		}
	}
	for what, names := range map[string][]string{"alarm-segfault": s.AlarmSegfault, "alarm-backlog": s.AlarmBacklog} {
		for _, name := range names {
			if !s.HasAlarm(name) {
				text, err := hint(name)
				r.doubt(at(what), text, err)
			}
		}
	}
}

// verifyThresholds finds thresholds of metrics, and with alarms, that are not there: uWSGI does not
// mind the second.
func (r *reader) verifyThresholds(s *option.Settings) {
	for i := range s.MetricThresholds {
		t := &s.MetricThresholds[i]
		at := slices.IndexFunc(r.pairs, func(p *pair) bool {
			row, ok := option.Lookup(p.Key)
			return ok && row.Name == "metric-threshold" && p.Origin == t.Origin && strings.Contains(p.Value, t.Metric)
		})
		switch {
		case at < 0:
		case !s.HasMetric(t.Metric):
			r.problem(r.pairs[at], "write metric = "+t.Metric, fmt.Errorf("there is no metric %q", t.Metric))
		case t.Alarm != "" && !s.HasAlarm(t.Alarm):
			r.doubt(r.pairs[at], "write alarm = "+t.Alarm+" cmd:COMMAND",
				fmt.Errorf("there is no alarm named %q", t.Alarm))
		}
	}
}

// verifyCacheItems finds items for caches that are not there.
func (r *reader) verifyCacheItems(s *option.Settings) {
	for _, p := range r.pairs {
		row, ok := option.Lookup(p.Key)
		if !ok {
			continue
		}
		head := p.Value
		switch row.Name {
		case "add-cache-item":
			head, _, ok = strings.Cut(head, "=")
		case "load-file-in-cache", "load-file-in-cache-gzip":
		default:
			ok = false
		}
		name, _, _ := cutLast(head, " ")
		named := strings.Contains(head, " ")
		switch {
		case !ok || head == "":
		case len(s.Caches) == 0:
			r.doubt(p, "write cache2 = name=main,items=100", errors.New("there is no cache to put it into"))
		case named && !slices.ContainsFunc(s.Caches, func(c option.Cache) bool { return c.Name == name }):
			r.doubt(p, "write cache2 = name="+name+",items=100", fmt.Errorf("there is no cache named %q", name))
		}
	}
}

// verifyProxyProtocol ends the start where the option would do something in uWSGI: HTTP connections
// then begin with a line that is no request. http-enable-proxy-protocol is its router's, and does
// nothing for http-socket.
func (r *reader) verifyProxyProtocol(s *option.Settings) {
	for i := range r.findings {
		f := &r.findings[i]
		if f.Option != "enable-proxy-protocol" && f.Option != "http-enable-proxy-protocol" ||
			f.Standing != option.Refused.String() {
			continue
		}
		if !slices.ContainsFunc(s.Sockets, func(k option.Socket) bool {
			http := k.Protocol == "http" || k.Protocol == "" && s.Protocol == "http"
			return http && (f.Option == "enable-proxy-protocol" || k.Option == "http" || k.Option == "httprouter")
		}) {
			f.Standing, f.Note = option.NotNeeded.String(), "no socket here would use it"
			continue
		}
		for _, p := range r.pairs {
			if p.Key == f.Option && p.Origin.File == f.File && p.Origin.Line == f.Line {
				hint := f.Note
				r.findings = slices.Delete(r.findings, i, i+1)
				r.problem(p, hint, errors.New("refused, since going on without it would be wrong"))
				return
			}
		}
	}
}

// verifyRoutes leaves out the log routes whose loggers are not there, as uWSGI does.
func (r *reader) verifyRoutes(name, logger string, routes []option.LogRoute,
	loggers []option.Logger) (kept []option.LogRoute) {
	for _, route := range routes {
		if slices.ContainsFunc(loggers, func(l option.Logger) bool { return l.ID == route.ID }) {
			kept = append(kept, route)
			continue
		}
		for _, p := range r.pairs {
			if first, _, _ := strings.Cut(strings.TrimSpace(p.Value), " "); p.Key == name && first == route.ID {
				r.doubt(p, "write "+logger+" = "+route.ID+" file:/path",
					fmt.Errorf("there is no logger named %s; the line is left out", route.ID))
				break
			}
		}
	}
	return kept
}

// geventTimeout is the least socket-timeout that uWSGI has with gevent.
const geventTimeout = 30 * time.Second

// noteIdle tells of permissions of unix sockets where there are none.
func (r *reader) noteIdle(s *option.Settings) {
	for _, k := range s.Sockets {
		if unixSocket(k.Address) {
			return
		}
	}
	if len(s.Stats) > 0 || len(s.Sockets) == 0 {
		return // systemd's sockets are not known here
	}
	for i := range r.findings {
		f := &r.findings[i]
		switch f.Option {
		case "chmod-socket", "chmod", "chown-socket":
			f.Note = join(f.Note, "there is no unix socket it could change")
		}
	}
}

func unixSocket(address string) bool {
	return !strings.Contains(address, ":") && !strings.HasPrefix(address, "@") && !strings.HasPrefix(address, "=")
}

// canonical makes the ways to write "all addresses" alike.
func canonical(address string) string {
	if port, ok := strings.CutPrefix(address, "0.0.0.0:"); ok {
		return ":" + port
	}
	return address
}

// verifySockets finds one address asked for twice, and references to shared sockets that are not
// there.
func (r *reader) verifySockets(s *option.Settings) {
	shared := 0
	for _, k := range s.Sockets {
		if k.Shared {
			shared++
		}
	}
	where := map[string]option.Socket{}
	var kept []option.Socket
	for _, k := range s.Sockets {
		p := &pair{Pair: Pair{Key: k.Option, Value: k.Address, Given: true, Origin: k.Origin}}
		proto := k.Protocol
		if proto == "" {
			proto = s.Protocol
		}
		if n, ok := sharedNumber(k.Address); ok {
			if n >= shared {
				r.problem(p, "write shared-socket = ADDRESS above it, or the address itself",
					fmt.Errorf("there is no shared socket number %d", n))
			}
			kept = append(kept, k)
			continue
		}
		before, twice := where[canonical(k.Address)]
		where[canonical(k.Address)] = k
		if !twice {
			kept = append(kept, k)
			continue
		}
		other := before.Protocol
		if other == "" {
			other = s.Protocol
		}
		if other != proto {
			r.problem(p, "give one of the two another address, or take it out",
				fmt.Errorf("%s wants this address too, with the protocol %s", before.Option, other))
			continue
		}
		r.doubt(p, "take one of the lines out", errors.New("the address stands twice; it is bound once"))
	}
	s.Sockets = kept
}

// sharedNumber reads "=N".
func sharedNumber(address string) (int, bool) {
	if len(address) < 2 || address[0] != '=' {
		return 0, false
	}
	return int(min(atoi(address[1:]), 1<<20)), true
}
