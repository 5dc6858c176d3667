package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestMonitorIsLate: the monitor of the Go runtime may be late in a worker, so that it does not
// look every 20 µs at one that has a request now and then; the thread that runs the application and
// the supervisor's may not.
func TestMonitorIsLate(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test reads how late the timers of others may be: run it as root")
	}
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http-socket", addr, "--module", "app", "-p", "1")
	worker, _ := kin(t, harness.HTTP(t, addr))
	late := map[int]int{}
	for _, pid := range []int{s.PID, worker} {
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range threads {
			tid, _ := strconv.Atoi(filepath.Base(dir))
			b, err := os.ReadFile("/proc/" + filepath.Base(dir) + "/timerslack_ns")
			if err != nil {
				t.Fatal(err)
			}
			if ns, _ := strconv.Atoi(strings.TrimSpace(string(b))); ns > 1_000_000 {
				late[pid]++
				if tid == worker {
					t.Errorf("the worker's main thread may be %d ns late", ns)
				}
			}
		}
	}
	if late[worker] == 0 || late[s.PID] != 0 {
		t.Errorf("%d threads of the worker may be late, %d of the supervisor", late[worker], late[s.PID])
	}
}
