package option

import (
	"path/filepath"
	"strings"
	"time"
)

const groupPython Group = "Python"

// PythonSettings is what these rows say about the interpreter.
type PythonSettings struct {
	SingleInterpreter      bool // mounts may get each other's modules
	PythonPath             []string
	Home                   string // virtualenv, as written (relative to Chdir's cwd)
	PyProgramName          string
	PyExecutable           string
	PyArgv                 []string
	Imports                []string
	SharedImports          []string
	PyModuleAlias          []string
	Optimize               int
	NoSite                 bool
	FileWrapper            bool // default true
	PyAutoreload           time.Duration
	PyAutoreloadSkip       []string
	ThreadStackSize        int64 // bytes; 0 = the system's
	SkipAtexit             bool
	ReloadOnException      bool
	ReloadOnExceptionOf    []string // type names
	ReloadOnExceptionValue []string // messages
	ReloadOnExceptionRepr  []string // Type: message
}

var pythonRows = []Row{
	{Name: "home", Unset: "the virtualenv that uwsgi lies in or that is activated, else the first python3 on PATH",
		Aliases: []string{"virtualenv", "venv", "pyhome"}, Short: 'H', Kind: Path, Group: groupPython,
		Example: "/srv/mysite/venv",
		Set:     home, Help: "the virtualenv of the application"},
	{Name: "pythonpath", Aliases: []string{"python-path", "pp", "early-pythonpath", "early-python-path"}, Kind: Path,
		Example: "/srv/mysite/lib",
		Repeat:  true, Group: groupPython,
		Set:  list(func(s *Settings) *[]string { return &s.PythonPath }),
		Help: "put a folder (or a glob) in front of sys.path"},
	{Name: "pyargv", Kind: Text, Group: groupPython, Set: pyargv,
		Example: "--settings production", Help: "sys.argv after the first, split at blanks"},
	{Name: "import", Aliases: []string{"pyimport", "py-import", "python-import", "early-pyimport",
		"early-python-import"}, Example: "mysite.tasks", Kind: Text, Repeat: true, Group: groupPython,
		Set:  placed("import", list(func(s *Settings) *[]string { return &s.Imports })),
		Help: "import a module or a file where the application is loaded"},
	{Name: "shared-import", Aliases: []string{"shared-pyimport", "shared-py-import", "shared-python-import"},
		Example: "mysite.metrics",
		Kind:    Text, Repeat: true, Group: groupPython,
		Set:  placed("shared-import", list(func(s *Settings) *[]string { return &s.SharedImports })),
		Help: "import a module or a file in every process"},
	{Name: "pymodule-alias", Aliases: []string{"post-pymodule-alias"}, Kind: NameValue, Repeat: true,
		Example: "settings=/srv/mysite/production.py",
		Group:   groupPython,
		Set:     placed("pymodule-alias", list(func(s *Settings) *[]string { return &s.PyModuleAlias })),
		Help:    "let a module be imported under another name: NAME=MODULE or NAME=FILE"},
	{Name: "py-programname", Aliases: []string{"py-program-name"}, Kind: Path, Group: groupPython,
		Set:  text(func(s *Settings) *string { return &s.PyProgramName }),
		Help: "the interpreter to run when home names none"},
	{Name: "py-executable", Aliases: []string{"py-sys-executable"}, Kind: Path, Group: groupPython,
		Set: text(func(s *Settings) *string { return &s.PyExecutable }), Help: "value of sys.executable"},
	{Name: "optimize", Short: 'O', Kind: Int, Group: groupPython,
		Set: integer(func(s *Settings) *int { return &s.Optimize }), Help: "level of Python's -O"},
	{Name: "no-site", Kind: Flag, Group: groupPython, Set: flag(func(s *Settings) *bool { return &s.NoSite }),
		Help: "start Python without the site module"},
	{Name: "py-autoreload", Aliases: []string{"py-auto-reload", "python-auto-reload", "python-autoreload"},
		Kind: Seconds, Group: groupPython,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.PyAutoreload }),
		Help: "look this often for changed Python files and reload (for development)"},
	{Name: "py-auto-reload-ignore", Example: "mysite.generated", Kind: Text, Repeat: true, Group: groupPython,
		Set:  list(func(s *Settings) *[]string { return &s.PyAutoreloadSkip }),
		Help: "a module py-autoreload does not watch"},
	{Name: "single-interpreter", Short: 'i', Kind: Flag, Group: groupPython,
		Set:  flag(func(s *Settings) *bool { return &s.SingleInterpreter }),
		Help: "let mounts share modules and Django settings of the same name, where the start ends otherwise"},
	{Name: "wsgi-disable-file-wrapper", Kind: Flag, Group: groupPython,
		Set: flagOff(func(s *Settings) *bool { return &s.FileWrapper }), Help: "offer no wsgi.file_wrapper"},
	{Name: "wsgi-env-behaviour", Aliases: []string{"wsgi-env-behavior"}, Kind: Text, Group: groupPython,
		Example: "holy",
		Set:     envBehaviour,
		Help:    "cheat or holy; every request gets a fresh environ either way"},
	{Name: "catch-exceptions", Kind: Flag, Group: groupPython, Standing: Refused,
		Note: "a traceback belongs into the log, where it stands, and not to clients: use the framework's own " +
			"debug page", Help: "show tracebacks to the client (for development)"},
	{Name: "reload-on-exception", Kind: Flag, Group: groupPython,
		Set:  flag(func(s *Settings) *bool { return &s.ReloadOnException }),
		Help: "replace a worker whose application raised"},
	{Name: "reload-on-exception-type", Example: "OperationalError", Kind: Text, Repeat: true, Group: groupPython,
		Set:  list(func(s *Settings) *[]string { return &s.ReloadOnExceptionOf }),
		Help: "… if the exception's class has this name"},
	{Name: "reload-on-exception-value", Kind: Text, Repeat: true, Group: groupPython,
		Example: "connection already closed",
		Set:     list(func(s *Settings) *[]string { return &s.ReloadOnExceptionValue }),
		Help:    "… if its message is this"},
	{Name: "reload-on-exception-repr", Kind: Text, Repeat: true, Group: groupPython,
		Example: "OperationalError('gone away')",
		Set:     list(func(s *Settings) *[]string { return &s.ReloadOnExceptionRepr }),
		Help:    "… if class and message are this"},
	{Name: "thread-stacksize", Aliases: []string{"threads-stacksize", "thread-stack-size", "threads-stack-size"},
		Kind: KiB, Group: groupPython,
		Set:  whole(kibUnits, "KiB", 1<<10, func(s *Settings) *int64 { return &s.ThreadStackSize }),
		Help: "stack of a Python thread"},
	{Name: "skip-atexit", Aliases: []string{"skip-atexit-teardown"}, Kind: Flag, Group: groupPython,
		Set:  flag(func(s *Settings) *bool { return &s.SkipAtexit }),
		Help: "a worker leaves without running atexit handlers"},
}

func home(s *Settings, v Value) error {
	s.Home = v.Text
	// …/bin/python is inside the virtualenv that was meant.
	if dir, base := filepath.Split(filepath.Clean(v.Text)); strings.HasPrefix(base, "python") &&
		filepath.Base(dir) == "bin" {
		s.Home = filepath.Dir(filepath.Clean(dir))
		return warning("write "+v.Name+" = "+s.Home, "the folder of the virtualenv is expected, not its interpreter")
	}
	return nil
}

func pyargv(s *Settings, v Value) error {
	s.PyArgv = strings.Fields(v.Text)
	return nil
}

func envBehaviour(_ *Settings, v Value) error {
	switch strings.TrimSpace(v.Text) {
	case "holy", "cheat":
		return nil
	}
	return warning("write holy or cheat", "%q is neither", v.Text)
}
