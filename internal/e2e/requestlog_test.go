package e2e

import (
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const logged = `
import os, time, uwsgi
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(float(os.environ.get("SLOW", "0")))
    status = {"/404": "404 Not Found", "/500": "500 Oops"}.get(path, "200 OK")
    if path == "/forced":
        uwsgi.log_this_request()
    uwsgi.set_logvar("who", "anna")
    start_response(status, [("X-One", "1"), ("Content-Type", "text/plain")])
    return [b"12345", b"67890"] if path != "/zero" else []
`

// The default line, byte for byte but for what varies; and what the network sends cannot forge
// another one.
func TestRequestLine(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", logged)
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "app")
	harness.HTTP(t, addr).Get("/a%20b?x=%0A", "User-Agent: y")
	s.Log.Wait(t, `^\[pid: \d+\|app: 0\|req: 1/1\] 127\.0\.0\.1 \(\) \{\d+ vars in \d+ bytes\} \[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\] `+
		`GET /a%20b\?x=%0A => generated 10 bytes in \d+ msecs \(HTTP/1\.1 200\) 4 headers in \d+ bytes \(2 switches on core 0\)$`)
	v := harness.Request("GET", "/", "").With("REQUEST_URI", "/x\n[pid: 1] forged\x1b[31m", "REMOTE_USER", "a\nb",
		"REMOTE_ADDR", "192.0.2.1")
	harness.Uwsgi(t, s.Path("s.sock"), v, "")
	s.Log.Wait(t, `^\[pid: \d+\|app: 0\|req: 2/2\] 192\.0\.2\.1 \(a[^ ]*b\) .* GET /x\S*\[pid: 1\] forged\S*\[31m => `)
	for _, line := range s.Log.Lines(0) {
		if strings.HasPrefix(line, "[pid: 1]") || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("forged: %q", line)
		}
	}
}

// log-format with every kind of variable, and uwsgi.set_logvar.
func TestLogFormat(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", logged)
	s.Start("--http", addr, "--module", "app", "--log-format",
		`L %(method) %(uri) %(proto) %(status) rsize=%(rsize) size=%(size) cl=%(cl) %(addr) %(host) "%(uagent)" %(var.HTTP_X_Y) %(who) %(wid) %(core) %(switches) %(nothing) %(msecs)ms %(micros) %(secs) %(ltime) %(epoch) 100%% E`)
	harness.HTTP(t, addr).Do("POST", "/p?q", strings.NewReader("abc"), "User-Agent: Moz", "X-Y: z", "Host: h.test")
	s.Log.Wait(t, `^L POST /p\?q HTTP/1\.1 200 rsize=10 size=\d+ cl=3 127\.0\.0\.1 h\.test "Moz" z anna 1 0 2 - \d+ms \d+ \d+\.\d+ \d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+\d{4} \d+ 100%% E$`)
}

// TestLogSelection: disable-logging and what it leaves.
func TestLogSelection(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "/ /404 /500 /zero /slow /forced",
		"--disable-logging":                  "/forced",
		"--disable-logging --log-4xx":        "/404 /forced",
		"--disable-logging --log-5xx":        "/500 /forced",
		"--disable-logging --log-zero":       "/zero /forced",
		"--disable-logging --log-big 1":      "/ /404 /500 /slow /forced",
		"--disable-logging --log-slow 3000":  "/slow /forced", // on a busy machine any may take a second
		"--disable-logging --log-slow 10000": "/forced",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", logged)
			if strings.HasSuffix(args, "log-slow 3000") {
				s.Setenv("SLOW=3.1")
			}
			s.Start(append(strings.Fields(args), "--http", addr, "--module", "app")...)
			site := harness.HTTP(t, addr)
			for _, path := range []string{"/", "/404", "/500", "/zero", "/slow", "/forced"} {
				site.Get(path)
			}
			s.Log.Wait(t, `GET /forced =>`)
			var got []string
			for _, line := range s.Log.Lines(0) {
				if m := regexp.MustCompile(`GET (\S+) =>`).FindStringSubmatch(line); m != nil {
					got = append(got, m[1])
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("logged: %s, not %s", strings.Join(got, " "), want)
			}
		})
	}
}

// Requests and the rest to files of their own, an encoder, and the application's own output in the
// server's log.
func TestLoggers(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", logged+"print('printed', flush=True)\n")
	s.Write("u.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\nreq-logger = file:requests.log\n"+
		"log-req-encoder = json {\"text\":\"${msg}\"}\nlog-req-encoder = nl\nlog-format = %(method) \"%(uri)\"\n")
	s.Start("--ini", "u.ini")
	harness.HTTP(t, addr).Get("/one")
	harness.Eventually(t, "a request line", func() bool {
		return harness.Exists(s.Path("requests.log")) && readFile(t, s.Path("requests.log")) != ""
	})
	if got := readFile(t, s.Path("requests.log")); got != `{"text":"GET \"/one\""}`+"\n" {
		t.Errorf("%q", got)
	}
	s.Log.Wait(t, `^printed$`)
	if n := s.Log.Count(`/one`); n != 0 {
		t.Errorf("the request is in the server's log too")
	}
}

// memory-report prefixes the line; log-x-forwarded-for shows the header; log-micros its unit.
func TestLogExtras(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", logged)
	s.Start("--http", addr, "--module", "app", "--memory-report", "--log-x-forwarded-for", "--log-micros")
	harness.HTTP(t, addr).Get("/", "X-Forwarded-For: 203.0.113.9")
	s.Log.Wait(t, `^\{address space usage: \d+ bytes/\d+MB\} \{rss usage: \d+ bytes/\d+MB\} \[pid: \d+\|app: 0\|req: 1/1\] 203\.0\.113\.9 .* in \d+ micros `)
}

// What the application prints while it is imported takes the way of all lines, to the loggers and
// through the encoders; the traceback of one that cannot be imported stands in front of what
// follows from it.
func TestLoggersTakeTheImport(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", "import os\nprint('printed')\nos.system('echo from a child')\nimport nothing_of_this_name\n")
	s.Launch("--http", addr, "--module", "app", "--logger", "file:all.log", "--log-encoder", "prefix > ")
	if code := s.Exit(); code != 22 {
		t.Errorf("exit status %d", code)
	}
	text := readFile(t, s.Path("all.log"))
	at := 0
	for _, want := range []string{"> printed\n", "> from a child\n", "> Traceback (most recent call last):\n",
		"ModuleNotFoundError: No module named 'nothing_of_this_name'\n",
		"> *** no app loaded. GAME OVER ***\n", "; exiting with status 22\n"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("no %q, or not in its place, in\n%s", want, text)
		}
		at += i
	}
	if rest := s.Log.String(); rest != "" {
		t.Errorf("not in the log: %s", rest)
	}
}
