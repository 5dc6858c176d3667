package chaos

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/e2e/harness"
)

// From its first moment a unix socket is open to nobody whom chmod-socket keeps out. The path is
// looked at as fast as can be while the server binds, under a umask that takes nothing away.
func TestSocketPermissions(t *testing.T) {
	for range scale(3, 20) {
		r := newRig(t)
		seen := map[uint32]int{}
		var watch sync.WaitGroup
		stop := make(chan struct{})
		watch.Go(func() {
			var st unix.Stat_t
			for {
				if unix.Lstat(r.sock, &st) == nil {
					seen[st.Mode&0o777]++
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		r.Under("/bin/sh", "-c", `umask 0; exec "$0" "$@"`)
		r.begin("-p", "1", "--chmod-socket=600")
		close(stop)
		watch.Wait()
		if len(seen) != 1 || seen[0o600] == 0 {
			t.Errorf("modes seen: %o", seen)
		}
		r.settled()
	}
}

// The loader and every worker run as the user and nothing else: all four ids, no group of the
// supervisor's, no capability.
func TestPrivilegesAreDropped(t *testing.T) {
	r := newRig(t)
	// Docker left some to inherit (CVE-2022-24769)
	r.Under("setpriv", "--groups", "0,4,24,27,33,50", "--inh-caps", "+chown,+net_raw", "--")
	sock := r.Path("run/uwsgi.sock")
	r.Write("run/.keep", "")
	r.sock = sock
	r.begin("-p", "3", "--threads", "2", "--uid", "nobody", "--gid", "nogroup")
	check := func() {
		t.Helper()
		pids := append(r.workers(), r.loader())
		if len(pids) != 4 {
			t.Fatalf("processes %v", pids)
		}
		for _, pid := range pids {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"Uid": "65534 65534 65534 65534", "Gid": "65534 65534 65534 65534", "Groups": "65534", "CapEff": "0000000000000000",
				"CapPrm": "0000000000000000", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
			} {
				if got := field(string(b), name); got != want && !(name == "Groups" && got == "") {
					t.Errorf("process %d: %s %q, want %q", pid, name, got, want)
				}
			}
			// Every thread: privileges are a thread's, and Go starts them early.
			tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			for _, task := range tasks {
				b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name()))
				if len(b) > 0 && field(string(b), "Uid") != "65534 65534 65534 65534" {
					t.Errorf("thread %s of process %d: Uid %s", task.Name(), pid, field(string(b), "Uid"))
				}
			}
		}
	}
	check()
	r.serves()
	r.Reload()
	harness.Eventually(t, "the end of the old generation",
		func() bool { return len(r.workers()) == 3 && len(r.children(r.PID)) == 1 })
	for _, pid := range r.workers() {
		kill(t, pid)
	}
	r.Allow(`DAMN !`)
	harness.Eventually(t, "three new workers", func() bool { return len(r.workers()) == 3 })
	r.serves()
	check()
	var st unix.Stat_t
	if err := unix.Lstat(sock, &st); err != nil || st.Uid != 65534 {
		t.Errorf("the socket belongs to %d: %v", st.Uid, err)
	}
}

func field(status, name string) string {
	for _, line := range strings.Split(status, "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return ""
}
