package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"uwsgi/internal/access"
	"uwsgi/internal/logging"
	"uwsgi/internal/option"
)

// folders looks at what is entered, written and served. False: the application's own folder cannot
// be entered, and what lies in it is not worth a look.
func (w *World) folders() (whole bool) {
	s := w.Settings
	whole = s.Chdir == "" || w.enterable("chdir", s.Chdir, w.Start, w.missing(w.dir))
	if s.Chdir2 != "" {
		w.enterable("chdir2", s.Chdir2, w.dir, w.missing(s.Chdir2))
	}
	for _, p := range s.PythonPath {
		path := option.PathIn(w.dir, p)
		if strings.ContainsAny(p, "*?[") {
			continue // a pattern may fit nothing
		}
		if st, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			w.note(Doubt, "pythonpath", p, fmt.Errorf("there is no %s", path),
				cmp.Or(option.Misplaced(p, w.dir, w.Start), "nothing is imported from there"))
		} else if err == nil && st.IsDir() { // an archive is none
			if err := access.Check(path, access.Enter, w.cred); err != nil {
				w.note(Doubt, "pythonpath", p, err, "")
			}
		}
	}
	w.files()
	for _, m := range s.StaticMaps {
		path := option.PathIn(w.dir, m.Path)
		if _, err := os.Stat(path); err != nil && errors.Is(err, os.ErrNotExist) {
			w.note(Doubt, staticOption(m), m.Path, fmt.Errorf("there is no %s", path),
				cmp.Or(option.Misplaced(m.Path, w.dir, w.Start), "nothing is served from there"))
		} else if err := access.Check(path, access.Enter, w.cred); err != nil {
			w.note(Doubt, staticOption(m), m.Path, err, "")
		}
	}
	for _, d := range s.Spoolers {
		if !d.Remote() && !d.External {
			w.writable("spooler", d.Dir)
		}
	}
	w.touched()
	for _, source := range s.Emperor.Sources {
		path := strings.TrimPrefix(source, "dir://")
		if strings.ContainsAny(path, "*?[") || strings.Contains(path, "://") {
			continue
		}
		if path = option.PathIn(w.Start, path); !there(path) {
			w.note(Doubt, "emperor", source, fmt.Errorf("there is no %s", path),
				"no instance is started until it is there")
		}
	}
	return whole
}

// staticOption is the option that a folder of files stands in.
func staticOption(m option.StaticMap) string {
	switch m.Kind {
	case "check":
		return "check-static"
	case "map2":
		return "static-map2"
	}
	return "static-map"
}

// files looks at the folders of what the start makes.
func (w *World) files() {
	s := w.Settings
	for _, p := range []struct{ name, path, dir string }{
		{"pidfile", s.Pidfile, w.Start}, {"pidfile2", s.Pidfile2, w.dir},
		{"safe-pidfile", s.SafePidfile, w.dir}, {"safe-pidfile2", s.SafePidfile2, w.dir},
	} {
		if p.path != "" {
			w.parent(p.name, p.path, p.path, p.dir, true)
		}
	}
	for _, path := range s.MasterFIFO {
		w.parent("master-fifo", path, path, w.dir, true)
	}
	for _, f := range logging.FilesOf(s, w.Start, w.Journal) {
		if !strings.HasPrefix(f.Path, "/dev/") && !strings.HasPrefix(f.Path, "/proc/") {
			name, value := logOption(s, w.Start, f.Path)
			w.parent(name, value, value, w.Start, true)
		}
	}
	if s.LogTo2 != "" && !strings.Contains(s.LogTo2, ":") {
		w.parent("logto2", s.LogTo2, s.LogTo2, w.Start, false)
	}
}

// touched looks at the files whose touch sets something off: one that is not there yet may be made,
// but not where nobody can make it, nor where it is not seen.
func (w *World) touched() {
	s := w.Settings
	for _, group := range []struct {
		name  string
		paths []string
	}{
		{"touch-reload", s.TouchReload}, {"touch-workers-reload", s.TouchWorkersReload},
		{"touch-chain-reload", s.TouchChainReload}, {"touch-spoolers-reload", s.TouchSpoolersReload},
		{"touch-mules-reload", s.TouchMulesReload}, {"touch-logreopen", s.TouchLogreopen},
		{"touch-logrotate", s.TouchLogrotate}, {"touch-exec", s.TouchExec},
	} {
		for _, value := range group.paths {
			path := value
			if group.name == "touch-exec" {
				path, _, _ = strings.Cut(value, " ")
			}
			path = option.PathIn(w.dir, path)
			folder := filepath.Dir(path)
			switch err := access.Check(folder, access.Enter, w.cred); {
			case !there(folder):
				w.note(Doubt, group.name, value, fmt.Errorf("there is no folder %s", folder),
					cmp.Or(option.MisplacedNew(value, w.dir, w.Start), "mkdir "+folder))
			case err != nil:
				w.note(Doubt, group.name, value, err, "")
			case !there(path):
				w.note(Note, group.name, value, fmt.Errorf("there is no %s yet", path),
					"touch makes it, and sets it off")
			}
		}
	}
}

// logOption is the option that names a log file, and how it writes that.
func logOption(s *option.Settings, start, path string) (name, value string) {
	switch path {
	case filepath.Clean(option.PathIn(start, s.LogTo)):
		return "logto", s.LogTo
	case filepath.Clean(option.PathIn(start, s.Daemonize)):
		return "daemonize", s.Daemonize
	}
	for _, l := range s.ReqLoggers {
		if strings.Contains(l.Arg, filepath.Base(path)) {
			return "req-logger", path
		}
	}
	return "logger", path
}

// enterable looks at a folder that the application's user goes into, from dir.
func (w *World) enterable(name, value, dir string, missing Gravity) bool {
	path := option.PathIn(dir, value)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		w.note(missing, name, value, fmt.Errorf("there is no folder %s", path),
			option.Misplaced(value, dir, w.other(dir)))
		return false
	case err == nil && !st.IsDir():
		w.note(Fatal, name, value, fmt.Errorf("%s is no folder", path), "")
		return false
	}
	if err := access.Check(path, access.Enter, w.cred); err != nil {
		w.note(Fatal, name, value, err, "")
		return false
	}
	return true
}

// writable looks at a folder that the application's user writes in.
func (w *World) writable(name, path string) {
	if !there(path) {
		w.note(Doubt, name, path, fmt.Errorf("there is no folder %s", path), "mkdir "+path)
	} else if err := access.Check(path, access.Put, w.cred); err != nil {
		w.note(Fatal, name, path, err, "")
	}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
