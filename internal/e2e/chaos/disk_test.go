package chaos

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// small makes a folder of the server's a disk of its own of that size; the function gives its path
// as seen from outside.
func (r *rig) small(name, size string) (inside string, outside func() string) {
	r.t.Helper()
	inside = r.Path(name)
	if err := os.Mkdir(inside, 0o777); err != nil {
		r.t.Fatal(err)
	}
	r.Under("unshare", "--mount", "/bin/sh", "-c", `mount -t tmpfs -o size=`+size+` tmpfs `+inside+` && exec "$0" "$@"`)
	return inside, func() string { return fmt.Sprintf("/proc/%d/root%s", r.PID, inside) }
}

// fill writes to a file until the disk is full.
func fill(t *testing.T, path string, block string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err = error(nil); err == nil; _, err = f.WriteString(block) {
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Fatal(err)
	}
}

// A full disk while bodies are spooled: 507 for those that do not fit, everything else goes on, and
// so do they once there is room. Behind nginx, too.
func TestDiskFull(t *testing.T) {
	r := newRig(t)
	tmp, _ := r.small("small", "8m")
	r.Setenv("TMPDIR=" + tmp)
	r.begin("-p", "2", "--threads", "2", "--post-buffering=4096")
	n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+
		"; uwsgi_request_buffering off; }")
	small := traffic(r.addr, "/", "hello\n", 2, true)
	for range scale(3, 20) {
		for _, addr := range []string{r.addr, n.Addr} {
			var all sync.WaitGroup
			for range 4 { // 12 MiB each where there are 8
				all.Go(func() {
					status := upload(addr, 12<<20)
					if status != 507 {
						t.Errorf("a body that does not fit: %d", status)
					}
					note(status)
				})
			}
			all.Wait()
			if status := upload(addr, 1<<20); status != 200 {
				t.Errorf("a body that fits, afterwards: %d", status)
			}
			note(200)
		}
	}
	r.Log.Wait(t, `refused a request .* with 507: .*no space left on device`)

	// What a client is slow to take of a streamed response is kept there too: without room it is
	// waited for, and nothing of it is lost.
	const size = 40 << 20
	c := harness.Dial(t, r.addr).(*net.TCPConn)
	c.SetReadBuffer(128 << 10)
	tally.sent.Add(1)
	fmt.Fprintf(c, "GET /big?n=%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", size)
	small.await(t, 1000)
	c.SetReadBuffer(4 << 20)
	a := harness.Parse(t, c, "GET")
	if a.Status != 200 || len(a.Body) != size {
		t.Errorf("a streamed response: %s, %d bytes", a.Line, len(a.Body))
	}
	note(a.Status)
	small.end(t)
}

// The disk of the log is full: service goes on, reloads too, and once there is room the log says
// how much of it is missing.
func TestDiskOfTheLogIsFull(t *testing.T) {
	r := newRig(t)
	dir, outside := r.small("small", "64k")
	r.Launch(r.args("-p", "1", "--logto", dir+"/log")...)
	log := func() string { return readFile(outside() + "/log") }
	harness.Eventually(t, "the start", func() bool { return strings.Contains(log(), "uWSGI is ready") })
	c := traffic(r.addr, "/", "hello\n", 2, true)
	c.await(t, 100)
	for range scale(2, 10) {
		fill(t, outside()+"/ballast", strings.Repeat("x", 4096))
		fill(t, outside()+"/log", "\n") // what its last block had room for
		before := r.expect(200, "/pid", "").Body
		r.Signal(syscall.SIGHUP)
		harness.Eventually(t, "the new worker", func() bool { return r.expect(200, "/pid", "").Body != before })
		c.await(t, 100)
		had := len(log()) // before there is room: any line may be the one that says so
		if err := os.Remove(outside() + "/ballast"); err != nil {
			t.Fatal(err)
		}
		r.Signal(syscall.SIGHUP)
		harness.Eventually(t, "the log goes on", func() bool {
			return strings.Contains(log()[had:], "gracefully (RE)spawned") &&
				strings.Contains(log()[had:], "/log works again; ")
		})
	}
	c.end(t)
	r.Stop()
}

// What has to be written for the start has no room: a clear line and the right exit status, and
// nothing is left.
func TestDiskFullAtStart(t *testing.T) {
	for name, args := range map[string][]string{"pidfile": {"--pidfile", "small/pid"},
		"pidfile2": {"--pidfile2", "small/pid"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			dir, _ := r.small("small", "64k")
			r.Under("unshare", "--mount", "/bin/sh", "-c", `mount -t tmpfs -o size=64k tmpfs `+dir+` && head -c 100000 /dev/zero >`+dir+`/ballast 2>/dev/null; exec "$0" "$@"`)
			r.Allow(`^uwsgi: write .*small/pid: no space left on device`)
			r.Launch(r.args(append(args, "-p", "1")...)...)
			if code := r.Exit(); code != 1 {
				t.Errorf("exit status %d", code)
			}
			if harness.Exists(r.sock) {
				t.Error("the socket file is left")
			}
		})
	}
}
