package e2e

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// evaluator answers with what each line of the body gives; /early with what those of early.txt gave
// while it was imported, /hold works in a loop until its process is killed.
const evaluator = `
import os, uwsgi

def ask(text):
    try:
        return "%s: %r" % (text, eval(text))
    except Exception as exc:
        return "%s: %s: %s" % (text, type(exc).__name__, exc)

early = []
if os.path.exists("early.txt"):
    early = [ask(line) for line in open("early.txt").read().splitlines()]

def application(environ, start_response):
    start_response("200 OK", [])
    lines = environ["wsgi.input"].read().decode().splitlines()
    if environ["PATH_INFO"] == "/early":
        return ["\n".join(early).encode()]
    if environ["PATH_INFO"] == "/hold":
        work = compile(lines[0], "work", "eval")
        os.write(os.open("held", os.O_CREAT | os.O_WRONLY), str(os.getpid()).encode())
        while True:
            eval(work)
    return ["\n".join(ask(line) for line in lines).encode()]
`

// evaluate asks for what expressions give, a line each.
func evaluate(t *testing.T, addr string, expressions ...string) []string {
	t.Helper()
	a := harness.HTTP(t, addr).Do("POST", "/", strings.NewReader(strings.Join(expressions, "\n")))
	return strings.Split(a.Body, "\n")
}

// value is what one expression gives.
func value(t *testing.T, addr, expression string) string {
	t.Helper()
	return strings.TrimPrefix(evaluate(t, addr, expression)[0], expression+": ")
}

// startEvaluator starts a server with the evaluator.
func startEvaluator(t *testing.T, early string, args ...string) (*harness.Server, string) {
	t.Helper()
	s, addr := harness.New(t), harness.Addr(t)
	s.Setenv(harness.DebianPath)
	s.Write("app.py", evaluator)
	s.Write("early.txt", early)
	s.Start(append([]string{"--http-socket", addr, "--module", "app", "--master"}, args...)...)
	return s, addr
}

// answersAlike asks this server and the real uWSGI, where there is one, the same, and compares.
// Lines that differ on purpose are in differ, with what ours says.
func answersAlike(t *testing.T, args []string, early string, expressions []string, differ map[string]string) {
	t.Helper()
	s, addr := startEvaluator(t, early, args...)
	s.Tolerate(".")
	ours := append(strings.Split(harness.HTTP(t, addr).Get("/early").Body, "\n"), evaluate(t, addr, expressions...)...)
	for i, line := range ours {
		text, _, _ := strings.Cut(line, ": ")
		if said, ok := differ[text]; ok {
			if line != text+": "+said {
				t.Errorf("%s, not %s", line, said)
			}
			ours[i] = ""
		}
	}
	if _, err := exec.LookPath("uwsgi-core"); err != nil {
		t.Skip(err)
	}
	addr = harness.Addr(t)
	runOracle(t, s.Dir, append([]string{"--http-socket", addr, "--module", "app", "--master"}, args...))
	harness.Eventually(t, "the real uWSGI answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	theirs := append(strings.Split(harness.HTTP(t, addr).Get("/early").Body, "\n"),
		evaluate(t, addr, expressions...)...)
	for i, line := range ours {
		if line != "" && (i >= len(theirs) || line != theirs[i]) {
			t.Errorf("ours  %s\nuWSGI %s", line, theirs[min(i, len(theirs)-1)])
		}
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d answers, uWSGI has %d", len(ours), len(theirs))
	}
}

// killAtWork kills a worker at any instruction of what it does in shared memory, and waits for the
// next one.
func killAtWork(t *testing.T, s *harness.Server, addr, work string) {
	t.Helper()
	os.Remove(s.Path("held"))
	mark := s.Log.Mark()
	c := harness.Send(t, addr, "POST /hold HTTP/1.0\r\nContent-Length: "+strconv.Itoa(len(work))+"\r\n\r\n"+work)
	defer c.Close()
	pid := 0
	harness.Eventually(t, "a worker is at work", func() bool {
		text, _ := os.ReadFile(s.Path("held"))
		pid, _ = strconv.Atoi(string(text))
		return pid > 0
	})
	harness.Signal(t, pid, syscall.SIGKILL)
	s.Log.WaitFrom(t, mark, "^Respawned uWSGI worker")
}

// TestMetricsAnswer: every call answers as uWSGI's, which is asked the same.
func TestMetricsAnswer(t *testing.T) {
	t.Parallel()
	metrics := []string{"--metric", "foo", "--metric", "name=bar,type=gauge,oid=100.1,initial_value=7", "--metric",
		"name=al,type=alias,alias=foo", "--metric", "name=abs,type=absolute", "--metric", "name=sum,collector=sum,children=bar"}
	answersAlike(t, metrics, "uwsgi.metric_inc('foo')\nuwsgi.metric_get('foo')", []string{
		"uwsgi.metric_get('foo')", "uwsgi.metric_inc('foo', 5)", "uwsgi.metric_dec('foo', 2)", "uwsgi.metric_mul('foo', 10)",
		"uwsgi.metric_mul('foo')", "uwsgi.metric_div('foo', 3)", "uwsgi.metric_div('foo')", "uwsgi.metric_div('foo', 0)",
		"uwsgi.metric_get('foo')", "uwsgi.metric_set('foo', -7)", "uwsgi.metric_div('foo', 2)", "uwsgi.metric_get('foo')",
		"uwsgi.metric_set_max('foo', 5)", "uwsgi.metric_set_max('foo', 2)", "uwsgi.metric_get('foo')",
		"uwsgi.metric_set_min('foo', 1)", "uwsgi.metric_set_min('foo', 9)", "uwsgi.metric_get('foo')",
		"uwsgi.metric_get('al')", "uwsgi.metric_set('al', 3)", "uwsgi.metric_get('bar')", "uwsgi.metric_set('sum', 3)",
		"uwsgi.metric_get('nope')", "uwsgi.metric_set('nope', 1)", "uwsgi.metric_set_max('nope', 1)", "uwsgi.metric_get('')",
		"uwsgi.metric_get(b'foo')", "uwsgi.metric_get()", "uwsgi.metric_set()", "uwsgi.metric_get('foo', 1)",
		"uwsgi.metric_set('foo')", "uwsgi.metric_set('foo', 'x')", "uwsgi.metric_set('foo', 2**63)", "uwsgi.metric_get(None)",
		"uwsgi.metric_set('foo', 1.5)", "uwsgi.metric_inc('foo', 1, 2)", "uwsgi.metric_set('foo', 2**62)",
		"uwsgi.metric_mul('foo', 4)", "uwsgi.metric_get('foo')", "uwsgi.metric_set('foo', True)", "uwsgi.metric_get('foo')",
		"uwsgi.metric_set('worker.1.requests', 7)", "uwsgi.metric_get('foo\\0')", "uwsgi.metric_get('100.1')",
		"uwsgi.metric_set('abs', -2**63)", "uwsgi.metric_div('abs', 2)", "uwsgi.metric_get('abs')",
	}, nil)
}

// TestMetricsAbsent: without metrics the functions answer as uWSGI's do.
func TestMetricsAbsent(t *testing.T) {
	t.Parallel()
	answersAlike(t, nil, "", []string{"uwsgi.metric_get('foo')", "uwsgi.metric_set('foo', 1)",
		"uwsgi.metric_inc('foo')",
		"uwsgi.metric_set_min('foo', 1)"}, nil)
}

// metricsOf are those of the statistics.
func metricsOf(t *testing.T, addr string) map[string]struct {
	Type  int
	OID   string
	Value int64
} {
	t.Helper()
	var doc struct {
		Metrics map[string]struct {
			Type  int
			OID   string
			Value int64
		}
	}
	if err := json.Unmarshal([]byte(harness.HTTP(t, addr).Get("/").Body), &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Metrics
}

// TestMetricsAreUWSGIs: the statistics have the names, types and oids of uWSGI's.
func TestMetricsAreUWSGIs(t *testing.T) {
	t.Parallel()
	stats := harness.Addr(t)
	args := []string{"-p", "2", "--threads", "2", "--metric", "name=foo,type=gauge,oid=1.2", "--metric",
		"name=al,type=alias,alias=worker.1.requests", "--stats-http"}
	s, _ := startEvaluator(t, "", append(args, "--stats", stats)...)
	ours := metricsOf(t, stats)
	if _, err := exec.LookPath("uwsgi-core"); err != nil {
		t.Skip(err)
	}
	theirStats, addr := harness.Addr(t), harness.Addr(t)
	runOracle(t, s.Dir, append([]string{"--http-socket", addr, "--module", "app", "--master", "--stats", theirStats},
		args...))
	harness.Eventually(t, "the real uWSGI answers", func() bool {
		c, err := net.Dial("tcp", theirStats)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	theirs := metricsOf(t, theirStats)
	for name, m := range theirs {
		if o, ok := ours[name]; !ok || o.Type != m.Type || o.OID != m.OID {
			t.Errorf("%s: %v, of uWSGI %v", name, o, m)
		}
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d metrics, uWSGI has %d", len(ours), len(theirs))
	}
}

// TestMetricsLast: what is counted is all there, in the statistics and in the files, after kills
// and reloads, one of which has other metrics.
func TestMetricsLast(t *testing.T) {
	t.Parallel()
	s, addr, stats := harness.New(t), harness.Addr(t), harness.Addr(t)
	s.Allow(`^DAMN ! worker \d`)
	s.Setenv(harness.DebianPath)
	s.Write("app.py", evaluator)
	s.Write("files/.keep", "")
	config := "[uwsgi]\nhttp-socket = " + addr + "\nmodule = app\nmaster = true\nprocesses = 3\nmetric = count\n" +
		"metric = work\nmetric = name=twice,collector=multiplier,children=count,arg1n=2\nmetrics-dir = " + s.Path("files") +
		"\nstats = " + stats + "\nstats-http = true\n"
	s.Start(s.Write("uwsgi.ini", config))
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for range 20 {
				evaluate(t, addr, "uwsgi.metric_inc('count')")
			}
		})
	}
	killAtWork(t, s, addr, "uwsgi.metric_inc('work')")
	all.Wait()
	check := func(when string) {
		t.Helper()
		if n := value(t, addr, "uwsgi.metric_get('count')"); n != "120" {
			t.Errorf("%s 120 times counted: %s", when, n)
		}
		m := metricsOf(t, stats)
		harness.Eventually(t, "the requests are counted", func() bool {
			m = metricsOf(t, stats)
			return m["worker.0.requests"].Value >= 120
		})
		if m["count"].Value != 120 || m["work"].Value == 0 {
			t.Errorf("%s the statistics say %v", when, m)
		}
		if text := harness.HTTP(t, stats).Get("/metrics").Body; !strings.Contains(text, "\nuwsgi_metric_count 120\n") {
			t.Errorf("%s Prometheus reads %s", when, text)
		}
	}
	check("after a kill")
	for name, want := range map[string]string{"count": "120\n", "twice": "240\n"} {
		harness.Eventually(t, "the file of "+name+" says so", func() bool {
			text, _ := os.ReadFile(s.Path("files/" + name))
			return string(text) == want
		})
	}
	s.Reload()
	check("after a reload")
	s.Write("uwsgi.ini", config+"metric = another\n")
	s.Reload()
	check("after a reload with another metric")
	if n := value(t, addr, "uwsgi.metric_inc('another')"); n != "True" {
		t.Error(n)
	}
}

// TestMetricsRestored: an instance goes on from what the files say.
func TestMetricsRestored(t *testing.T) {
	t.Parallel()
	s, addr, stats := harness.New(t), harness.Addr(t), harness.Addr(t)
	s.Write("app.py", evaluator)
	s.Write("files/count", "41\n")
	s.Write("files/worker.0.requests", "1000\n\x00\x00") // as uWSGI leaves them
	s.Start("--http-socket", addr, "--module", "app", "--master", "--metric", "count", "--metrics-dir", s.Path("files"),
		"--metrics-dir-restore", "--stats", stats, "--stats-http")
	for range 2 {
		evaluate(t, addr, "uwsgi.metric_inc('count')")
		s.Reload()
	}
	m := metricsOf(t, stats)
	harness.Eventually(t, "two requests are counted", func() bool {
		m = metricsOf(t, stats)
		return m["worker.0.requests"].Value >= 1002
	})
	if m["count"].Value != 43 || m["worker.0.requests"].Value != 1002 {
		t.Errorf("%v, %v", m["count"], m["worker.0.requests"])
	}
}
