package stats

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// PrometheusType is the media type of what Prometheus gives.
const PrometheusType = "text/plain; version=0.0.4; charset=utf-8"

// page is a page of Prometheus's text format 0.0.4: families of samples, in the order in which they
// are first named.
type page struct {
	order    []string
	families map[string]*bytes.Buffer
}

// add adds a sample; labels are names and values by turns. What ends in _total is a counter.
func (p *page) add(name, help string, value float64, labels ...string) {
	kind := "gauge"
	if strings.HasSuffix(name, "_total") {
		kind = "counter"
	}
	p.sample(name, kind, help, strconv.FormatFloat(value, 'f', -1, 64), labels...)
}

func (p *page) sample(name, kind, help, value string, labels ...string) {
	b := p.families[name]
	if b == nil {
		b = &bytes.Buffer{}
		p.families[name], p.order = b, append(p.order, name)
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(b, `%s="%s"`, labels[i], labelEscape.Replace(labels[i+1]))
	}
	if len(labels) > 1 {
		b.WriteByte('}')
	}
	b.WriteString(" " + value + "\n")
}

var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Prometheus is the snapshot in Prometheus's text format, with the names of uwsgi_exporter; a
// metric of the configuration is uwsgi_metric_NAME.
func (s Snapshot) Prometheus(noCores bool) []byte {
	p := &page{families: map[string]*bytes.Buffer{}}
	p.add("uwsgi_listen_queue_length", "Connections that wait in the longest queue.", float64(s.Queue))
	p.add("uwsgi_listen_queue_errors", "Always 0, as in uWSGI.", float64(s.QueueErrors))
	p.add("uwsgi_signal_queue_length", "Signals that wait.", float64(s.SignalQueue))
	p.add("uwsgi_workers", "Workers.", float64(len(s.Workers)))
	p.add("uwsgi_reloads_total", "Reloads that succeeded.", float64(s.Reloads))
	seen := map[[2]string]bool{}
	for i := range s.Sockets {
		sock := &s.Sockets[i]
		if key := [2]string{sock.Name, sock.Proto}; !seen[key] {
			seen[key] = true
			sock.prometheus(p)
		}
	}
	for i := range s.Workers {
		s.Workers[i].prometheus(p, noCores)
	}
	for i := range s.Mules {
		m := &s.Mules[i]
		id := strconv.Itoa(m.ID)
		p.add("uwsgi_mule_rss_bytes", "Resident memory.", float64(m.RSS), "mule_id", id)
		p.add("uwsgi_mule_respawn_count_total", "Processes that were started.", float64(m.Spawns), "mule_id", id)
	}
	for i := range s.Caches {
		s.Caches[i].prometheus(p)
	}
	for i := range s.Metrics {
		s.Metrics[i].prometheus(p)
	}
	var out bytes.Buffer
	for _, name := range p.order {
		out.Write(p.families[name].Bytes())
	}
	return out.Bytes()
}

func (s *Socket) prometheus(p *page) {
	labels := []string{"name", s.Name, "proto", s.Proto}
	p.add("uwsgi_socket_queue_length", "Connections that wait.", float64(s.Queue), labels...)
	p.add("uwsgi_socket_max_queue_length", "Connections that may wait.", float64(s.MaxQueue), labels...)
	p.add("uwsgi_socket_shared", "Whether it is a shared socket.", one(bool(s.Shared)), labels...)
	p.add("uwsgi_socket_can_offload", "Whether it can offload.", float64(s.CanOffload), labels...)
}

func (w *Worker) prometheus(p *page, noCores bool) {
	id := []string{"worker_id", strconv.Itoa(w.ID)}
	add := func(name, help string, value float64) { p.add("uwsgi_worker_"+name, help, value, id...) }
	add("accepting", "Whether it takes connections.", one(bool(w.Accepting)))
	add("delta_requests", "Requests of its process.", float64(w.Delta))
	add("signal_queue_length", "Signals that wait.", float64(w.SignalQueue))
	add("rss_bytes", "Resident memory.", float64(w.RSS))
	add("vsz_bytes", "Address space.", float64(w.VSZ))
	add("running_time_seconds", "Time spent in requests.", float64(w.Running)/1e6)
	add("last_spawn_time_seconds", "When its process began.", float64(w.LastSpawn))
	add("average_response_time_seconds", "Average time of a response.", float64(w.AvgRT)/1e6)
	for _, state := range []string{"busy", "idle", "cheap"} {
		add(state, "Whether it is "+state+".", one(w.Status == state))
	}
	add("requests_total", "Requests.", float64(w.Requests))
	add("exceptions_total", "Exceptions.", float64(w.Exceptions))
	add("harakiri_count_total", "Processes killed by harakiri.", float64(w.Harakiris))
	add("signals_total", "Signals handled.", float64(w.Signals))
	add("respawn_count_total", "Processes that were started.", float64(w.Spawns))
	add("transmitted_bytes_total", "Bytes sent.", float64(w.TX))
	add("refused_total", "Connections answered 503.", float64(w.Refused))
	add("connections", "Connections that are open.", float64(w.Connections))
	add("in_flight", "Requests in hand.", float64(w.InFlight))
	add("apps", "Applications.", float64(len(w.Apps)))
	for i := range w.Apps {
		a := &w.Apps[i]
		labels := append(id, "app_id", strconv.Itoa(a.ID), "mountpoint", a.Mountpoint, "chdir", a.Chdir)
		p.add("uwsgi_worker_app_startup_time_seconds", "How long it took to load.", float64(a.Startup), labels...)
		p.add("uwsgi_worker_app_requests_total", "Requests.", float64(a.Requests), labels...)
		p.add("uwsgi_worker_app_exceptions_total", "Exceptions.", float64(a.Exceptions), labels...)
	}
	add("cores", "Requests that it may have in hand at a time.", float64(len(w.Cores)))
	for i := range w.Cores {
		if !noCores {
			w.Cores[i].prometheus(p, id)
		}
	}
}

func (c *Core) prometheus(p *page, worker []string) {
	labels := append(worker, "core_id", strconv.Itoa(c.ID))
	add := func(name, help string, value float64) { p.add("uwsgi_worker_core_"+name, help, value, labels...) }
	add("busy", "Whether it has a request in hand.", one(bool(c.Busy)))
	add("requests_total", "Requests.", float64(c.Requests))
	add("static_requests_total", "Requests for static files.", float64(c.Static))
	add("routed_requests_total", "Requests that were routed.", float64(c.Routed))
	add("offloaded_requests_total", "Requests that were offloaded.", float64(c.Offloaded))
	add("write_errors_total", "Errors while writing.", float64(c.WriteErrs))
	add("read_errors_total", "Errors while reading.", float64(c.ReadErrs))
}

func (c *Cache) prometheus(p *page) {
	count := func(name, help string, n int64) { // of the exporter's, which does not call them _total
		p.sample("uwsgi_cache_"+name, "counter", help, strconv.FormatInt(n, 10), "name", c.Name)
	}
	count("hits", "Items that were found.", c.Hits)
	count("misses", "Items that were not found.", c.Misses)
	count("full", "How often there was no place.", c.Full)
	if t := c.CacheTable; t != nil {
		p.add("uwsgi_cache_items", "Items.", float64(t.Items), "name", c.Name)
		p.add("uwsgi_cache_max_items", "Items that it has room for, and one.", float64(t.MaxItems), "name", c.Name)
	} else {
		p.add("uwsgi_cache_failed_total", "Calls that Redis did not answer, or refused.",
			float64(c.Failed), "name", c.Name)
	}
}

// prometheus shows a metric of the configuration. Those of the server are there already, under
// uwsgi_exporter's names.
func (m *Metric) prometheus(p *page) {
	if m.BuiltIn {
		return
	}
	name, kind := "uwsgi_metric_"+strings.NewReplacer(".", "_", "-", "_").Replace(m.Name), "gauge"
	if _, taken := p.families[name]; taken {
		return // two names of uWSGI's that are one here
	}
	if m.Kind == Counter {
		kind = "counter"
	}
	p.sample(name, kind, "Metric "+m.Name+".", strconv.FormatInt(m.Value, 10))
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
