package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const handlers = `
import os, signal, sys

def note(signum, frame):
    os.write(2, b"handler of %s ran\n" % signal.Signals(signum).name.encode())  # print() may be interrupted by the next one

def fail(signum, frame):
    raise TimeoutError("of an alarm that was left over")

signal.signal(signal.SIGUSR1, note)          # while the application is imported
signal.signal(signal.SIGALRM, note)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/set":
        signal.signal(signal.SIGUSR2, note)  # in a request: the worker's main thread
    if environ["PATH_INFO"] == "/alarm":
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    if environ["PATH_INFO"] == "/raise":
        signal.signal(signal.SIGUSR2, fail)
    if environ["PATH_INFO"] == "/exit":
        signal.signal(signal.SIGUSR2, lambda *a: sys.exit(3))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`

// A handler that the application sets runs while the worker is idle too, since a worker with one
// thread serves on its main thread.
func TestSignalHandlers(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", handlers)
	s.Start("--http", addr, "--module", "app", "-p", "1", "--threads", "1")
	site := harness.HTTP(t, addr)
	worker := atoi(t, site.Get("/set").Body)
	for _, c := range []struct {
		sig  syscall.Signal
		name string
	}{{syscall.SIGUSR1, "SIGUSR1"}, {syscall.SIGUSR2, "SIGUSR2"}} {
		harness.Signal(t, worker, c.sig)
		s.Log.Wait(t, "^handler of "+c.name+" ran")
	}
	site.Get("/alarm")
	s.Log.Wait(t, "^handler of SIGALRM ran")
	if got := site.Get("/").Body; got != itoa(worker) {
		t.Errorf("worker %s serves, not %d", got, worker)
	}
}

// A handler that raises while the worker is idle: that is reported, and the worker serves on.
func TestSignalHandlerRaises(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", handlers)
	s.Start("--http", addr, "--module", "app")
	s.Allow("Traceback", "TimeoutError: of an alarm that was left over", "File .*app.py", "raise TimeoutError")
	site := harness.HTTP(t, addr)
	worker := atoi(t, site.Get("/raise").Body)
	harness.Signal(t, worker, syscall.SIGUSR2)
	s.Log.Wait(t, "^TimeoutError: of an alarm that was left over")
	if got := site.Get("/").Body; got != itoa(worker) {
		t.Errorf("worker %s serves, not %d", got, worker)
	}
}

// A handler that ends the process ends the worker, with its status, and another one takes over.
func TestSignalHandlerExits(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", handlers)
	s.Start("--http", addr, "--module", "app")
	s.Allow("DAMN ! worker 1 .* died")
	worker := atoi(t, harness.HTTP(t, addr).Get("/exit").Body)
	harness.Signal(t, worker, syscall.SIGUSR2)
	s.Log.Wait(t, "^Respawned uWSGI worker 1")
	if got := harness.HTTP(t, addr).Get("/").Body; got == itoa(worker) {
		t.Errorf("worker %s serves still", got)
	}
}

// A worker that somebody signals: HUP, TERM and INT let it finish what it does; a new one comes.
// HUP is no accident, and none is logged.
func TestSignalsToWorkers(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM,
		"INT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who)
			s.Start("--http", addr, "--module", "app", "--threads", "2")
			if sig != syscall.SIGHUP {
				s.Allow("DAMN ! worker 1 .* died :")
			}
			site := harness.HTTP(t, addr)
			worker := atoi(t, site.Get("/").Body)
			c := harness.Send(t, addr, "GET /slow?0.5 HTTP/1.0\r\n\r\n")
			harness.ReadUntil(t, c, "begun")
			harness.Signal(t, worker, sig)
			harness.ReadUntil(t, c, itoa(worker))
			s.Log.Wait(t, fmt.Sprintf(`^Gracefully killing worker 1 \(pid: %d\)`, worker))
			s.Log.Wait(t, "^Respawned uWSGI worker 1")
			if got := harness.HTTP(t, addr).Get("/").Body; got == itoa(worker) {
				t.Errorf("worker %s serves still", got)
			}
		})
	}
}

// What scripts send to everything that is called uwsgi (killall -USR1) ends neither a worker nor
// the loader; the worker tells what it does.
func TestHarmlessSignals(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http", addr, "--module", "app", "--threads", "2")
	worker := atoi(t, harness.HTTP(t, addr).Get("/").Body)
	s.Log.Wait(t, "GET / => generated") // it is counted
	c := harness.Send(t, addr, "GET /slow?600 HTTP/1.0\r\n\r\n")
	harness.ReadUntil(t, c, "begun")
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP,
		syscall.SIGWINCH, syscall.SIGPIPE} {
		harness.Signal(t, harness.Parent(worker), sig)
		harness.Signal(t, worker, sig)
		if sig == syscall.SIGUSR1 { // what SIGUSR2 brings is written by whichever thread gets it, in pieces
			s.Log.Wait(t, `^worker 1 total requests: 1$`)
			s.Log.Wait(t, `^\tapp 0 \[\] requests: 1 exceptions: 0$`)
		}
	}
	s.Log.Wait(t, `File ".*app\.py", line \d+ in application`)
	s.Log.Wait(t, fmt.Sprintf(`^SIGUSR2: --- uWSGI worker 1 \(pid: %d\) is managing request /slow\?600 since .* ---$`, worker))
	if got := harness.HTTP(t, addr).Get("/").Body; got != itoa(worker) {
		t.Errorf("worker %s serves, not %d", got, worker)
	}
	s.Signal(syscall.SIGTERM)
	s.Log.Wait(t, "graceful shutdown triggered")
	s.Signal(syscall.SIGTERM)
	s.Exit()
}
