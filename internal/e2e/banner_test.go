package e2e

import (
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// What operators look for at a start.
func TestBanner(t *testing.T) {
	for args, mode := range map[string]string{"-p 1": "single process", "-p 2": "preforking", "--threads 2": "threaded",
		"-p 2 --threads 2": "preforking+threaded"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", version("x"))
			s.Write("u.ini", "[uwsgi]\nhttp-socket = "+addr+
				"\nmodule = app\nlisten = 17\nworker-reload-mercy = 8\nstatic-map = /s=files\ncheck-static = public\n")
			s.Start(append(strings.Fields(args), "--ini", "u.ini")...)
			for _, line := range []string{
				`^\*\*\* Starting uWSGI \S+ \(64bit\) on \[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\] \*\*\*$`,
				`^uwsgi socket 0 bound to TCP address ` + addr + ` fd \d+$`,
				`^your server socket listen backlog is limited to 17 connections$`,
				`^your mercy for graceful operations on workers is 8 seconds$`,
				`^\*\*\* Operational MODE: ` + regexp.QuoteMeta(mode) + ` \*\*\*$`,
				`^\[uwsgi-static\] added mapping for /s => files$`,
				`^\[uwsgi-static\] added check for public$`,
				`^Python version: 3\.\d+\.\d+ `,
				`^WSGI app 0 \(mountpoint=''\) ready in \d+ seconds on interpreter 0x[0-9a-f]+ pid: \d+ \(default app\)$`,
				`^spawned uWSGI master process \(pid: \d+\)$`,
				`^spawned uWSGI worker 1 \(pid: \d+, cores: \d\)$`,
			} {
				s.Log.Wait(t, line)
			}
		})
	}
}

// Clients that come faster than they are served are told of while they wait.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.Start("--http-socket", addr, "--module", "app", "--listen", "1")
	s.Signal(syscall.SIGTSTP)
	s.Log.Wait(t, "worker 1 suspended")
	full := `^\w{3} \w{3} .* - \*\*\* uWSGI listen queue of socket "` + addr + `" \(fd: \d+\) full !!! \(\d+/1\) \*\*\*$`
	harness.Eventually(t, "the queue is full", func() bool { // the worker may still take the first ones
		if c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond); err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return s.Log.Count(full) > 0
	})
}
