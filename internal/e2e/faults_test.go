package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// TestStartErrorsNameTheirLine: what stops a start only when it is carried out is told once, with
// the option, its file and line, too.
func TestStartErrorsNameTheirLine(t *testing.T) {
	for line, want := range map[string]string{
		"uid = nosuch":                       "user nosuch not found.",
		"gid = nosuch":                       "group nosuch not found.",
		"chown-socket = nosuch:www-data":     "unable to find user nosuch",
		"pidfile = /none/p":                  "open /none/p: no such file or directory",
		"pidfile2 = /none/p":                 "open /none/p: no such file or directory",
		"chdir = /none":                      "chdir() to /none: no such file or directory",
		"virtualenv = /none":                 "!!! Python Home is not a directory: /none !!!",
		"logto = /none/l":                    "open /none/l: no such file or directory",
		"logger = a file:/none/l":            "open /none/l: no such file or directory",
		"daemonize = /none/l":                "open /none/l: no such file or directory",
		"exec-asap = false":                  `command "false" exited with non-zero code: 1`,
		"hook-as-user = exec:false":          `command "false" exited with non-zero code: 1`,
		"hook-pre-app = exec:false":          `command "false" exited with non-zero code: 1`,
		"master-fifo = /none/f":              "open /none/f: no such file or directory",
		"stats = /none/s":                    "bind(): No such file or directory",
		"flock = /none/l":                    "open /none/l: no such file or directory",
		"file-write = /none/l=x":             "open /none/l: no such file or directory",
		"socket = /none/x.sock":              "bind(): No such file or directory",
		"wsgi-file = nosuch.py":              "failed to open python file nosuch.py",
		"set = a=b\nwsgi-file = nosuch.py":   "failed to open python file nosuch.py",
		"mount = /x=nosuch.py":               "failed to open python file nosuch.py",
		"socket = u.sock\nsocket = [::1]x:1": "", // found while reading
	} {
		t.Run(line, func(t *testing.T) {
			if strings.HasSuffix(line, "id = nosuch") {
				needs.Root(t) // another user's is no fault
			}
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Write("u.ini", "[uwsgi]\nsocket = "+s.Path("own.sock")+"\n"+line+"\n")
			out, err := s.Command("--ini", "u.ini").CombinedOutput()
			if err == nil {
				t.Fatalf("it started: %s", out)
			}
			lines := strings.Split(line, "\n")
			last := lines[len(lines)-1]
			name, _, _ := strings.Cut(last, " ")
			found := 0
			for _, l := range strings.Split(string(out), "\n") {
				if strings.Contains(l, "u.ini:"+itoa(2+len(lines))) &&
					(strings.Contains(l, name+" = ") || strings.Contains(l, "nosuch.py")) && strings.Contains(l, want) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("said %d times, not once:\n%s", found, out)
			}
		})
	}
}

// TestSafePidfileOnFullDisk: what is written once the instance serves, and cannot be, is told the
// same way, and serves on.
func TestSafePidfileOnFullDisk(t *testing.T) {
	s := harness.New(t)
	s.Write("app.py", "def application(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n")
	s.Write("u.ini", "[uwsgi]\nhttp-socket = "+s.Path("h.sock")+"\nwsgi-file = app.py\nsafe-pidfile = /dev/full\n")
	s.Start("--ini", "u.ini")
	s.Log.Wait(t, `^u\.ini:4: safe-pidfile = /dev/full: write /dev/full: no space left on device$`)
}
