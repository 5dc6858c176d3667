package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/option"
)

// opened are lines of options that name what cannot be opened.
var opened = map[string]struct {
	with string // a line before it
	app  string // what the application does besides
	runs bool   // the instance goes on without it
}{
	"sharedarea = file=/none/x,size=4096":         {},
	"sharedarea = file=short,size=4096":           {},
	"cache2 = name=a,items=10,store=/none/x":      {},
	"queue-store = /none/x":                       {with: "queue = 4"},
	"logto = /none/x":                             {},
	"logto2 = /none/x":                            {},
	"logger = file:/none/x":                       {},
	"req-logger = file:/none/x":                   {},
	"spooler = /none/x":                           {},
	"spooler-external = /none/x":                  {},
	"mule = none.py":                              {runs: true},
	"mule = none:run()":                           {runs: true},
	"pidfile = /none/x":                           {},
	"safe-pidfile = /none/x":                      {runs: true},
	"master-fifo = /none/x":                       {},
	"stats = /none/x":                             {},
	"chdir = /none/x":                             {},
	"chdir2 = /none/x":                            {},
	"envdir = /none/x/y":                          {},
	"early-envdir = /none/x/y":                    {},
	"load-file-in-cache = /none/x":                {with: "cache2 = name=a,items=10", runs: true},
	"load-file-in-cache-gzip = /none/x":           {with: "cache2 = name=a,items=10", runs: true},
	"import = /none/x.py":                         {runs: true},
	"shared-import = none":                        {runs: true},
	"spooler-import = /none/x.py":                 {with: "spooler = jobs", runs: true},
	"pymodule-alias = a=none":                     {runs: true},
	"metrics-dir = /none/x":                       {runs: true},
	"metric = name=a,collector=file,arg1=/none/x": {runs: true},
	"mime-file = /none/x":                         {runs: true},
	"spooler-chdir = /none/x": {with: "spooler = jobs", runs: true, app: `
import uwsgi
uwsgi.spooler = lambda job: uwsgi.SPOOL_OK
uwsgi.spool({b"a": b"b"})
`},
	"home = /none/x":                 {},
	"envdir = /none/x":               {},
	"flock = /none/x":                {},
	"file-write = /none/x=1":         {},
	"hook-as-user = chdir:/none/x":   {},
	"hook-post-fork = chdir:/none/x": {},
}

// TestWhatIsOpenedIsNamed: what an option names and cannot be opened is told with the option, its
// file and line, whichever process it is that opens it.
func TestWhatIsOpenedIsNamed(t *testing.T) {
	t.Parallel()
	for line, more := range opened {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Write("app.py", hello+more.app)
			s.Write("jobs/lies", "here")
			s.Write("short", "")
			s.Write("u.ini", "[uwsgi]\nmaster = true\nhttp-socket = "+s.Path("h.sock")+"\n"+more.with+"\n"+line+
				"\nmodule = app\n")
			s.Tolerate(".")
			s.Launch("u.ini")
			name, _, _ := strings.Cut(line, " ")
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

// elsewhere are options of a path that open nothing, or whose errors other tests have.
var elsewhere = strings.Fields(`
	inject-before inject-after fallback-config ini-paste ini-paste-logged
	stop reload pause suspend resume pyrun daemonize daemonize2
	wsgi-file asgi-file pythonpath py-programname py-executable
	touch-reload touch-workers-reload touch-chain-reload touch-logreopen touch-logrotate
	touch-spoolers-reload touch-mules-reload
	wait-for-fs wait-for-file wait-for-dir wait-for-mountpoint flock-wait
	cache-store check-static static-safe static-gzip-dir pidfile2 safe-pidfile2 log-backupname
	emperor emperor-pidfile emperor-on-demand-directory
	vassals-include vassals-inherit vassals-include-before vassals-inherit-before`)

// TestEveryPathIsOpened: an option that names a file or a folder has its line above.
func TestEveryPathIsOpened(t *testing.T) {
	known := slices.Clone(elsewhere)
	for line := range opened {
		name, _, _ := strings.Cut(line, " ")
		row, _ := option.Lookup(name)
		known = append(known, row.Name)
	}
	for _, row := range option.All() {
		if row.Kind == option.Path && row.Standing == option.Honoured && !slices.Contains(known, row.Name) {
			t.Errorf("who starts with a %s that is not there: what is told?", row.Name)
		}
	}
}
