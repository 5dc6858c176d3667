package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"uwsgi/internal/project"
)

const initUsage = `usage: uwsgi init [DIR] [--write]

Looks at a project and prints a uwsgi.ini for it, the lines for nginx and those
for systemd. With --write the file is written into the folder, unless there is
one.
`

// initCommand is `uwsgi init`.
func initCommand(args []string, std Streams) int {
	dir, write := "", false
	for _, a := range args {
		switch {
		case a == "--write":
			write = true
		case a == "--help" || a == "-h":
			fmt.Fprint(std.Out, initUsage)
			return exitOK
		case strings.HasPrefix(a, "-") || dir != "":
			fmt.Fprint(std.Err, initUsage)
			return exitUsage
		default:
			dir = a
		}
	}
	p, err := project.Find(dir, os.Getenv("VIRTUAL_ENV"), ownHome())
	if err != nil {
		return complain(std.Err, err)
	}
	const name = "uwsgi.ini"
	if !write {
		p.INI(std.Out, name)
		fmt.Fprintln(std.Out)
		p.Further(std.Out, name)
		return exitOK
	}
	at := filepath.Join(dir, name)
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s is there already, and stays as it is: uwsgi init prints another", at)
	}
	if err != nil {
		return complain(std.Err, err)
	}
	p.INI(f, at)
	if err := f.Close(); err != nil {
		return complain(std.Err, err)
	}
	fmt.Fprintf(std.Out, "%s is written: %s, %s\n\n", at, p.Module, p.From)
	p.Further(std.Out, at)
	return exitOK
}
