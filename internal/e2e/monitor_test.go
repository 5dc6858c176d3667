package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// TestMonitorIsLate: the monitor of the Go runtime may be late in a worker, so that it does not
// look every 20 µs at one that has a request now and then. No other thread may, nor one of the
// supervisor's.
func TestMonitorIsLate(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http-socket", addr, "--module", "app", "-p", "1")
	worker, _ := kin(t, harness.HTTP(t, addr))
	late := map[int][]string{}
	for _, pid := range []int{s.PID, worker} {
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range threads {
			b, err := os.ReadFile("/proc/" + filepath.Base(dir) + "/timerslack_ns")
			if err != nil {
				t.Fatal(err)
			}
			if ns, _ := strconv.Atoi(strings.TrimSpace(string(b))); ns > 1_000_000 {
				late[pid] = append(late[pid], dir)
			}
		}
	}
	if len(late[worker]) != 1 || len(late[s.PID]) != 0 {
		t.Fatalf("threads that may be late: %q of the worker, %q of the supervisor", late[worker], late[s.PID])
	}
	if !harness.Within(20*time.Second, func() bool {
		b, err := os.ReadFile(late[worker][0] + "/syscall") // its number, its arguments
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b))
		return f[0] == fmt.Sprint(unix.SYS_NANOSLEEP) || f[0] == fmt.Sprint(unix.SYS_FUTEX) &&
			len(f) > 4 && f[4] != "0x0"
	}) {
		t.Error("the thread that may be late does not sleep for a time, as only the monitor does")
	}
}
