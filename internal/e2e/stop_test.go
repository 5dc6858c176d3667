package e2e

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// A stop lets the request in hand finish, takes no new one, runs the exit handlers, and ends with
// status 0.
func TestStopDuringRequest(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who+`
import atexit, uwsgi
atexit.register(print, "the exit handler ran")
uwsgi.atexit = lambda: print("uwsgi.atexit ran")
`)
			s.Start("--http", addr, "--module", "app", "-p", "1")
			idle := harness.Dial(t, addr)
			harness.Ask(t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			c := harness.Send(t, addr, "GET /slow?1 HTTP/1.0\r\n\r\n")
			harness.ReadUntil(t, c, "begun")
			s.Signal(sig)
			s.Log.Wait(t, `graceful shutdown triggered|SIGINT/SIGTERM received`)
			rest := make([]byte, 16)
			n, _ := c.Read(rest)
			if atoi(t, string(rest[:n])) == 0 {
				t.Errorf("the request in hand was cut off")
			}
			if code := s.Exit(); code != 0 {
				t.Errorf("exit status %d", code)
			}
			if n, err := idle.Read(rest); n != 0 || err == nil {
				t.Errorf("the idle connection got %q", rest[:n])
			}
			for _, want := range []string{`the exit handler ran`, `uwsgi\.atexit ran`, `^goodbye to uWSGI\.`} {
				s.Log.Wait(t, want)
			}
		})
	}
}

// SIGQUIT does not wait, nor does a second signal.
func TestStopAtOnce(t *testing.T) {
	for name, sigs := range map[string][]syscall.Signal{"QUIT": {syscall.SIGQUIT},
		"twice": {syscall.SIGTERM, syscall.SIGTERM}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who)
			s.Start("--http", addr, "--module", "app")
			c := harness.Send(t, addr, "GET /slow?600 HTTP/1.0\r\n\r\n")
			harness.ReadUntil(t, c, "begun")
			for _, sig := range sigs {
				s.Signal(sig)
				s.Log.Wait(t, `graceful shutdown triggered|SIGINT/SIGTERM received`)
			}
			s.Exit()
		})
	}
}

// A request that does not end is killed when the mercy is over.
func TestMercy(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http", addr, "--module", "app", "--reload-mercy", "1")
	s.Allow(`worker 1 \(pid: \d+\) is taking too much time to die...NO MERCY !!!`)
	c := harness.Send(t, addr, "GET /slow?600 HTTP/1.0\r\n\r\n")
	harness.ReadUntil(t, c, "begun")
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	s.Exit()
	if took := time.Since(began); took < time.Second || took > 20*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// Threads of the application's own that are no daemons may finish, as in any Python program, but
// hold a stop no longer than the mercy.
func TestStopWithThreads(t *testing.T) {
	for seconds, mercy := range map[string]string{"0.5": "60", "600": "1"} {
		t.Run(seconds, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `
import atexit, threading, time
def work():
    time.sleep(`+seconds+`)
    print("the thread is done", flush=True)
def application(environ, start_response):
    threading.Thread(target=work).start()
    start_response("200 OK", [])
    return [b"started"]
`)
			s.Start("--http", addr, "--module", "app", "--threads", "2", "--reload-mercy", mercy)
			harness.HTTP(t, addr).Get("/")
			began := time.Now()
			if mercy == "1" {
				s.Allow("NO MERCY")
			} else {
				defer func() { s.Log.Wait(t, "^the thread is done") }()
			}
			s.Stop()
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the stop took %v", took)
			}
		})
	}
}

// A signal that comes while the application is imported is kept, not lost.
func TestStopDuringImport(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import sys, time
print("importing", flush=True)
time.sleep(600)
`)
	s.Launch("--http", addr, "--module", "app")
	s.Log.Wait(t, `^importing`)
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	s.Exit()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// A reload that is asked for while the configuration is still being read follows the start.
func TestHangupDuringConfiguration(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	gate := s.Path("gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Write("conf.sh", "test -e passed || { echo reading >&2; read x < gate; : > passed; }\nprintf '[uwsgi]\\nhttp = "+
		addr+"\\nmodule = app\\n'\n")
	s.Launch("--ini", "exec://sh conf.sh")
	s.Log.Wait(t, "^reading")
	s.Signal(syscall.SIGHUP)
	if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	s.Log.Wait(t, "^uWSGI is ready")
	s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
}

// The seed's habits: ps and pkill find the processes by the name uwsgi, and pkill -9 ends them all.
func TestProcessNames(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http", addr, "--module", "app", "-p", "2")
	all := s.Processes()
	if len(all) != 4 {
		t.Errorf("%d processes, not a supervisor, a loader and two workers", len(all))
	}
	for _, pid := range all {
		if name := harness.Comm(pid); name != "uwsgi" {
			t.Errorf("process %d is named %q", pid, name)
		}
		out, _ := exec.Command("pgrep", "-f", "-P", itoa(harness.Parent(pid)), "uwsgi").Output()
		if !strings.Contains(string(out), itoa(pid)) {
			t.Errorf("pgrep -f uwsgi does not find process %d", pid)
		}
	}
}

// A stop answers who waits to be accepted while the only core is busy, and the next request of who
// has kept a connection.
func TestStopAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "app", "-p", "2")
	kept := harness.Dial(t, addr)
	harness.Ask(t, kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 2 { // both are busy
		c := harness.Send(t, addr, "GET /slow?1 HTTP/1.0\r\n\r\n")
		harness.ReadUntil(t, c, "begun")
	}
	var waiting []net.Conn
	for i := range 20 {
		if i%2 == 0 {
			waiting = append(waiting, harness.Send(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		} else {
			waiting = append(waiting, harness.Send(t, s.Path("s.sock"),
				string(harness.Request("GET", "/", "").Packet())))
		}
	}
	s.Signal(syscall.SIGTERM)
	s.Log.Wait(t, `graceful shutdown triggered`)
	if a := harness.Ask(t, kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); a.Status != 200 {
		t.Errorf("kept: %s", a.Line)
	}
	for _, c := range waiting {
		if a := harness.Parse(t, c, "GET"); a.Status != 200 {
			t.Errorf("%s", a.Line)
		}
	}
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// shutdown-delay: after SIGTERM new connections are served on, with Connection: close; the second
// signal ends the wait.
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http", addr, "--module", "app", "--shutdown-delay", "3600")
	kept := harness.Dial(t, addr)
	harness.Ask(t, kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	s.Signal(syscall.SIGTERM)
	s.Log.Wait(t, `stopping in 3600 seconds \(shutdown-delay\)`)
	if out, err := s.Command("list").CombinedOutput(); err != nil || !regexp.MustCompile(`(?m) stopping +`+itoa(s.PID)+` `).Match(out) {
		t.Errorf("%s, %v", out, err)
	}
	request, buf := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), make([]byte, 4096)
	harness.Eventually(t, "the worker has heard", func() bool {
		if _, err := kept.Write(request); err != nil {
			t.Fatal(err)
		}
		n, err := kept.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(buf[:n]), "\r\nConnection: close\r\n")
	})
	if answer := harness.Raw(t, addr, string(request)); !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("%q", answer)
	}
	s.Signal(syscall.SIGTERM)
	s.Log.Wait(t, `graceful shutdown triggered`)
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
