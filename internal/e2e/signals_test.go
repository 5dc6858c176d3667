package e2e

import (
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const handlers = `
import os, signal, sys

def note(signum, frame):
    os.write(2, b"handler of %s ran\n" % signal.Signals(signum).name.encode())  # print() may be interrupted by the next one

signal.signal(signal.SIGUSR1, note)          # while the application is imported
signal.signal(signal.SIGALRM, note)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/set":
        signal.signal(signal.SIGUSR2, note)  # in a request: the worker's main thread
    if environ["PATH_INFO"] == "/alarm":
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    if environ["PATH_INFO"] == "/exit":
        signal.signal(signal.SIGUSR2, lambda *a: sys.exit(3))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`

// A handler that the application sets runs while the worker is idle too, since a worker with one thread serves on its main thread.
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

// A worker that somebody signals: HUP and TERM let it finish what it does; a new one comes.
func TestSignalsToWorkers(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who)
			s.Start("--http", addr, "--module", "app", "--threads", "2")
			site := harness.HTTP(t, addr)
			worker := atoi(t, site.Get("/").Body)
			c := harness.Send(t, addr, "GET /slow?0.5 HTTP/1.0\r\n\r\n")
			harness.ReadUntil(t, c, "begun")
			harness.Signal(t, worker, sig)
			harness.ReadUntil(t, c, itoa(worker))
			s.Log.Wait(t, "^Respawned uWSGI worker 1")
			if got := harness.HTTP(t, addr).Get("/").Body; got == itoa(worker) {
				t.Errorf("worker %s serves still", got)
			}
			if strings.Contains(s.Log.String(), "DAMN") {
				s.Allow("DAMN ! worker 1 .* died") // by its own decision: uWSGI says it so
			}
		})
	}
}
