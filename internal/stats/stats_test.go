package stats

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"uwsgi/internal/testlog"
)

func sample() Snapshot {
	s := Snapshot{
		Locks:      Locks([]int{0}),
		Generation: 3, Reloads: 1,
		LastReload: &Reload{At: 3000, Took: 2e6, Reason: "SIGHUP", Error: "no \"app\""},
		Version:    "3.0", PID: 10, UID: 33, GID: 34, CWD: `/srv/"q"`,
		Workers: []Worker{{
			ID: 1, PID: 11, Accepting: true, Requests: 7, Delta: 3, Exceptions: 1, Harakiris: 2, Status: "busy",
			RSS: 1 << 20, VSZ: 2 << 20, Running: 1500, AvgRT: 250, LastSpawn: 1000, Spawns: 1, TX: 99,
			Generation: 3, Connections: 4, InFlight: 3, Websockets: 2, LoopLag: 1500, Refused: 5, LogLost: 6,
			Apps: []App{{Mountpoint: "", Startup: 2, Requests: 7, Chdir: "", Interface: "asgi"}},
			Cores: []Core{{Requests: 7, Exceptions: 1, Busy: true, Vars: Vars("1.2.3.4 GET /a\"\xff\x01b c"),
				Request: Request{Since: 2000}}, {ID: 1, Vars: []string{}}},
		}, {ID: 2, Status: "cheap"}},
		Daemons: []Daemon{{Command: "redis", PID: 5, Respawns: 1}},
		Crons:   []Cron{{Minute: -1, Hour: 3, Day: -1, Month: -1, Week: -1, Command: "true", Unique: true, PID: -1}},
	}
	s.SetSockets([]Socket{{Name: ":8000", Proto: "http", Queue: 1, MaxQueue: 100},
		{Name: "/run/x", Proto: "uwsgi", Queue: 5, MaxQueue: 128, Shared: true}})
	return s
}

func TestStatsGolden(t *testing.T) {
	golden := filepath.Join("testdata", "stats.json")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := sample().JSON(false, false)
	if string(got) != string(want) {
		t.Errorf("differs from %s:\n%s", golden, got)
	}
	if !utf8.Valid(got) || !json.Valid(got) {
		t.Error("not valid JSON in UTF-8")
	}
	min := sample().JSON(true, true)
	if strings.Count(string(min), "\n") != 1 || strings.Contains(string(min), `"cores"`) {
		t.Errorf("minified: %s", min)
	}
}

// TestPrometheusGolden; promtool and prometheus_client take what is there.
func TestPrometheusGolden(t *testing.T) {
	s := sample()
	s.Caches = []Cache{{Name: "main", CacheTable: &CacheTable{MaxItems: 10, Items: 3}, Hits: 5, Misses: 6, Full: 7},
		{Name: "far", URL: "redis://h", Hits: 8, Misses: 9, Failed: 1}}
	s.Mules = []Mule{{ID: 1, RSS: 5, Spawns: 2}}
	s.Metrics = Metrics{{Name: "worker.1.requests", Value: 7, BuiltIn: true}, {Name: "jobs.done", Value: -1},
		{Name: "jobs-open", Kind: Gauge, Value: 1 << 60}, {Name: "jobs_open", Kind: Gauge}}
	golden := filepath.Join("testdata", "stats.prom")
	want, err := os.ReadFile(golden)
	if got := s.Prometheus(false); err != nil || string(got) != string(want) {
		t.Errorf("differs from %s (%v):\n%s", golden, err, got)
	}
	if got := string(s.Prometheus(true)); strings.Contains(got, "_core_") ||
		!strings.Contains(got, "uwsgi_workers 2\n") {
		t.Errorf("without cores: %s", got)
	}
}

// TestUwsgitopKeys checks what uwsgitop and the exporters read: logs-stats.md §5.
func TestUwsgitopKeys(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(sample().JSON(true, false), &doc); err != nil {
		t.Fatal(err)
	}
	need := func(m map[string]any, keys string) {
		t.Helper()
		for _, k := range strings.Fields(keys) {
			if _, ok := m[k]; !ok {
				t.Errorf("no key %q", k)
			}
		}
	}
	need(doc, "version listen_queue listen_queue_errors signal_queue load pid uid gid cwd locks sockets workers")
	for _, w := range doc["workers"].([]any) {
		need(w.(map[string]any), "id pid accepting requests delta_requests exceptions harakiri_count signals "+
			"signal_queue status rss vsz running_time last_spawn respawn_count tx avg_rt apps")
	}
	need(doc["sockets"].([]any)[0].(map[string]any), "name proto queue max_queue shared can_offload")
	core := doc["workers"].([]any)[0].(map[string]any)["cores"].([]any)[0].(map[string]any)
	need(core, "id requests static_requests routed_requests offloaded_requests write_errors read_errors "+
		"in_request vars req_info")
	if doc["listen_queue"] != 5.0 {
		t.Error("listen_queue is not the longest queue")
	}
}

func fetch(t *testing.T, network, address, request string) string {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, request)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStatsServer(t *testing.T) {
	path := filepath.Join(testlog.ShortDir(t), "stats")
	log := testlog.New()
	for _, c := range []struct {
		network, address string
		opts             Options
		request, begins  string
	}{
		{"tcp", "127.0.0.1:0", Options{}, "", "{\n\t\"version\": \"3.0\","},
		{"unix", path, Options{Minified: true, Remove: os.Remove}, "", `{"version":"3.0",`},
		{"unix", fmt.Sprintf("@uwsgi-stats-test-%d", os.Getpid()), Options{}, "", "{"},
		{"tcp", "127.0.0.1:0", Options{HTTP: true, Minified: true}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\r\n{\"version\""},
		{"tcp", "127.0.0.1:0", Options{HTTP: true, Prometheus: "/metrics"}, "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
			"HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain; " +
				"version=0.0.4; charset=utf-8\r\n\r\n# HELP uwsgi_listen_queue_length"},
		{"tcp", "127.0.0.1:0", Options{HTTP: true, Prometheus: "/metrics"}, "GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json"},
	} {
		l, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		at := ""
		if c.address == path {
			at = path
			l.(*net.UnixListener).SetUnlinkOnClose(false)
		}
		s := Serve(l, c.address, at, c.opts, sample, log.Add)
		idle, err := net.Dial(c.network, s.Addr().String()) // a client that says nothing holds nobody up
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got := fetch(t, c.network, s.Addr().String(), c.request); !strings.HasPrefix(got, c.begins) {
				t.Errorf("%s: %.120q", c.address, got)
			}
		}
		if err := s.Close(log.Add); err != nil {
			t.Error(err)
		}
		idle.Close()
	}
	if _, err := os.Lstat(path); err == nil || log.Count("VACUUM: unix socket "+path+" (stats) removed.") != 1 {
		t.Errorf("%v\n%s", err, log)
	}
	log.Wait("*** Stats server enabled on 127.0.0.1:0 fd: ")
}

// pipes is a listener whose connections are read piece by piece as they were written.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestStatsRequestInPieces: a request need not come whole.
func TestStatsRequestInPieces(t *testing.T) {
	log, l := testlog.New(), make(pipes)
	s := Serve(l, "pipe", "", Options{HTTP: true, Prometheus: "/metrics"}, sample, log.Add)
	client, server := net.Pipe()
	l <- server
	for _, piece := range []string{"GET /met", "rics HTTP/1.0\r\n\r\n"} {
		if _, err := client.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 4096)
	n, err := client.Read(got)
	if err != nil || !strings.Contains(string(got[:n]), "text/plain; version=") {
		t.Errorf("%v: %.200q", err, got[:n])
	}
	client.Close()
	if err := s.Close(log.Add); err != nil {
		t.Error(err)
	}
}
