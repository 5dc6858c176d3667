package e2e

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// alarmsApp raises alarms; the answer is what the calls give.
const alarmsApp = `
import ctypes, sys
import uwsgi

def ask(*expressions):
    said = []
    for text in expressions:
        try:
            said.append("%s: %r" % (text, eval(text)))
        except Exception as exc:
            said.append("%s: %s%s" % (text, type(exc).__name__, "" if "takes" in str(exc) or "missing" in str(exc) else ": %s" % exc))
    return "\n".join(said)

uwsgi.register_signal(17, "", lambda n: print("the signal came", n, file=sys.stderr))

def application(environ, start_response):
    start_response("200 OK", [])
    path = environ["PATH_INFO"]
    if path == "/print":
        print(environ["QUERY_STRING"].replace("+", " "), file=sys.stderr, flush=True)
    elif path == "/crash":
        ctypes.string_at(0)
    elif path == "/jobs":
        uwsgi.metric_set("jobs", 3)
    elif path == "/raise":
        uwsgi.alarm("s", "x")
        uwsgi.alarm("wrong", "x")
        uwsgi.alarm("m", "for a mule")
    else:
        return [ask("uwsgi.alarm('a', 'hello')", "uwsgi.alarm(b'a', 'x')", "uwsgi.alarm('a', b'some bytes')", "uwsgi.alarm('a', bytearray(b'x'))",
            "uwsgi.alarm('a')", "uwsgi.alarm()", "uwsgi.alarm('a', 'x', 'y')", "uwsgi.alarm('nobody', 'x')", "uwsgi.alarm('a\\0', 'x')", "uwsgi.alarm('a', 5)",
            "uwsgi.alarm('a', None)", "uwsgi.alarm('a', memoryview(b'x'))", "uwsgi.alarm('a', '\\udc80')", "uwsgi.alarm('a', '\\xe9\\0')").encode()]
    return [b"done"]
`

// TestAlarms: what raises alarms and what they do, as in uWSGI, which is asked the same.
func TestAlarms(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", alarmsApp)
	s.Write("mule.py", `
import sys, uwsgi
while True:
    print("the mule got", uwsgi.mule_get_msg(), file=sys.stderr, flush=True)
`)
	s.Allow("!!! uWSGI process .* got Segmentation Fault !!!", "DAMN ! worker 1",
		"Fatal Python error: Segmentation fault")
	s.Tolerate(".*boom")
	s.LooseFDs() // the mule's come after it is ready
	args := []string{"--alarm", "a cmd:cat >> got; echo '<' >> got; echo boom of the command", "--alarm", "l log:see",
		"--not-log-alarm", "a skip this", "--log-alarm", "a,l boom", "--alarm-segfault", "a"}
	s.Start(append(args, "--http-socket", addr, "--module", "app", "-p", "1", "--alarm",
		"s signal:17", "--alarm", "m mule:1",
		"--mule=mule.py", "--alarm", "wrong cmd:exit 3", "--hook-master-start", "alarm:l of a hook", "--hook-accepting1",
		"alarm:l of a worker", "--metric", "jobs", "--metric-threshold", "key=jobs,value=3,alarm=l,msg=many jobs")...)
	site := harness.HTTP(t, addr)
	ours := site.Get("/").Body
	got := func(want string) {
		t.Helper()
		harness.Eventually(t, "an alarm with "+want, func() bool {
			b, _ := os.ReadFile(s.Path("got"))
			return strings.Contains("<\n"+string(b), want)
		})
	}
	got("<\nhello<\nsome bytes<\n\xc3\xa9\x00<\n")
	s.Log.Wait(t, `^.* - ALARM: see of a hook$`)
	s.Log.Wait(t, `^.* - ALARM: see of a worker$`)
	mark := s.Log.Mark()
	site.Get("/print?skip+this+boom")
	site.Get("/print?one+boom")
	s.Log.WaitFrom(t, mark, `^.* - ALARM: see one boom$`)
	got("<\none boom\n<\n")
	site.Get("/jobs")
	s.Log.WaitFrom(t, mark, `^.* - ALARM: see many jobs$`)
	site.Get("/raise")
	s.Log.WaitFrom(t, mark, `^the signal came 17$`)
	s.Log.WaitFrom(t, mark, `^\[uwsgi-alarm\] alarm wrong: command "exit 3" exited with non-zero code: 3$`)
	s.Log.WaitFrom(t, mark, `^the mule got b'for a mule'$`)
	site.Try("GET", "/crash", nil)
	got("Segmentation Fault")
	if b, _ := os.ReadFile(s.Path("got")); strings.Contains(string(b), "skip this") ||
		strings.Contains(string(b), "of the command") {
		t.Errorf("%s", b)
	}
	t.Run("as uWSGI", func(t *testing.T) {
		if _, err := exec.LookPath("uwsgi-core"); err != nil {
			t.Skip(err)
		}
		addr := harness.Addr(t)
		runOracle(t, t.TempDir(), []string{"--master", "--http-socket", addr, "--module", "app", "--pythonpath", s.Dir,
			"--alarm", "a cmd:cat > /dev/null"})
		harness.Eventually(t, "the real uWSGI answers", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if theirs := harness.HTTP(t, addr).Get("/").Body; theirs != ours {
			t.Errorf("uWSGI:\n%s\nours:\n%s", theirs, ours)
		}
	})
}
