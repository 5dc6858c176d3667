package e2e

import (
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestWhatIsOpenedIsNamed: what an option names and cannot be opened is told with the option, its
// file and line, whichever process it is that opens it.
func TestWhatIsOpenedIsNamed(t *testing.T) {
	t.Parallel()
	for option, more := range map[string]struct {
		with string // a line before it
		runs bool   // the instance goes on without it
	}{
		"sharedarea = file=/none/x,size=4096":    {},
		"sharedarea = file=short,size=4096":      {},
		"cache2 = name=a,items=10,store=/none/x": {},
		"queue-store = /none/x":                  {with: "queue = 4"},
		"logto = /none/x":                        {},
		"logto2 = /none/x":                       {},
		"logger = file:/none/x":                  {},
		"req-logger = file:/none/x":              {},
		"spooler = /none/x":                      {},
		"spooler-external = /none/x":             {},
		"mule = none.py":                         {runs: true},
		"mule = none:run()":                      {runs: true},
		"pidfile = /none/x":                      {},
		"safe-pidfile = /none/x":                 {runs: true},
		"master-fifo = /none/x":                  {},
		"stats = /none/x":                        {},
		"chdir = /none/x":                        {},
		"home = /none/x":                         {},
		"envdir = /none/x":                       {},
		"flock = /none/x":                        {},
		"file-write = /none/x=1":                 {},
		"hook-as-user = chdir:/none/x":           {},
		"hook-post-fork = chdir:/none/x":         {},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Write("app.py", hello)
			s.Write("short", "")
			s.Write("u.ini", "[uwsgi]\nmaster = true\nhttp-socket = "+s.Path("h.sock")+"\n"+more.with+"\n"+option+
				"\nmodule = app\n")
			s.Tolerate(".")
			s.Launch("u.ini")
			name, _, _ := strings.Cut(option, " ")
			s.Log.Wait(t, `u\.ini:5: `+`.*`+regexp.QuoteMeta(name)+`.*(/none/x|none|short)`)
			if !more.runs {
				if code := s.Exit(); code == 0 {
					t.Error("it ends with status 0")
				}
				return
			}
			s.Stop()
		})
	}
}
