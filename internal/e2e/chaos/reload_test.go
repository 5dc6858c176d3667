package chaos

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

const reloaded = `^gracefully \(RE\)spawned uWSGI master process`

// A hundred reloads in a row under load, over connections that are kept and over new ones: not one
// failed request, and the supervisor is no larger afterwards.
func TestHundredReloads(t *testing.T) {
	for _, processes := range []int{1, 4} {
		t.Run(fmt.Sprintf("processes=%d", processes), func(t *testing.T) {
			r := start(t, "-p", fmt.Sprint(processes), "--threads", "2")
			n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+"; }")
			crowds := []*crowd{traffic(r.addr, "/", "hello\n", 3, true), traffic(r.addr, "/", "hello\n", 1, false),
				traffic(n.Addr, "/", "hello\n", 2, true)}
			crowds[0].await(t, 100)
			for range scale(1, 30) { // until the heap is as large as it gets
				r.Reload()
			}
			alone := func() {
				harness.Eventually(t, "the end of the old generations",
					func() bool { return len(r.Processes()) == processes+2 })
			}
			alone()
			rss, fds := harness.Memory(r.PID, "VmRSS"), descriptors(r.PID)
			begun := time.Now()
			rounds := scale(5, 100)
			for range rounds {
				r.Reload()
			}
			took := time.Since(begun) / time.Duration(rounds)
			crowds[2].await(t, 100)
			good := 0
			for _, c := range crowds {
				c.end(t)
				good += c.good
			}
			alone()
			grown := harness.Memory(r.PID, "VmRSS") - rss
			t.Logf("%d reloads, %v each, %d requests; the supervisor has %d descriptors (before: %d) and grew "+
				"by %d KiB", rounds, took.Round(time.Millisecond), good, descriptors(r.PID), fds, grown)
			if grown > scale(4096, 1536) || !soon(func() bool { return descriptors(r.PID) <= fds }) {
				t.Errorf("it grows")
			}
		})
	}
}

// Reloads are asked for faster than they can be made: they are joined, the last state of the code
// is what serves, nothing is lost.
func TestReloadDuringReload(t *testing.T) {
	r := start(t, "-p", "2")
	c := traffic(r.addr, "/", "hello\n", 4, true)
	c.await(t, 100)
	for i := range scale(5, 30) {
		mark := r.Log.Mark()
		for range 20 {
			r.Signal(syscall.SIGHUP)
		}
		text := strings.Replace(readFile("testdata/app.py"), `GENERATION = "1"`, fmt.Sprintf(`GENERATION = "%d"`, i), 1)
		r.code(strings.Replace(text, `return text(start, str(os.getpid()))`, `return text(start, GENERATION)`, 1))
		r.Signal(syscall.SIGHUP)
		harness.Eventually(t, "the newest code", func() bool {
			tally.sent.Add(1)
			tally.right.Add(1)
			return r.http().Get("/pid", "Connection: close").Body == fmt.Sprint(i)
		})
		r.Log.WaitFrom(t, mark, reloaded)
	}
	harness.Eventually(t, "the end of the old generations", func() bool { return len(r.Processes()) == 4 })
	c.end(t)
}

// Stop in the middle of a reload, at whichever moment: it ends with status 0, and nothing is left.
func TestStopDuringReload(t *testing.T) {
	for i := range scale(8, 40) {
		r := start(t, "-p", "2")
		r.fds = 0
		mark := r.Log.Mark()
		if i%4 == 3 {
			r.code("open('importing', 'w').close()\nimport time\ntime.sleep(3600)\n")
		}
		r.Signal(syscall.SIGHUP)
		switch i % 4 {
		case 1:
			r.Log.WaitFrom(t, mark, `^reloading uWSGI`)
		case 2:
			r.Log.WaitFrom(t, mark, `^spawned uWSGI worker`)
		case 3:
			harness.Eventually(t, "an import that hangs", func() bool { return harness.Exists(r.Path("importing")) })
		}
		r.Signal(syscall.SIGTERM)
		if code := r.Exit(); code != 0 {
			t.Errorf("exit status %d", code)
		}
		harness.Eventually(t, "the end of every process", func() bool { return len(r.Processes()) == 0 })
	}
}

// Code that cannot be loaded, in every way there is: the old one serves on, the log says why, and
// the next reload of good code works.
func TestReloadOfBrokenCode(t *testing.T) {
	good := readFile("testdata/app.py")
	for name, c := range map[string]struct {
		code  string
		allow []string
		again bool // it takes a second reload to give this one up
	}{
		"import error":     {"import nothing_of_that_name\n", []string{`Traceback`, `unable to load app`, `GAME OVER`, `reload failed`}, false},
		"syntax error":     {"def application(:\n", []string{`SyntaxError`, `unable to load app`, `GAME OVER`, `reload failed`}, false},
		"no application":   {"x = 1\n", []string{`unable to load app`, `GAME OVER`, `reload failed`}, false},
		"exit(0)":          {"import sys\nsys.exit(0)\n", []string{`Traceback`, `GAME OVER`, `reload failed`}, false},
		"os._exit(0)":      {"import os\nos._exit(0)\n", []string{`reload failed`}, false},
		"SIGSEGV":          {"import ctypes\nctypes.string_at(0)\n", []string{`Fatal Python error`, `reload failed`}, false},
		"dies when forked": {good + "\nos.register_at_fork(after_in_child=lambda: os._exit(3))\n", []string{`DAMN !`, `reload failed`}, false},
		"hangs":            {"open('importing', 'w').close()\nimport time\ntime.sleep(3600)\n", []string{`reload failed: the new generation took longer than 2s`}, true},
		"hangs in C":       {"open('importing', 'w').close()\nimport ctypes\nm = ctypes.create_string_buffer(64)\nfor _ in range(2): ctypes.PyDLL(None).pthread_mutex_lock(m)\n", []string{`reload failed: the new generation took longer than 2s`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, "-p", "2", "--reload-mercy", "2", "--forkbomb-delay", "0")
			r.Allow(c.allow...)
			load := traffic(r.addr, "/", "hello\n", 4, true)
			load.await(t, 100)
			mark := r.Log.Mark()
			r.code(c.code)
			r.Signal(syscall.SIGHUP)
			if c.again {
				harness.Eventually(t, "the import",
					func() bool { _, err := os.Stat(r.Path("importing")); return err == nil })
				r.code(good)
				r.Signal(syscall.SIGHUP)
			}
			r.Log.WaitFrom(t, mark, `^reload failed: .*; the old generation serves on`)
			load.await(t, 100)
			r.code(good)
			if c.again {
				r.Log.WaitFrom(t, mark, reloaded)
			} else {
				r.Reload()
			}
			load.await(t, 100)
			load.end(t)
			harness.Eventually(t, "the end of the others", func() bool { return len(r.Processes()) == 4 })
		})
	}
}

// A file that is touched all the time, by deployments that write it in pieces: reloads are joined
// and nothing is lost.
func TestTouchStorm(t *testing.T) {
	r := newRig(t)
	trigger := r.Write("trigger", "")
	r.begin("-p", "2", "--touch-reload", trigger)
	c := traffic(r.addr, "/", "hello\n", 4, true)
	c.await(t, 100)
	mark := r.Log.Mark()
	for range scale(3, 10) {
		at := r.Log.Mark()
		for i := range 200 {
			stamp := time.Now().Add(time.Duration(i) * time.Millisecond)
			if err := os.Chtimes(trigger, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		r.Log.WaitFrom(t, at, reloaded)
	}
	c.await(t, 100)
	c.end(t)
	t.Logf("%d reloads", countFrom(r, mark, "gracefully (RE)spawned"))
	harness.Eventually(t, "the end of the old generations", func() bool { return len(r.Processes()) == 4 })
}

func countFrom(r *rig, mark int, text string) (n int) {
	for _, line := range r.Log.Lines(mark) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
