package chaos

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/e2e/harness"
)

// No descriptor is left for a connection: those that are open are served, the others wait and are
// served when some end.
func TestNoDescriptorsLeft(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "2", "--max-fd", "64", "--http-headers-timeout", "60")
	r.Allow(`cannot accept connections`)
	served := traffic(r.addr, "/", "hello\n", 2, true)
	served.await(t, 100)
	var idle []net.Conn
	for range 100 { // fewer than the queue holds: nobody need be turned away
		idle = append(idle, harness.Dial(t, r.addr))
	}
	r.Log.Wait(t, `cannot accept connections: .*max-fd`)
	waiting := harness.Dial(t, r.addr)
	tally.sent.Add(1)
	io.WriteString(waiting, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	served.await(t, 1000) // those that are in are served at full speed
	median, p99 := served.end(t)
	t.Logf("without a descriptor left, on open connections: half within %v, 99 of 100 within %v",
		median.Round(time.Microsecond), p99.Round(time.Microsecond))
	// A reload finds nothing different: the old worker's connections are the new one's, as many as
	// it can hold.
	again := traffic(r.addr, "/", "hello\n", 2, true)
	r.Reload()
	harness.Eventually(t, "the end of the old worker", func() bool { return len(r.Processes()) == 3 })
	for _, c := range idle {
		c.Close()
	}
	again.await(t, 100)
	again.end(t)
	if a := harness.Parse(t, waiting, "GET"); a.Body != "hello\n" {
		t.Errorf("who waited got %+v", a)
	}
	tally.right.Add(1)
	r.serves()
}

// The application opens files until none can be had. It gets the error that the system gives; the
// server serves on.
func TestApplicationTakesAllDescriptors(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "2", "--max-fd", "64")
	r.Tolerate(`cannot accept connections`) // who comes while there are none waits
	c := traffic(r.addr, "/", "hello\n", 2, true)
	for range 20 {
		r.expect(200, "/files", "Too many open files")
	}
	c.await(t, 100)
	c.end(t)
	r.serves()
}

// The application keeps all descriptors, for good. Who is connected is served; who is not waits for
// the worker that a reload brings, and the old one, which can open nothing any more, still leaves
// as it should.
func TestApplicationKeepsAllDescriptors(t *testing.T) {
	// the silent connection below shall take a place at once
	r := start(t, "-p", "1", "--threads", "2", "--max-fd", "64", "--no-defer-accept")
	r.Tolerate(`cannot accept connections`)
	connected := traffic(r.addr, "/", "hello\n", 2, true)
	connected.await(t, 100)
	r.expect(200, "/hoard", "Too many open files")
	connected.await(t, 1000)
	harness.Dial(t, r.addr) // takes the place that the end of that request has left
	waiting := harness.Dial(t, r.addr)
	tally.sent.Add(1)
	io.WriteString(waiting, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	r.Log.Wait(t, `cannot accept connections: .*max-fd`)
	r.Reload()
	if a := harness.Parse(t, waiting, "GET"); a.Body != "hello\n" {
		t.Errorf("who waited got %+v", a)
	}
	tally.right.Add(1)
	connected.await(t, 100)
	connected.end(t)
	harness.Eventually(t, "the end of the old worker", func() bool { return len(r.Processes()) == 3 })
}

// The supervisor may open no more, wherever in a reload it notices: the reload fails and says why,
// what serves serves on, and when it may again the next reload works.
func TestNoDescriptorsLeftForTheSupervisor(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "2")
	r.Tolerate(`reload failed: .*[Tt]oo many open files; the old generation serves on`)
	r.Tolerate(`cannot be forked: .*too many open files`)
	r.Tolerate(`after the reload: .*too many open files`)
	c := traffic(r.addr, "/", "hello\n", 2, true)
	c.await(t, 100)
	var before unix.Rlimit
	if err := unix.Prlimit(r.PID, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	allow := func(n uint64) {
		t.Helper()
		if err := unix.Prlimit(r.PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	failed := 0
	for n := uint64(3); n < uint64(descriptors(r.PID)+10); n += uint64(scale(4, 1)) {
		allow(n)
		mark := r.Log.Mark()
		r.Signal(syscall.SIGHUP)
		if r.Log.WaitFrom(t, mark, `^(reload failed|gracefully \(RE\)spawned)`)[1] == "reload failed" {
			failed++
		}
		c.await(t, 50)
		allow(before.Cur)
		r.Reload()
		harness.Eventually(t, "the end of the old generation", func() bool { return len(r.Processes()) == 3 })
	}
	c.end(t)
	t.Logf("%d reloads failed", failed)
	if failed == 0 {
		t.Error("no reload failed")
	}
}

// No process can be forked (EAGAIN): the supervisor says so, the workers that are there serve on,
// and the missing one comes as soon as there is room.
func TestNoProcessesLeft(t *testing.T) {
	uid := user(3)
	r := limited(t, uid, 60, "-p", "2", "--threads", "2", "--forkbomb-delay", "1")
	r.Allow(`worker \d cannot be forked: fork: Resource temporarily unavailable`, `DAMN ! worker \d`)
	r.Tolerate(`OOPS ! cannot run worker \d .*: no more threads: .*RLIMIT_NPROC`) // it was forked into the last free place
	r.Tolerate(`Fatal Python error: Aborted`)                                     // … and somebody took the others after it had looked
	c := traffic(r.addr, "/", "hello\n", 2, false)
	var dead casualties
	c.excuse = dead.explain
	c.await(t, 100)
	end := crowdOut(t, uid, 60)
	mark := r.Log.Mark()
	dead.during(func() {
		kill(t, r.workers()[0])
		r.Log.WaitFrom(t, mark, `DAMN !`)
	})
	r.Log.WaitFrom(t, mark, `cannot be forked`)
	c.await(t, 300)
	end()
	r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
	r.serving(2)
	c.await(t, 100)
	c.end(t)
}

// Memory cannot be mapped: a MemoryError and a 500 for that request; the worker, Go in it, serves
// on.
func TestNoAddressSpaceLeft(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "2", "--limit-as", "512")
	r.Allow(`Traceback`)
	before := r.expect(200, "/pid", "").Body
	c := traffic(r.addr, "/", "hello\n", 2, true)
	for range scale(5, 50) {
		r.expect(500, "/memory?n=4000", "")
	}
	c.await(t, 500)
	c.end(t)
	r.Log.Wait(t, `^MemoryError`)
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}

// The application has taken all the address space that limit-as allows. Its requests are answered
// as well as it can; where Go or Python in the worker cannot go on, the log says for want of what,
// and the next worker serves.
func TestAddressSpaceIsFull(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "2", "--limit-as", "512", "--forkbomb-delay", "0")
	r.fds = 0
	for _, text := range []string{`Traceback[^$]*MemoryError`, `^MemoryError`, `DAMN !`, `^fatal error: .*(cannot allocate memory|out of memory)`,
		`Fatal Python error`, `panic`} {
		r.Tolerate(text)
	}
	for range scale(2, 10) {
		mark := r.Log.Mark()
		ask := func(path string) bool {
			tally.sent.Add(1)
			tally.onPurpose.Add(1)
			a, err := r.http().Try("GET", path, nil, "Connection: close")
			return err == nil && (a.Status == 200 || a.Status == 500)
		}
		ask("/fill")
		unanswered := 0
		for range 100 {
			if !ask("/") {
				unanswered++
			}
		}
		died := countFrom(r, mark, "DAMN !")
		t.Logf("%d of 100 requests unanswered, %d workers died", unanswered, died)
		if unanswered > died {
			t.Errorf("%d requests were not answered, %d workers died", unanswered, died)
		}
		r.Reload()
		r.serves()
	}
}

// crowder forks sleepers for as long as there is room, and whenever there is again.
const crowder = `
import os, time
print("begun", flush=True)
full = False
while True:
    try:
        if os.fork() == 0:
            time.sleep(3600)
            os._exit(0)
    except OSError:
        if not full:
            print("full", flush=True)
            full = True
        time.sleep(0.0005)
`

// crowdOut fills what a limit on a user's processes leaves with sleepers of his, until the function
// it gives is called.
func crowdOut(t *testing.T, uid, nproc int) func() {
	t.Helper()
	cmd := exec.Command("setpriv", "--reuid", fmt.Sprint(uid), "--regid", fmt.Sprint(uid), "--clear-groups",
		"prlimit", fmt.Sprintf("--nproc=%d", nproc), harness.DebianPython, "-c", crowder)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	t.Cleanup(end)
	b := make([]byte, len("begun\nfull\n"))
	if _, err := io.ReadFull(out, b); err != nil || string(b) != "begun\nfull\n" {
		t.Fatalf("%q %v", b, err)
	}
	return end
}
