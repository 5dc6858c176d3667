// Package doctor looks for what will fail when a configuration is started, without starting
// anything: users, folders and files, ports, the interpreter and the application. One file a kind.
//
// It judges what can be known now. The application is read and not imported, ports are looked up
// and not bound, and what the start itself makes (folders of systemd's or of hooks) is doubted and
// not missed.
package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"uwsgi/internal/access"
	"uwsgi/internal/option"
)

// A World is what is to be started, and where.
type World struct {
	Settings *option.Settings
	Start    string   // the folder of the start, which relative paths of files begin at
	Journal  bool     // the log is the journal's
	Environ  []string // the application's
	LibDir   string   // where loader.py and its modules are
	// Interpreter finds the application's Python for somebody who would run it in a folder.
	Interpreter func(dir string, cred *syscall.Credential) (string, error)
	Args        []string // options of the interpreter
	// Fits says why the worker library cannot be loaded into an interpreter that somebody runs.
	Fits func(python string, cred *syscall.Credential) error

	dir   string              // the application's folder
	cred  *syscall.Credential // who the application is; nil = this process's user
	root  bool                // it is started as root, who makes sockets and files where that user may not
	hooks bool                // commands run before anything is made
	found []Finding
}

// A Finding is something that is wrong, of an option.
type Finding struct {
	Option, Value string // as the settings have them
	Origin        option.Origin
	Err           error
	Hint          string
	Gravity       Gravity
}

// Gravity is what comes of a finding.
type Gravity int

// The gravities.
const (
	Note  Gravity = iota // worth knowing
	Doubt                // it would start, hardly as it was meant
	Fatal                // it would not start
)

// Examine gives all there is to find.
func Examine(w World) []Finding {
	s := w.Settings
	w.root = os.Geteuid() == 0 || s.UID != "" || s.GID != ""
	for _, h := range s.Hooks {
		w.hooks = w.hooks || !strings.Contains(h.Phase, "exit")
	}
	w.dir = option.PathIn(w.Start, s.Chdir)
	w.accounts()
	whole := w.folders()
	w.sockets()
	if len(s.Emperor.Sources) == 0 {
		w.application(whole)
	}
	return w.found
}

// note files a finding. An error of package access brings its own hint.
func (w *World) note(g Gravity, name, value string, err error, hint string) {
	var b *access.Blocked
	if hint == "" && errors.As(err, &b) && !strings.Contains(err.Error(), b.Hint()) {
		hint = b.Hint()
	}
	w.found = append(w.found, Finding{Option: name, Value: value, Err: err, Hint: hint, Gravity: g})
}

// missing is the gravity of a path that is not there: what commands of the configuration may make
// is not missed, nor what is made at every boot.
func (w *World) missing(path string) Gravity {
	if w.hooks || volatile(path) {
		return Doubt
	}
	return Fatal
}

// other is the one of the two folders that relative paths begin at which dir is not.
func (w *World) other(dir string) string {
	if dir == w.Start {
		return w.dir
	}
	return w.Start
}

func volatile(path string) bool {
	return strings.HasPrefix(path, "/run/") || strings.HasPrefix(path, "/var/run/")
}

// parent looks at the folder of a given path that is made at the start, in dir where it is
// relative, as cred or, where the start is root's, as nobody in particular.
func (w *World) parent(name, value, given, dir string, byRoot bool) {
	path := option.PathIn(dir, given)
	folder := filepath.Dir(path)
	switch st, err := os.Stat(folder); {
	case errors.Is(err, os.ErrNotExist):
		hint := "mkdir " + folder
		if volatile(folder) {
			hint = "under systemd RuntimeDirectory= makes it; else " + hint
		}
		hint = cmp.Or(option.MisplacedNew(given, dir, w.other(dir)), hint)
		w.note(w.missing(folder), name, value, fmt.Errorf("there is no folder %s", folder), hint)
		return
	case err == nil && !st.IsDir():
		w.note(Fatal, name, value, fmt.Errorf("%s is no folder", folder), "")
		return
	}
	if byRoot && w.root {
		return
	}
	if err := access.Creatable(path, w.cred); err != nil {
		w.note(Fatal, name, value, err, "")
	}
}
