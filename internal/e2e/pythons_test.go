package e2e

import (
	"path/filepath"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestPythons: one worker library serves every CPython from 3.9 on that this machine has.
func TestPythons(t *testing.T) {
	for _, python := range harness.Pythons() {
		t.Run(python, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Setenv("PATH=" + filepath.Dir(python) + ":/usr/bin:/bin")
			s.Copy("testdata/cases.py", "cases.py")
			s.Copy("testdata/forks.py", "forks.py")
			s.Start("--http", addr, "--mount", "/f=forks.py", "--mount", "/c=cases.py", "--manage-script-name",
				"--threads", "2", "-p", "2", "--harakiri", "30")
			site := harness.HTTP(t, addr)
			for _, c := range []wsgiCase{
				{"c/plain", 200, "plain", ""}, {"c/file", 200, fileBody, ""}, {"c/large", 200, largeBody, ""}, {"c/write", 200, "one two three", ""},
				{"c/exc_info_before", 503, "sorry", ""}, {"c/fails_first", 500, wrong, "ValueError: before anything"},
				{"f/fork", 200, "default, exit 7", ""}, {"f/pool", 200, "328350 default", ""}, {"f/run", 200, ", exit 3", ""},
			} {
				if c.says != "" {
					s.Allow(c.says)
				}
				c.check(t, python, site.Get("/"+c.path))
			}
			s.Reload()
			if a := site.Get("/c/plain"); a.Body != "plain" {
				t.Errorf("after a reload: %s %q", a.Line, a.Body)
			}
		})
	}
}
