package manual

import "slices"

// Command is a word that stands where an option or a file would, and makes this program do
// something else than serve.
type Command struct {
	Name string
	Args string // what follows it, as the usage line writes it
	Help string // in a few words
	Text string // in sentences, for `uwsgi help NAME` and the manual page
}

// Commands are all of them, in the order that people meet them.
var Commands = []Command{
	{"check", "FILE [--json] [--syntax]", "judge a configuration, start nothing",
		"Judges every line of a configuration without starting: honoured, not needed, refused or " +
			"unknown. Looks, too, " +
			"whether it would start on this machine: users, folders and who may use them, ports, the virtualenv, and " +
			"the application, which is read and not imported. With --syntax it judges the lines " +
			"alone, whatever machine " +
			"they are for. With --json it writes one object a line, with file, line, option, value, " +
			"standing (honoured, " +
			"not needed, refused, unknown), note and, where so, fatal or warning: true. Exits with 0 " +
			"where all is well, 1 " +
			"where it would not start, 2 where something is refused, 3 where a key is unknown or " +
			"something is doubtful."},
	{"init", "[DIR] [--write]", "print a uwsgi.ini for the project in a folder",
		"Looks at the project in a folder and prints a uwsgi.ini for it, the lines for nginx and " +
			"those for systemd. With " +
			"--write the file is written into the folder, unless there is one."},
	{"list", "[--json]", "show the instances of this machine (also: status)", "Shows the instances of this machine: " +
		"the units of systemd, and those that run without one. With --json it writes an array of objects: instance, " +
		"state, pid, answers, workers, slots, busy, connections, in_flight, websockets, " +
		"loop_lag_us, requests, refused, " +
		"memory_bytes, since."},
	{"reload", "PIDFILE", "load the code anew; wait for what comes of it",
		"Reloads an instance, by its pidfile or process id, and waits until the new code serves; " +
			"fails, and says why, " +
			"where the old code goes on serving."},
	{"stop", "PIDFILE", "stop an instance", "Stops an instance, by its pidfile or process id."},
	{"spool", "DIR", "show what waits in a spooler's folder",
		"Shows what waits, runs and has failed in the folder of a " +
			"spooler; more in uwsgi spool --help."},
	{"help", "[OPTION]", "this; or all about one option or command", "Explains one option, with its default and an " +
		"example, or one command. uwsgi --help-all shows all options."},
	{"completion", "SHELL", "write a completion script: bash, zsh or fish",
		"Writes a completion script, for bash, zsh " +
			"or fish, to standard output."},
	{"man", "[uwsgi.ini]", "write a manual page", "Writes the manual page of this program, or of its configuration " +
		"files, to standard output: uwsgi man | man -l -"},
}

// IsCommand reports whether a word is a command that has no help of its own and Topic explains.
func IsCommand(name string) bool {
	return command(name) != nil && !slices.Contains([]string{"spool", "help", "init"}, name)
}

// command finds one; status is list.
func command(name string) *Command {
	if name == "status" {
		name = "list"
	}
	for i := range Commands {
		if Commands[i].Name == name {
			return &Commands[i]
		}
	}
	return nil
}
