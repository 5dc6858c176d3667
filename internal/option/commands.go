package option

const groupCommands Group = "Commands"

// CommandSettings is what these rows say about commands and the background.
type CommandSettings struct {
	Pyrun          string // script to run in place of a server
	NoServer       bool   // load the application, then exit 0
	Daemonize      string // log file or host:port, "" = stay in the foreground
	DaemonizeLate  bool   // daemonize2: detach only once the application is loaded
	DaemonizePlain bool   // bare -d: detach without naming a log
}

// Rows of the command line: package config turns them into a Command.
var commandRows = []Row{
	{Name: "help", Aliases: []string{"usage"}, Short: 'h', Kind: Flag, CLIOnly: true, Group: groupCommands,
		Help: "show the commands and the options that people use and exit"},
	{Name: "help-all", Kind: Flag, CLIOnly: true, Since: "ours", Group: groupCommands,
		Help: "show every option and exit, through $PAGER on a terminal"},
	{Name: "version", Kind: Flag, CLIOnly: true, Group: groupCommands, Help: "show the version and exit"},
	{Name: "python-version", Kind: Flag, CLIOnly: true, Group: groupCommands,
		Help: "show the version of the application's Python and exit"},
	{Name: "show-config", Kind: Flag, Group: groupCommands, Help: "show the effective pairs in the log, then go on"},
	{Name: "dump-options", Kind: Flag, CLIOnly: true, Group: groupCommands,
		Help: "show the name of every option and exit"},
	{Name: "get", Example: "http", Kind: Text, Repeat: true, CLIOnly: true, Group: groupCommands,
		Help: "show the expanded value of a key and exit"},
	{Name: "stop", Kind: Path, CLIOnly: true, Group: groupCommands,
		Example: "/run/uwsgi/mysite.pid", Help: "stop the instance whose pidfile this is"},
	{Name: "reload", Example: "/run/uwsgi/mysite.pid", Kind: Path, CLIOnly: true, Group: groupCommands,
		Help: "reload the instance whose pidfile this is"},
	{Name: "pause", Example: "/run/uwsgi/mysite.pid", Kind: Path, CLIOnly: true, Group: groupCommands,
		Help: "pause or resume the instance whose pidfile this is"},
	{Name: "suspend", Kind: Path, CLIOnly: true, Group: groupCommands,
		Example: "/run/uwsgi/mysite.pid", Help: "the same as pause"},
	{Name: "resume", Kind: Path, CLIOnly: true, Group: groupCommands,
		Example: "/run/uwsgi/mysite.pid", Help: "the same as pause"},
	{Name: "connect-and-read", Example: "127.0.0.1:1717", Kind: Address, CLIOnly: true, Group: groupCommands,
		Help: "connect, show what arrives (a stats socket for example) and exit"},
	{Name: "extract", Example: "/etc/hostname", Kind: Text, CLIOnly: true, Group: groupCommands,
		Help: "show the content of anything a configuration can be read from and exit"},
	{Name: "print", Example: "%(name) is configured", Kind: Text, Repeat: true, Group: groupCommands,
		Help: "show a text once the configuration is complete"},
	{Name: "iprint", Example: "reading %p", Kind: Text, Repeat: true, Group: groupCommands,
		Help: "show a text while the configuration is read"},
	{Name: "exit", Kind: Int, Optional: true, Group: groupCommands, Help: "exit with this status where it stands"},
	{Name: "pyrun", Aliases: []string{"python", "py"}, Example: "manage.py", Kind: Path, Group: groupCommands,
		Set:  text(func(s *Settings) *string { return &s.Pyrun }),
		Help: "run a Python script, which has the uwsgi module, in place of a server, and end with its exit status"},
	{Name: "no-server", Kind: Flag, Group: groupCommands, Set: flag(func(s *Settings) *bool { return &s.NoServer }),
		Help: "load the application, then exit"},
	{Name: "daemonize", Short: 'd', Kind: Path, Group: groupCommands, Set: daemonize(false),
		Example: "/var/log/uwsgi/mysite.log",
		Help: "go to the background and log to this file or HOST:PORT (UDP); where systemd runs, become a unit " +
			"uwsgi-NAME that logs to the journal; a bare -d names no log"},
	{Name: "daemonize2", Example: "/var/log/uwsgi/mysite.log", Kind: Path, Group: groupCommands, Set: daemonize(true),
		Help: "the same, once the application is loaded"},
}

func daemonize(late bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		s.Daemonize, s.DaemonizeLate, s.DaemonizePlain = v.Text, late, false
		if v.Given && v.Text != "" && !IsBoolWord(v.Text) && v.Text != "1" && v.Text != "0" {
			return nil
		}
		s.Daemonize, s.DaemonizePlain = "", true
		if !v.Given {
			return nil
		}
		if on, _ := v.Bool(); !on {
			s.DaemonizeLate, s.DaemonizePlain = false, false
			return warning("leave the line out", "%s takes the path of a log file; %q is read as no", v.Name, v.Text)
		}
		return warning("write "+v.Name+" = /var/log/uwsgi/app.log",
			"%s takes the path of a log file; uWSGI would log into a file called %q", v.Name, v.Text)
	}
}
