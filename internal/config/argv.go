package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"uwsgi/internal/option"
)

// ownVariables are UWSGI_ variables of the environment that are no options.
var ownVariables = map[string]bool{
	"UWSGI_RELOADS": true, "UWSGI_VASSALS_DIR": true, "UWSGI_EMPEROR_FD": true, "UWSGI_EMPEROR_FD_CONFIG": true,
	"UWSGI_EMPEROR_PROXY": true,
	"UWSGI_BROODLORD_NUM": true, "UWSGI_JAIL_PID": true, "UWSGI_ORIGINAL_PROC_NAME": true, OwnFile: true, OwnLink: true,
	"UWSGI_ROOT_PIDFILE": true, // the generator's
}

// readEnviron turns UWSGI_FOO_BAR=x into foo-bar = x.
func (r *reader) readEnviron() {
	for _, name := range r.order {
		rest, ok := strings.CutPrefix(name, "UWSGI_")
		if !ok || rest == "" || ownVariables[name] {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
		r.add(&pair{Pair: Pair{Key: key, Value: r.environ[name], Given: true}, source: fromEnviron})
	}
}

// readArgs follows getopt_long: options anywhere, names cut short where that is clear, letters in a
// bunch, "--" ends them; bare arguments count after all options.
func (r *reader) readArgs(args []string) {
	var bare []string
	before := map[string]string{} // what stands in front of one that is bare
	for i := 0; i < len(args) && !r.stopped(); i++ {
		a := args[i]
		switch {
		case a == "--":
			bare = append(bare, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(a, "--"):
			i += r.long(a[2:], args[i+1:])
		case len(a) > 1 && a[0] == '-':
			i += r.letters(a[1:], args[i+1:])
		default:
			bare = append(bare, a)
			if i > 0 {
				before[a] = args[i-1]
			}
		}
	}
	for _, a := range bare {
		if r.stopped() {
			return
		}
		r.bare(a, before[a])
	}
}

// long reads one --name[=value] and returns how many of the following arguments it took.
func (r *reader) long(text string, next []string) int {
	name, value, attached := strings.Cut(text, "=")
	if d, ok := r.declared[name]; ok {
		if d.takesValue && !attached {
			if len(next) == 0 {
				r.argument(name, "", "", errors.New("the option requires an argument"))
				return 0
			}
			r.given(name, next[0], true)
			return 1
		}
		r.given(name, value, attached)
		return 0
	}
	row, ok := option.Lookup(name)
	if !ok {
		full, err := complete(name)
		if err != nil {
			hint := ""
			if near, found := option.Suggest(name); found {
				hint = "did you mean --" + near + "?"
			}
			r.unknown("--"+name, hint, err)
			return 0
		}
		name = full
		row, _ = option.Lookup(name)
	}
	return r.one(row, name, value, attached, next)
}

var errUnrecognized = errors.New("unrecognized option")

// unknown takes in an option that there is not. What follows it is its value, perhaps.
func (r *reader) unknown(name, hint string, err error) {
	r.unread[name] = true
	r.argument(name, "", hint, err)
}

// complete finds the one option whose name begins with prefix.
func complete(prefix string) (string, error) {
	names := option.WithPrefix(prefix)
	if prefix == "" || len(names) == 0 {
		return "", errUnrecognized
	}
	first, _ := option.Lookup(names[0])
	for _, n := range names[1:] {
		if row, _ := option.Lookup(n); row != first {
			return "", fmt.Errorf("the option is ambiguous: --%s", strings.Join(names[:min(len(names), 12)], " --"))
		}
	}
	return names[0], nil
}

// letters reads a bunch of short options: -Mp2 is -M -p 2.
func (r *reader) letters(bunch string, next []string) int {
	for i := 0; i < len(bunch); i++ {
		row, ok := option.ByLetter(bunch[i])
		if !ok {
			r.unread["-"+bunch] = true
			r.argument("-"+bunch[i:i+1], "", "", errUnrecognized)
			return 0
		}
		rest := bunch[i+1:]
		if !row.TakesValue() && !row.Optional {
			r.one(row, row.Name, "", false, nil)
			if r.stopped() {
				return 0
			}
			continue
		}
		return r.one(row, row.Name, rest, rest != "", next)
	}
	return 0
}

// one takes in an option and returns how many of the following arguments it took.
func (r *reader) one(row *option.Row, name, value string, attached bool, next []string) int {
	took := 0
	if !attached && row.TakesValue() {
		switch {
		case strings.HasPrefix(row.Name, "daemonize") && (len(next) == 0 || notALog(next[0])):
			// "uwsgi -d --ini uwsgi.ini": to the background, without a log of its own.
		case len(next) == 0:
			r.argument("--"+name, "", "", errors.New("the option requires an argument"))
			return 0
		default:
			value, attached, took = next[0], true, 1
		}
	}
	if row.CLIOnly {
		r.run(row, value)
		return took
	}
	r.given(name, value, attached)
	return took
}

// notALog reports that what follows -d is meant for someone else: an option, or a configuration
// file.
func notALog(next string) bool {
	return strings.HasPrefix(next, "-") || format(next) != ""
}

// given adds a pair of the command line.
func (r *reader) given(key, value string, attached bool) {
	r.add(&pair{Pair: Pair{Key: key, Value: value, Given: attached}, source: fromArgs})
}

// argument files a fault of the command line.
func (r *reader) argument(name, value, hint string, err error) {
	r.fault(&pair{Pair: Pair{Key: name, Value: value}, source: fromArgs}, standingOf(strings.TrimLeft(name, "-")),
		&option.Error{Err: err, Hint: hint})
}

// run carries out an option that is a command. Most end the reading at once, so an earlier one wins
// over everything after it.
func (r *reader) run(row *option.Row, value string) {
	switch row.Name {
	case "help":
		r.command = Help
	case "help-all":
		r.command = HelpAll
	case "version":
		r.command = Version
	case "python-version":
		r.later = PythonVersion
	case "dump-options":
		r.command = DumpOptions
	case "get":
		r.get = append(r.get, value)
	case "stop":
		r.command, r.commandArgs = Stop, []string{value}
	case "reload":
		r.command, r.commandArgs = Reload, []string{value}
	case "pause", "suspend", "resume":
		r.command, r.commandArgs = Pause, []string{value}
	case "connect-and-read":
		r.command, r.commandArgs = ConnectAndRead, []string{value}
	case "extract":
		r.command, r.commandArgs = ExtractSource, []string{value}
	}
}

// dotted is MODULE or MODULE:CALLABLE as module takes it.
var dotted = regexp.MustCompile(`^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?$`)

// otherCommands are commands of other servers, and what to write here.
var otherCommands = map[string]string{
	"start": "uwsgi FILE.ini starts one", "run": "uwsgi FILE.ini starts one", "serve": "uwsgi FILE.ini starts one",
	"restart": "uwsgi reload PIDFILE loads the code anew", "quit": "uwsgi stop PIDFILE", "kill": "uwsgi stop PIDFILE",
}

// bare takes in an argument that is no option: a configuration file, or an application. Before is
// the argument in front of it.
func (r *reader) bare(a, before string) {
	key := ""
	switch {
	case strings.HasPrefix(a, "["):
		return
	case format(a) != "":
		key = format(a)
	case strings.HasSuffix(a, ".py"):
		key = "file" // of either interface
	case strings.HasSuffix(a, ".wsgi"):
		key = "wsgi-file"
	case dotted.MatchString(a):
		key = "module"
	case r.checking:
		key = "ini" // uwsgi check /etc/uwsgi/app.conf
	default:
		if r.unread[before] {
			return // the value of an option that there is not
		}
		hint := "a configuration file ends in .ini, .yaml, .json or .xml; name others with --ini"
		name, value, assigned := strings.Cut(a, "=")
		if row := attachable(before); row != nil {
			hint = "write --" + row.Name + "=" + a
		} else if plain := strings.TrimLeft(a, option.Dashes); plain != a && plain != "" {
			hint := "write --" + plain + ", with two plain hyphens"
			if len(plain) == 1 {
				hint = "write -" + plain + ", with a plain hyphen"
			}
			r.unknown(a, hint, errors.New("it begins with a typographic dash"))
			return
		} else if of, ok := otherCommands[a]; ok {
			hint = of
		} else if _, ok := option.Lookup(name); ok && assigned {
			hint = "write --" + name + "=" + value
		}
		r.argument(a, "", hint, errors.New("unable to load a configuration from it"))
		return
	}
	r.add(&pair{Pair: Pair{Key: key, Value: a, Given: true}, source: fromArgs, bare: key != "module" &&
		!strings.HasSuffix(key, "file")})
}

// attachable is the option, by name or letter, whose value must be attached to it; nil for others.
func attachable(arg string) *option.Row {
	row, ok := (*option.Row)(nil), false
	if name, long := strings.CutPrefix(arg, "--"); long {
		row, ok = option.Lookup(name)
	} else if len(arg) == 2 && arg[0] == '-' {
		row, ok = option.ByLetter(arg[1])
	}
	if !ok || !row.Optional {
		return nil
	}
	return row
}
