package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"uwsgi/internal/control"
	"uwsgi/internal/crash"
	"uwsgi/internal/escape"
	"uwsgi/internal/sd"
)

// listed is one instance as `uwsgi list` shows it.
type listed struct {
	name, state string
	pid         int
	memory      uint64 // bytes, 0 = unknown
	since       time.Time
	stats       *listedStats // nil: it does not answer
}

// listedStats is what the list reads of an instance's stats document.
type listedStats struct {
	CWD        string
	Sockets    []struct{ Name string }
	Stopping   bool
	LastReload struct{ Error string } `json:"last_reload"`
	Signals    []listedTimed
	Crons      []listedTimed
	Workers    []struct {
		Status      string
		PID         int
		Requests    int64
		Connections int64
		InFlight    int64 `json:"in_flight"`
		Websockets  int64
		LoopLag     int64 `json:"loop_lag"` // µs
		Refused     int64
		RSS         uint64
	}
}

const noUnit = "(no unit)"

const listTimeout = 5 * time.Second

// list shows every instance of this machine: the units of the service manager, and those that run
// without one.
func list(args []string, std Streams) int {
	asJSON := slices.Equal(args, []string{"--json"})
	if len(args) > 0 && !asJSON {
		fmt.Fprintln(std.Err, "usage: uwsgi list [--json]")
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var all []listed
	seen := map[int]bool{}
	for _, u := range systemUnits(ctx, std) {
		if strings.HasPrefix(u.Name, "uwsgi-unit@") || strings.HasPrefix(u.Name, "uwsgi-sockets@") {
			continue // they serve an instance's units
		}
		seen[u.MainPID] = true
		l := listed{name: u.Name, state: u.Active, pid: u.MainPID, memory: u.Memory, since: u.Since}
		if u.Active != "active" && u.Active != "reloading" && u.Result != "" && u.Result != "success" {
			l.state += " (" + u.Result + ")"
		}
		all = append(all, l)
	}
	for _, pid := range control.Instances() {
		if !seen[pid] {
			all = append(all, listed{name: noUnit, state: "active", pid: pid, since: startOf(pid)})
		}
	}
	if len(all) == 0 && !asJSON {
		fmt.Fprintln(std.Out, "no instance runs here")
		return exitOK
	}
	var asked sync.WaitGroup // together: one that does not answer takes no time from the others
	slots := make(chan struct{}, maxAsked)
	for i := range all {
		if l := &all[i]; l.pid > 0 {
			asked.Go(crash.Guarded(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				l.stats = askStats(ctx, l.pid)
			}))
		}
	}
	asked.Wait()
	nameFolders(all)
	if asJSON {
		summaries := []summary{}
		for _, l := range all {
			summaries = append(summaries, l.summary())
		}
		if err := json.NewEncoder(std.Out).Encode(summaries); err != nil {
			return complain(std.Err, err)
		}
		return exitOK
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INSTANCE\tSTATE\tPID\tWORKERS\tBUSY\tCONNS\tFLIGHT\tWS\tLAG\tREQUESTS\tREQ/S\t503S\tMEMORY\tSINCE")
	for _, l := range all {
		columns := l.summary().columns()
		for i, text := range columns { // some are what a process says of itself
			columns[i] = escape.String(text)
		}
		fmt.Fprintln(w, strings.Join(columns, "\t"))
	}
	w.Flush()
	listTimed(std, all)
	return exitOK
}

// listedTimed is what the list reads of a handler of a signal, or of a timed command.
type listedTimed struct {
	Signal  int
	Target  string
	Sources []string

	Minute, Hour, Day, Month, Week int
	Command                        string

	LastRun   int64 `json:"last_run"`   // of a handler
	StartedAt int64 `json:"started_at"` // of a command
	Took      int64 // µs
	Ended     string
	Runs      int64
	Failures  int64
}

// listTimed shows what runs at times: when it did so last, how long that took and how it ended.
func listTimed(std Streams, all []listed) {
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	head := "\nINSTANCE\tRUNS AT TIMES\tLAST\tTOOK\tENDED\tRUNS\tFAILED\n"
	for i := range all {
		l := &all[i]
		if l.stats == nil {
			continue
		}
		for _, j := range l.stats.Signals {
			what := fmt.Sprintf("signal %d", j.Signal)
			if j.Target != "" {
				what += " in " + j.Target
			}
			if len(j.Sources) > 0 {
				what += ": " + strings.Join(j.Sources, ", ")
			}
			head = l.timed(w, head, what, j.LastRun, j)
		}
		for _, j := range l.stats.Crons {
			head = l.timed(w, head, fmt.Sprintf("cron %d %d %d %d %d %s", j.Minute, j.Hour, j.Day, j.Month, j.Week,
				j.Command), j.StartedAt, j)
		}
	}
	w.Flush()
}

// timed writes one line, after the head where that is not written yet.
func (l *listed) timed(w io.Writer, head, what string, at int64, j listedTimed) string {
	last, took := "-", "-"
	if at > 0 {
		last = time.Unix(at, 0).Format("2006-01-02 15:04:05")
		took = (time.Duration(j.Took) * time.Microsecond).Round(time.Millisecond).String()
	}
	fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\t%s\t%d\t%d\n", head, escape.String(l.name), escape.String(what), last,
		took, escape.String(cmp.Or(j.Ended, "-")), j.Runs, j.Failures)
	return ""
}

// maxAsked is how many instances are asked at a time: the answers of hostile ones are not to fill
// the memory of root, who asks all.
const maxAsked = 32

// systemUnits are the services of the system's manager, and of the caller's own where he has one.
func systemUnits(ctx context.Context, std Streams) []sd.UnitState {
	if !sd.Booted() {
		return nil
	}
	var all []sd.UnitState
	bus, err := sd.ConnectBus(ctx)
	if err != nil {
		fmt.Fprintln(std.Err, "uwsgi: systemd cannot be asked:", err)
	} else {
		all = unitsOf(ctx, bus, std)
	}
	if os.Geteuid() != 0 {
		if bus, err := sd.ConnectUserBus(ctx); err == nil {
			all = append(all, unitsOf(ctx, bus, std)...)
		}
	}
	return all
}

func unitsOf(ctx context.Context, bus *sd.Bus, std Streams) []sd.UnitState {
	defer bus.Close()
	found, err := bus.ListUnits(ctx, "uwsgi@*.service", "uwsgi-*.service")
	if err != nil {
		fmt.Fprintln(std.Err, "uwsgi: systemd does not list its units:", err)
	}
	return found
}

func startOf(pid int) time.Time {
	st, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

func askStats(ctx context.Context, pid int) *listedStats {
	answer, err := control.Ask(ctx, pid, control.Request{Command: "stats"})
	if err != nil || !answer.OK {
		return nil
	}
	stats := &listedStats{}
	if json.Unmarshal([]byte(answer.Message), stats) != nil {
		return nil
	}
	return stats
}

// nameFolders names the instances without a unit: by where they run and, where several run there,
// by what they serve.
func nameFolders(all []listed) {
	there := map[string]int{}
	unnamed := func(l *listed) bool { return l.name == noUnit && l.stats != nil }
	for i := range all {
		if unnamed(&all[i]) {
			there[all[i].stats.CWD]++
		}
	}
	for i := range all {
		l := &all[i]
		if !unnamed(l) {
			continue
		}
		var serves []string
		for _, k := range l.stats.Sockets {
			serves = append(serves, k.Name)
		}
		l.name = l.stats.CWD
		if there[l.name] > 1 && len(serves) > 0 {
			l.name += " (" + strings.Join(serves, ", ") + ")"
		}
	}
}

// summary is one instance as `uwsgi list --json` writes it, in one array of all.
type summary struct {
	Instance   string `json:"instance"` // its unit; without one its folder, where several run in it with their sockets
	State      string `json:"state"`    // systemd's word for it; stopping; with "(reload failed)" behind it
	PID        int    `json:"pid"`
	Answers    bool   `json:"answers"`      // false: what follows, up to refused, is not known
	Workers    int    `json:"workers"`      // that live
	Slots      int    `json:"slots"`        // that may
	Busy       int    `json:"busy"`         // workers that can take no more
	Open       int64  `json:"connections"`  // open ones
	InFlight   int64  `json:"in_flight"`    // requests
	Websockets int64  `json:"websockets"`   // open ones
	LoopLag    int64  `json:"loop_lag_us"`  // of the slowest worker, in microseconds
	Requests   int64  `json:"requests"`     // since the start
	Refused    int64  `json:"refused"`      // answered 503 for want of a worker
	Memory     uint64 `json:"memory_bytes"` // 0 = not known
	Since      string `json:"since"`        // RFC 3339; "" = not known

	since time.Time
}

func (l *listed) summary() summary {
	out := summary{Instance: l.name, State: l.state, PID: l.pid, Memory: l.memory, since: l.since}
	if !l.since.IsZero() {
		out.Since = l.since.Format(time.RFC3339)
	}
	s := l.stats
	if s == nil {
		return out
	}
	var rss uint64
	for _, w := range s.Workers {
		if w.PID > 0 {
			out.Workers++
		}
		if w.Status == "busy" {
			out.Busy++
		}
		out.Requests += w.Requests
		out.Open += w.Connections
		out.Refused += w.Refused
		out.InFlight += w.InFlight
		out.Websockets += w.Websockets
		out.LoopLag = max(out.LoopLag, w.LoopLag)
		rss += w.RSS
	}
	out.Answers, out.Slots = true, len(s.Workers)
	if out.Memory == 0 {
		out.Memory = rss
	}
	if s.Stopping && out.State == "active" {
		out.State = "stopping"
	}
	if s.LastReload.Error != "" {
		out.State += " (reload failed)"
	}
	return out
}

// columns are those of the table.
func (s summary) columns() []string {
	out := []string{s.Instance, s.State, strconv.Itoa(s.PID), "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}
	if s.Answers {
		decimal := func(n int64) string { return strconv.FormatInt(n, 10) }
		copy(out[3:], []string{fmt.Sprintf("%d/%d", s.Workers, s.Slots), strconv.Itoa(s.Busy), decimal(s.Open),
			decimal(s.InFlight), decimal(s.Websockets), fmt.Sprintf("%.1fms", float64(s.LoopLag)/1000),
			decimal(s.Requests)})
		if up := time.Since(s.since).Seconds(); up > 0 && !s.since.IsZero() {
			out[10] = strconv.FormatFloat(float64(s.Requests)/up, 'f', 1, 64)
		}
		out[11] = decimal(s.Refused)
	}
	if s.Memory > 0 {
		out[12] = fmt.Sprintf("%dM", s.Memory>>20)
	}
	if !s.since.IsZero() {
		out[13] = s.since.Format("2006-01-02 15:04:05")
	}
	return out
}
