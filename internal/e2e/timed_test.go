package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestSignalOptions: the configuration raises signals, by time and by a touched file; the list and
// the statistics tell how each handler and command ended.
func TestSignalOptions(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import uwsgi
uwsgi.register_signal(17, "", lambda num: print("RAN", num, flush=True))
uwsgi.register_signal(18, "", lambda num: print("RAN", num, flush=True))

def fails(num):
    raise LookupError("of the handler")

uwsgi.register_signal(19, "mule", fails)

def application(environ, start_response):
    uwsgi.signal(19)
    start_response("200 OK", [])
    return [b"raised"]
`)
	s.Tolerate(`LookupError: of the handler`)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--signal-timer", "17 1", "--touch-signal", "watched 18",
		"--mule", "--stats", s.Path("stats"), "--cron", "-1 -1 -1 -1 -1 exit 3")
	s.Log.Wait(t, `^RAN 17$`)
	harness.Eventually(t, "the touched file raises its signal", func() bool {
		s.Write("watched", strings.Repeat("x", s.Log.Count(`.`)))
		return s.Log.Count(`^RAN 18$`) > 0
	})
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "raised" {
		t.Error(a.Line)
	}
	s.Log.Wait(t, `^LookupError: of the handler`)
	s.Log.Wait(t, `^\[uwsgi-cron\] command "exit 3" running with pid \d+ exited`)
	var out string
	harness.Eventually(t, "the list tells how each ended", func() bool {
		b, err := s.Command("list").CombinedOutput()
		out = string(b)
		return err == nil && holdsLine(out, s.Dir, "signal 17: timer 1s", " ok ") &&
			holdsLine(out, s.Dir, "signal 18: filemon "+s.Path("watched"), " ok ") &&
			holdsLine(out, s.Dir, "signal 19 in mule", " LookupError ") &&
			holdsLine(out, s.Dir, "cron -1 -1 -1 -1 -1 exit 3", " exited with status 3 ")
	})
	if t.Failed() {
		t.Log(out)
	}
	doc := statsOf(t, s.Path("stats"))
	if cron := doc["crons"].([]any)[0].(map[string]any); cron["failures"].(float64) < 1 {
		t.Error(cron)
	}
	if worker := doc["workers"].([]any)[0].(map[string]any); worker["signals"].(float64) < 2 {
		t.Error(worker)
	}
}

// holdsLine reports whether a line of the text has all the parts.
func holdsLine(text string, parts ...string) bool {
next:
	for line := range strings.Lines(text) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		return true
	}
	return false
}
