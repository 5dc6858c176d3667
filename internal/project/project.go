// Package project finds out what application a folder holds, by reading its files, and writes a
// first configuration for it: `uwsgi init`. Nothing of the project is run.
package project

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Project is what was found in a folder.
type Project struct {
	Dir       string   // absolute: where the application is imported from
	Name      string   // of the instance: the folder's
	Kind      string   // Django, Flask, FastAPI …; "" = unknown
	Module    string   // MODULE:CALLABLE or MODULE:FACTORY()
	ASGI      bool     // it is an ASGI application
	From      string   // the file that says so, relative to Dir
	Others    []string // other applications there are, as Module
	Venv      string   // absolute, "" = none was found
	StaticURL string   // Django's, with a slash at both ends; "" = unknown
	Static    string   // the folder of STATIC_ROOT, absolute; "" = unknown
}

// errNone is for a folder in which nothing was recognised.
var errNone = errors.New("no application was found: looked for manage.py, wsgi.py, asgi.py, app.py, main.py and " +
	"their like, here, in src and in packages; write an ini with module = MODULE:CALLABLE")

// Find looks at a folder. active is the virtualenv that the caller is in, own the one that this
// program is installed in, "" = none.
func Find(dir, active, own string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !st.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	p := &Project{Dir: dir, Name: name(dir)}
	p.Venv = venv(dir, active, own)
	if p.django() || p.plain() {
		return p, nil
	}
	return nil, fmt.Errorf("%s: %w", dir, errNone)
}

var odd = lazy(`[^A-Za-z0-9._-]+`)

// name is one for an instance, that a unit and a file can have.
func name(dir string) string {
	n := strings.Trim(odd.ReplaceAllString(filepath.Base(dir), "-"), "-.")
	if n == "" {
		return "app"
	}
	return n
}

// venv finds the virtualenv of a project: in its folder, else the one that is active, else one
// beside it, else the program's own, which runs without being named.
func venv(dir, active, own string) string {
	tried := []string{}
	for _, n := range []string{".venv", "venv", "env", ".env", "virtualenv"} {
		tried = append(tried, filepath.Join(dir, n))
	}
	if active != "" {
		tried = append(tried, active)
	}
	tried = append(tried, filepath.Join(filepath.Dir(dir), ".venv"), filepath.Join(filepath.Dir(dir), "venv"))
	if own != "" {
		tried = append(tried, own)
	}
	for _, at := range tried {
		if isFile(filepath.Join(at, "pyvenv.cfg")) && isFile(filepath.Join(at, "bin", "python")) {
			return at
		}
	}
	return ""
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// largest is how much of a file is read: an application is named in its first lines.
const largest = 1 << 20

// read gives the text of a file, "" for one that cannot be read.
func read(path string) string {
	if !isFile(path) {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, largest))
	if err != nil {
		return ""
	}
	return string(text)
}

// folders are those below dir where Python code may be, in the order of their names.
func folders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		n := e.Name()
		if e.IsDir() && n[0] != '.' && n != "node_modules" && n != "tests" && n != "docs" &&
			!isFile(filepath.Join(dir, n, "pyvenv.cfg")) {
			all = append(all, n)
		}
	}
	return all
}
