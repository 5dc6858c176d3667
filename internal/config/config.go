package config

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"uwsgi/internal/option"
)

// Command is what the command line asks for.
type Command string

// The commands. CommandArgs holds what is named in brackets.
const (
	Serve          Command = "serve"
	Help           Command = "help"
	HelpAll        Command = "help-all"
	Nothing        Command = "" // nothing is asked for: no option, no file, no command
	Version        Command = "version"
	PythonVersion  Command = "python-version"
	Check          Command = "check" // Config.JSON says in which form
	List           Command = "list"
	Completion     Command = "completion" // [shell]
	Man            Command = "man"        // [page: uwsgi or uwsgi.ini]
	DumpOptions    Command = "dump-options"
	Get            Command = "get"              // [keys]
	Stop           Command = "stop"             // [pidfile]
	Reload         Command = "reload"           // [pidfile]
	Pause          Command = "pause"            // [pidfile]; suspend and resume toggle just the same
	ConnectAndRead Command = "connect-and-read" // [address]
	ExtractSource  Command = "extract"          // [source]
	Pyrun          Command = "pyrun"            // [script], the rest is in Settings
	Exit           Command = "exit"             // [status]
)

// Pair is one key and value as it counts in the end.
type Pair struct {
	Key, Value string
	Given      bool // false: a command-line flag without a value
	Origin     option.Origin
}

// Config is a configuration that was read, resolved and judged.
type Config struct {
	Settings    *option.Settings // complete; unless Load returned an error, sound
	Command     Command
	CommandArgs []string
	JSON        bool      // check --json
	Syntax      bool      // check --syntax: the lines alone, whatever machine they are for
	ShowConfig  bool      // show-config: print the pairs, then go on
	Print       []string  // what print and iprint ask to be shown on standard output
	Pairs       []Pair    // every pair in list order after expansion, for show-config
	Findings    []Finding // what `check` prints, in the order of the pairs
}

// Load reads the environment, then the command line (args without the program's name) and every
// file they name, and builds the settings.
//
// The error joins every *option.Error that start-up must not go on with; the Config is never nil
// and holds what could be made of the rest, the findings above all. A command that needs no
// settings (help, stop …) is returned as soon as it is met, as in uWSGI. With the command check,
// faults of the configuration are findings and not an error.
func Load(args, environ []string, h Host) (*Config, error) {
	r := newReader(environ, h)
	c := &Config{Command: Serve}
	if len(args) > 0 {
		switch args[0] {
		case "check":
			c.Command, args = Check, args[1:]
			args, c.JSON = without(args, "--json")
			args, c.Syntax = without(args, "--syntax")
		case "list", "status":
			return &Config{Command: List, CommandArgs: args[1:], Settings: option.Default()}, nil
		case "completion", "man":
			return &Config{Command: Command(args[0]), CommandArgs: args[1:], Settings: option.Default()}, nil
		}
	}
	nothing := len(args) == 0 && c.Command == Serve
	r.checking = c.Command == Check
	r.readEnviron()
	r.readArgs(args)
	if r.checking && len(r.pairs) == 0 && len(r.faults) == 0 {
		r.argument("check", "", "write uwsgi check FILE.ini", errors.New("there is nothing to check"))
	}
	if r.command != "" {
		return &Config{Command: r.command, CommandArgs: r.commandArgs, Settings: option.Default(), Print: r.print},
			r.fatal()
	}
	if nothing && !slices.ContainsFunc(r.pairs, (*pair).known) {
		return &Config{Command: Nothing, Settings: option.Default()}, nil
	}
	r.finish()
	s := r.apply()
	r.verify(s)
	if c.Command == Serve && len(r.get) > 0 {
		c.Command, c.CommandArgs = Get, r.get
	}
	if c.Command == Serve && r.later != "" {
		c.Command = r.later
	}
	if c.Command == Serve && s.Pyrun != "" {
		c.Command, c.CommandArgs = Pyrun, []string{s.Pyrun}
	}
	c.Settings, c.Print, c.ShowConfig = s, r.print, r.showConfig
	for _, p := range r.pairs {
		if !p.bare {
			c.Pairs = append(c.Pairs, p.Pair)
		}
	}
	r.settleFindings()
	c.Findings = r.findings
	err := r.fatal()
	if r.command != "" { // exit from within a file
		c.Command, c.CommandArgs = r.command, r.commandArgs
	}
	if c.Command == Check || c.Command == Version || c.Command == DumpOptions {
		err = nil
	}
	return c, err
}

// Serves reports whether an instance is to be started: a server, or what a script of pyrun finds
// about itself in place of one.
func (c *Config) Serves() bool { return c.Command == Serve || c.Command == Pyrun }

// known reports that the pair sets an option: Kubernetes makes UWSGI_PORT for a service of that
// name.
func (p *pair) known() bool {
	_, ok := option.Lookup(p.Key)
	return ok
}

// without takes one word out of args and reports whether it was there.
func without(args []string, word string) (rest []string, found bool) {
	for _, a := range args {
		if a == word {
			found = true
			continue
		}
		rest = append(rest, a)
	}
	return rest, found
}

// Locate completes err, and the errors joined in it, with the place of the option that they name,
// and returns it.
func (c *Config) Locate(err error) error {
	if e, ok := err.(*option.Error); ok && e.File == "" && e.Name != "" {
		c.place(e)
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			c.Locate(one)
		}
	}
	return err
}

// place finds the pair that counted: the last one of the option, with that value, or one that ends
// with it, where several do.
func (c *Config) place(e *option.Error) {
	row, _ := option.Lookup(e.Name)
	for _, fits := range []func(value string) bool{
		func(value string) bool { return value == e.Value },
		func(value string) bool { return strings.HasSuffix(value, e.Value) },
		func(string) bool { return true },
	} {
		for _, p := range slices.Backward(c.Pairs) {
			if of, ok := option.Lookup(p.Key); ok && of == row && fits(p.Value) {
				e.File, e.Line, e.Name, e.Value = p.Origin.File, p.Origin.Line, p.Key, p.Value
				return
			}
		}
	}
}

// Lookup returns the value of the first pair of that key, which is what %(key) and --get show.
func (c *Config) Lookup(key string) (string, bool) {
	for _, p := range c.Pairs {
		if p.Key == key && p.Given {
			return p.Value, true
		}
	}
	return "", false
}

// fatal joins the faults that stop start-up; nil when there are none.
func (r *reader) fatal() error {
	var errs []error
	for _, f := range r.faults {
		if !f.Warn {
			errs = append(errs, f)
		}
	}
	return errors.Join(errs...)
}

// instanceName is what Debian's scripts call the instance, else the base name of the last
// configuration file named outside any file (the first ones are defaults), else the application's,
// else "uwsgi".
func (r *reader) instanceName(s *option.Settings) string {
	if name := r.environ["UWSGI_DEB_CONFNAME"]; name != "" {
		return name
	}
	if r.named != "" {
		base := filepath.Base(r.named)
		if name := strings.TrimSuffix(base, filepath.Ext(base)); name != "" {
			return name
		}
	}
	for _, a := range s.Apps {
		name, _, _ := strings.Cut(a.Value, ":")
		if a.Kind == "file" {
			name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		}
		if name != "" && a.Kind != "eval" {
			return name
		}
	}
	return "uwsgi"
}
