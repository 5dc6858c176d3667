package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/option"
)

// patience is how long the interpreter may take to read what there is.
const patience = 20 * time.Second

// reading is what internal/python/uwsgi_check.py says.
type reading struct {
	Python   string // its version
	Unfit    string // why it cannot run an application here
	Problems []struct {
		App    int // of Settings.Apps; -1 = of an import
		Import string
		Error  string
		Hint   string
		Sure   bool // nothing that runs could change it
	}
}

// application finds the interpreter and, where there is a folder to do so in, has it look for the
// application.
func (w *World) application(whole bool) {
	s := w.Settings
	python, err := w.Interpreter(w.dir, w.cred)
	if err != nil {
		var e *option.Error
		if errors.As(err, &e) {
			w.note(Fatal, e.Name, e.Value, e.Err, e.Hint)
		} else {
			w.note(Fatal, w.pythonOption(), "", err, "")
		}
		return
	}
	if err := w.Fits(python, w.cred); err != nil {
		w.note(Fatal, w.pythonOption(), "", err, "")
		return
	}
	if !whole {
		return
	}
	r, err := w.read(python)
	if err != nil {
		w.note(Doubt, w.pythonOption(), "", fmt.Errorf("%s could not look at the application: %w", python, err), "")
		return
	}
	if r.Unfit != "" {
		w.note(Fatal, w.pythonOption(), "", fmt.Errorf("%s, Python %s: %s", python, r.Python, r.Unfit),
			"home names the virtualenv")
		return
	}
	w.judge(r)
	if len(s.Apps) == 0 && len(s.Sockets) > 0 && s.NeedApp {
		w.note(Note, "need-app", "", errors.New("no application is named here"),
			"write module = …, or name it on the command line")
	}
}

// pythonOption is the option that says which interpreter runs.
func (w *World) pythonOption() string {
	switch s := w.Settings; {
	case s.Home != "":
		return "home"
	case s.PyProgramName != "":
		return "py-programname"
	case len(s.Apps) > 0 && s.Apps[0].Mount == "":
		return appOption(s.Apps[0])
	}
	return "module"
}

// judge turns what was read into findings. Of several sources of the application without a mount
// point one is enough.
func (w *World) judge(r *reading) {
	s := w.Settings
	failed := map[int]bool{}
	for _, p := range r.Problems {
		failed[p.App] = true
	}
	served := map[string]bool{}
	for i, app := range s.Apps {
		served[app.Mount] = served[app.Mount] || !failed[i]
	}
	for _, p := range r.Problems {
		f := Finding{Err: errors.New(p.Error), Hint: p.Hint, Gravity: Doubt}
		if p.App < 0 {
			f.Option, f.Value = "import", p.Import
		} else {
			app := s.Apps[p.App]
			f.Option, f.Value, f.Origin = appOption(app), app.Value, app.Origin
			if p.Sure && s.NeedApp && !served[app.Mount] {
				f.Gravity = Fatal
			}
		}
		w.found = append(w.found, f)
	}
}

func appOption(app option.App) string {
	switch {
	case app.Mount != "":
		return "mount"
	case app.Interface == "asgi":
		return map[string]string{"module": "asgi", "file": "asgi-file"}[app.Kind]
	case app.Kind == "file":
		return "wsgi-file"
	}
	return app.Kind
}

// read runs the interpreter as the application's user, in its folder: what it is belongs to that
// user, and so does what it reads.
func (w *World) read(python string) (*reading, error) {
	s := w.Settings
	question, err := json.Marshal(map[string]any{"Apps": s.Apps, "Callable": s.Callable, "PythonPath": s.PythonPath,
		"Home": s.Home, "Imports": s.Imports, "SharedImports": s.SharedImports, "PyModuleAlias": s.PyModuleAlias,
		"PasteName": s.PasteName, "PasteLogger": s.PasteLogger})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append(slices.Clone(w.Args), filepath.Join(w.LibDir, "uwsgi_check.py"))...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = w.dir, bytes.NewReader(question), &said
	cmd.Env = append(slices.Clone(w.Environ), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = time.Second
	if w.cred != nil && syscall.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.cred}
	}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("it took longer than %v", patience)
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return nil, fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	r := &reading{}
	if err := json.Unmarshal(out, r); err != nil {
		return nil, fmt.Errorf("%.100q: %w", out, err)
	}
	return r, nil
}
