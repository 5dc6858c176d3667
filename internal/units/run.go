package units

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// usage is what a call by hand shows.
const usage = `uwsgi-generator: writes drop-ins of uwsgi@NAME.service and uwsgi@NAME.socket from /etc/uwsgi/apps-enabled.
usage:
  uwsgi-generator NORMAL-DIR [EARLY-DIR LATE-DIR]   called by systemd: systemd.generator(7)
  uwsgi-generator --refresh NAME                    make systemd know the application's configuration as it is now
  uwsgi-generator --stopping|--stopped NAME         close the application's sockets, unless it is being restarted
  uwsgi-generator --start                           --refresh for all, then start each
  uwsgi-generator --print                           show what would be written
  uwsgi-generator --pidfile FILE [PID]              write or remove a pidfile of root's
  uwsgi-generator --logfile FILE USER [GROUP]       make a log file that the user may write
  uwsgi-generator --wishes FOLDER OPTION ...        show what a configuration asks of its unit
`

// IsGenerator reports whether the program was called by the generator's name.
func IsGenerator(argv0 string) bool { return filepath.Base(argv0) == "uwsgi-generator" }

// Run is the program; args come without its name. The exit status of a call by systemd is 0 but for
// a folder that cannot be written.
func Run(args []string) int {
	return run(args, OSHost(), thisManager(), os.Stdout, os.Stderr)
}

func run(args []string, h Host, m manager, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 2 && args[0] == "--refresh":
		return refresh(h, m, args[1], stderr)
	case len(args) == 2 && args[0] == "--stopping":
		return stopping(m, args[1], stderr)
	case len(args) == 2 && args[0] == "--stopped":
		return stopped(m, args[1], stderr)
	case len(args) == 1 && args[0] == "--start":
		return start(h, m, stderr)
	case len(args) == 1 && args[0] == "--print":
		tree, problems := Plan(h)
		tree.print(stdout)
		tell(stderr, problems)
		return 0
	case (len(args) == 2 || len(args) == 3) && args[0] == "--pidfile":
		return pidfile(args[1:], stderr)
	case (len(args) == 3 || len(args) == 4) && args[0] == "--logfile":
		return logfile(args[1:], stderr)
	case len(args) > 2 && args[0] == "--wishes":
		return wish(h, args[1], args[2:], stdout, stderr)
	case (len(args) == 1 || len(args) == 3) && strings.HasPrefix(args[0], "/"):
		tree, problems := Plan(h)
		report(notUsed, problems...)
		if err := tree.Write(args[0]); err != nil {
			report("", Problem{File: args[0], Err: err})
			return 1
		}
		return 0
	}
	fmt.Fprint(stderr, usage)
	return 2
}

// tell writes problems for whoever started the program: a person, or a unit whose standard error is
// the journal.
func tell(w io.Writer, problems []Problem) {
	for _, p := range problems {
		for line := range strings.Lines(p.Error()) {
			fmt.Fprintf(w, "<4>%s\n", strings.TrimRight(line, "\n"))
		}
	}
}
