package option

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const groupSpooler Group = "Spooler"

// SpoolerSettings is what these rows say about jobs that the application puts off.
type SpoolerSettings struct {
	Spoolers            []Spooler
	SpoolerProcesses    int // of each spooler that is named after it
	SpoolerFrequency    time.Duration
	SpoolerHarakiri     time.Duration
	SpoolerMaxTasks     int
	SpoolerAttempts     int // after which a job that fails is given up; 0 = never
	SpoolerChdir        string
	SpoolerSync         bool // default true: uwsgi.spool() returns once the job is on the disk
	SpoolerQuiet        bool
	SpoolerImports      []string
	TouchSpoolersReload []string
}

// Spooler is one place where jobs are kept.
type Spooler struct {
	Dir string // absolute, without links where it is there; or a URL of Redis
	// that run its jobs; of an external one, which another instance runs, the entries in
	// uwsgi.spoolers
	Processes int
	External  bool
	Origin    Origin
}

// Remote reports whether its jobs are in Redis.
func (s Spooler) Remote() bool { return isRedis(s.Dir) }

var spoolerRows = []Row{
	{Name: "spooler", Short: 'Q', Kind: Path, Repeat: true, Group: groupSpooler, Set: addSpooler(false),
		Example: "/srv/mysite/spool",
		Help:    "run the jobs of a folder, or of redis://HOST:PORT/DB, where uwsgi.spool() puts them"},
	{Name: "spooler-external", Kind: Path, Repeat: true, Group: groupSpooler, Set: addSpooler(true),
		Help: "a folder, or Redis, to put jobs in that another instance runs"},
	{Name: "spooler-processes", Kind: Int, Group: groupSpooler,
		Set:  integer(func(s *Settings) *int { return &s.SpoolerProcesses }),
		Help: "processes of each spooler that is named after this (1)"},
	{Name: "spooler-frequency", Aliases: []string{"spooler-freq"}, Kind: Seconds, Group: groupSpooler,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.SpoolerFrequency }),
		Help: "look for jobs this often, besides when one is put (30)"},
	{Name: "spooler-harakiri", Kind: Seconds, Group: groupSpooler,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.SpoolerHarakiri }),
		Help: "end a process whose job takes longer; the log gets the stack, and the job is run again"},
	{Name: "spooler-max-tasks", Kind: Int, Group: groupSpooler,
		Set:  integer(func(s *Settings) *int { return &s.SpoolerMaxTasks }),
		Help: "replace a process after so many jobs"},
	{Name: "spooler-attempts", Kind: Int, Since: "ours", Group: groupSpooler,
		Set:  integer(func(s *Settings) *int { return &s.SpoolerAttempts }),
		Help: "put a job that failed so often into failed/, with the traceback (25; 0: never)"},
	{Name: "spooler-chdir", Unset: "the folder they are in", Kind: Path, Group: groupSpooler,
		Set:  placed("spooler-chdir", text(func(s *Settings) *string { return &s.SpoolerChdir })),
		Help: "working directory of jobs (the folder they are in)"},
	{Name: "spooler-sync", Kind: Flag, Optional: true, Since: "ours", Group: groupSpooler,
		Set: flag(func(s *Settings) *bool { return &s.SpoolerSync }),
		Help: "uwsgi.spool() waits until the job is on the disk (the default; spooler-sync=false is faster, " +
			"and loses the last jobs where the machine dies)"},
	{Name: "spooler-quiet", Kind: Flag, Group: groupSpooler,
		Set:  flag(func(s *Settings) *bool { return &s.SpoolerQuiet }),
		Help: "no log lines for jobs that go well"},
	{Name: "spooler-import", Aliases: []string{"spooler-pyimport", "spooler-py-import", "spooler-python-import"},
		Example: "mysite.tasks",
		Kind:    Text, Repeat: true, Group: groupSpooler,
		Set:  placed("spooler-import", list(func(s *Settings) *[]string { return &s.SpoolerImports })),
		Help: "import a module, or a .py file, in the spooler's processes"},
	{Name: "touch-spoolers-reload", Kind: Path, Repeat: true, Group: groupSpooler,
		Set:  list(func(s *Settings) *[]string { return &s.TouchSpoolersReload }),
		Help: "replace the spooler's processes when this file is touched"},
}

func addSpooler(external bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		if v.Text == "" {
			return fault("write "+v.Name+" = FOLDER", "the folder is missing")
		}
		if s.SpoolerProcesses < 1 {
			return fault("write spooler-processes = 1 before it", "there are %d processes for it", s.SpoolerProcesses)
		}
		dir, err := place(v.Text)
		if err != nil {
			return err
		}
		for _, other := range s.Spoolers {
			if other.Dir == dir {
				return fault("raise spooler-processes instead", "the spooler %s is there already", dir)
			}
		}
		s.Spoolers = append(s.Spoolers,
			Spooler{Dir: dir, Processes: s.SpoolerProcesses, External: external, Origin: v.Origin})
		return nil
	}
}

// place is where jobs are: a folder with its real name, by which the application asks for it.
func place(text string) (string, error) {
	if isRedis(text) {
		return text, nil
	}
	if strings.Contains(text, "://") {
		return "", fault("write a folder, or redis://HOST:PORT/DB", "%s is neither a folder nor Redis", text)
	}
	dir, err := filepath.Abs(text)
	if err != nil {
		return "", fmt.Errorf("the working directory: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return dir, nil
}
