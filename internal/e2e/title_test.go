package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// titles are what ps shows of a server's processes.
func titles(s *harness.Server) (all []string) {
	// of the supervisor a long title has overwritten what it is found by
	for _, pid := range append(s.Processes(), s.PID) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		all = append(all, strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " "))
	}
	return all
}

// TestProcessTitles: the procname options name the supervisor and the workers as uWSGI does,
// however short the command line was, and the supervisor still reads its arguments again at a
// reload.
func TestProcessTitles(t *testing.T) {
	long := strings.Repeat("a long title ", 20) + "."
	for name, c := range map[string]struct {
		ini            string
		master, worker string
	}{
		"auto":   {"auto-procname = true", "uWSGI master", "uWSGI worker 1"},
		"affix":  {"procname-prefix-spaced = [site]\nprocname-append = -x", "[site] uWSGI master-x", "[site] uWSGI worker 1-x"},
		"one":    {"procname = site", "site", "site"},
		"master": {"procname-master = boss\nprocname-prefix = p-", "p-boss", "p-uWSGI worker 1"},
		"long":   {"procname-master = " + long, long, "uWSGI worker 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", version("old"))
			s.Write("u.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\n"+c.ini+"\n")
			s.Start("u.ini")
			for range 2 {
				all := titles(s)
				for _, want := range []string{c.master, c.worker} {
					if !slices.Contains(all, want) {
						t.Errorf("no process is called %q: %q", want, all)
					}
				}
				if comm := harness.Comm(s.PID); comm != "uwsgi" {
					t.Errorf("the supervisor's name is %q", comm)
				}
				s.Reload()
			}
		})
	}
}
