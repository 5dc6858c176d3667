package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// bootstrap are the names of the modules that a loader is made of.
func bootstrap(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(harness.Root(), "internal", "python", "*.py"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%v %v", files, err)
	}
	var names []string
	for _, f := range files {
		// those are for the application
		if name := strings.TrimSuffix(filepath.Base(f), ".py"); name != "uwsgi" && name != "uwsgidecorators" {
			names = append(names, name)
		}
	}
	return names
}

// An application may have modules of any name, ours among them: it gets its own, and we ours,
// though its folder comes first on PYTHONPATH and a sitecustomize has imported all of it before.
func TestModulesOfTheApplicationsOwn(t *testing.T) {
	t.Parallel()
	names := bootstrap(t)
	for how, preload := range map[string]bool{"imported by the application": false, "imported before": true} {
		t.Run(how, func(t *testing.T) {
			s, addr := harness.New(t), harness.Addr(t)
			for _, name := range names {
				s.Write(name+".py", "whose = 'the application has "+name+"'\n")
			}
			if preload {
				s.Write("site/sitecustomize.py", "import sys\nsys.path.insert(0, "+quote(s.Dir)+")\nimport "+
					strings.Join(names, ", ")+"\nsys.path.pop(0)\n")
			}
			s.Write("app.py", "import "+strings.Join(names, ", ")+
				"\nimport uwsgi\n\ndef application(environ, start_response):\n"+
				"    start_response('200 OK', [])\n    return [('%s, version %s' % (', '.join(m.whose for m in ("+strings.Join(names, ", ")+")), uwsgi.version)).encode()]\n")
			s.Setenv("PYTHONPATH="+s.Path("site")+string(os.PathListSeparator)+s.Dir, "PYTHONSAFEPATH=1")
			s.Start("--http", addr, "--module", "app", "--touch-reload", s.Write("trigger", ""))
			s.Reload()
			a := harness.HTTP(t, addr).Get("/")
			for _, name := range names {
				if !strings.Contains(a.Body, "the application has "+name) {
					t.Errorf("%s: %q", name, a.Body)
				}
			}
			if !strings.Contains(a.Body, "version b'") {
				t.Errorf("the module uwsgi: %q", a.Body)
			}
		})
	}
}

func quote(text string) string { return "'" + text + "'" }

// An application that has no such module finds none of ours in its place; only those that are meant
// for it.
func TestModulesOfOursStayOurs(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import importlib, sys
found = [n for n in sys.modules if n.startswith("uwsgi")]
for name in "uwsgidecorators `+strings.Join(bootstrap(t), " ")+`".split():
    try:
        found.append(importlib.import_module(name).__name__)
    except ImportError:
        pass

def application(environ, start_response):
    start_response("200 OK", [])
    return [" ".join(found).encode()]
`)
	s.Start("--http", addr, "--module", "app")
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "uwsgi uwsgidecorators" {
		t.Errorf("the application finds %s", a.Body)
	}
}
