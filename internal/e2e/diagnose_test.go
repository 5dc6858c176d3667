package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// TestLastWord: the last line of a start that has failed says what failed, where, and what to
// write; nothing says it a second time.
func TestLastWord(t *testing.T) {
	python := `\(Python 3\.\d+\.\d+, no virtualenv: home= is not set\) looked in `
	for args, c := range map[string]struct{ reason, rest string }{
		"--module nothing":                                 {"ModuleNotFoundError: No module named 'nothing'", `^module = nothing: ModuleNotFoundError: .*\. \S+/python3 ` + python + "$DIR, "},
		"--master --module nothing":                        {"ModuleNotFoundError: No module named 'nothing'", `^module = nothing: ModuleNotFoundError: .*\. \S+/python3 ` + python + "$DIR, "},
		"--lazy-apps -p 2 --module nothing":                {"", `^module = nothing: ModuleNotFoundError: No module named 'nothing'\. `},
		"--ini near.ini":                                   {"No module named 'naemd'", `^near\.ini:2: module = naemd: .*The nearest is named: write module = named`},
		"--master --module naemd":                          {"No module named 'naemd'", `The nearest is named: write module = named`},
		"--module pkg.wsgi":                                {"No module named 'pkg'", `It is in $DIR/site: write chdir = $DIR/site`},
		"--chdir site/pkg --module pkg.wsgi":               {"No module named 'pkg'", `It is in $DIR/site: write chdir = $DIR/site`},
		"--env PYTHONPATH=far --module namex":              {"No module named 'namex'", `looked in $DIR, .*$DIR/far, .*The nearest is named: write module = named`},
		"--chdir site --module pkg.wsg:app":                {"No module named 'pkg.wsg'", `looked in $DIR/site/pkg\. The nearest is pkg\.wsgi: write module = pkg\.wsgi:app`},
		"--chdir site --module named.x":                    {"No module named 'named'", `It is in $DIR: write chdir = $DIR`},
		"--module named.x":                                 {"No module named 'named\\.x'; 'named' is not a package", `named is a file, $DIR/named\.py, and no package`},
		"--module named.py":                                {"No module named 'named\\.py'", `and no package: write module = named; exiting`},
		"--module named.py:app":                            {"No module named 'named\\.py'", `and no package: write module = named:app; exiting`},
		"--wsgi-file site/proj/wsgi.py":                    {"No module named 'proj'", `It is in $DIR/site: write pythonpath = $DIR/site; `},
		"--module other":                                   {"No module named 'inother'", `\. $DIR/py/bin/python3\.12 \(Python 3\.12\) has it: install it for this one, too \(\S+ -m pip install\), or write py-programname = $DIR/py/bin/python3\.12; `},
		"--module django.core.handlers.wsgi:WSGIHandler()": {`AppRegistryNotReady: not yet`, `Since Django 1\.7: write module = django\.core\.wsgi:get_wsgi_application\(\); `},
		"--module named":                                   {`unable to find "application" callable in $DIR/named\.py`, `^module = named: .*\. It has app: write module = named:app`},
		"--module named --callable appli":                  {`unable to find "appli" callable`, `It has app: write callable = app`},
		"--wsgi-file named.py":                             {`unable to find "application" callable`, `It has app: write callable = app`},
		"--mount /x=named.py":                              {`unable to find "application" callable`, `It has app: write mount = /x=named\.py:app`},
		"--module factory":                                 {`unable to find "application" callable`, `It has create_app\(\): write module = factory:create_app\(\)`},
		"--wsgi-file naemd.py":                             {`failed to open python file naemd\.py`, `The nearest is $DIR/named\.py`},
		"--wsgi-file no/where.py":                          {`failed to open python file`, `There is no folder $DIR/no`},
		"--module needs":                                   {"ModuleNotFoundError: No module named 'inavenv'", `^module = needs: it cannot be imported, see above\. .*The virtualenv $DIR/env has it: write home = $DIR/env`},
		"--module fails":                                   {"RuntimeError: once", `module = fails: it cannot be imported, see above`},
		"--module broken":                                  {"SyntaxError: ", `module = broken: it cannot be imported, see above`},
		"--wsgi-file site":                                 {"failed to open python file site: it is a folder", `^wsgi-file = site: `},
		"--asgi-file site/pkg":                             {"it is a folder", `Write asgi-file = site/pkg/wsgi\.py`},
		"--module ./named:app":                             {`"\./named" is no name of a module`, `^module = \./named:app: .*Write module = named:app`},
		"--chdir site --wsgi-file named.py":                {"failed to open python file", `looked for in $DIR/site: write wsgi-file = $DIR/named\.py`},
		"--module nothing --wsgi-file nothing.py":          {`failed to open python file nothing\.py`, `^wsgi-file = nothing\.py: `},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath + ":" + s.Path("py/bin"))
			s.Write("py/bin/python3.12", "")
			s.Write("py/lib/python3.12/site-packages/inother.py", "")
			s.Write("other.py", "import inother\n")
			s.Write("site/proj/wsgi.py", "import proj.settings\n")
			for _, dir := range []string{"django", "django/core", "django/core/handlers"} {
				s.Write(dir+"/__init__.py", "")
			}
			s.Write("django/core/handlers/wsgi.py", "class AppRegistryNotReady(Exception):\n    pass\n\n\n"+
				"class WSGIHandler:\n    def __init__(self):\n        raise AppRegistryNotReady('not yet')\n")
			s.Write("named.py", "def app(environ, start_response):\n    pass\n")
			s.Write("factory.py", "def helper(): pass\ndef create_app():\n    pass\n")
			s.Write("site/pkg/wsgi.py", "")
			s.Write("far/namez.py", "")
			s.Write("needs.py", "import inavenv\n")
			s.Write("env/pyvenv.cfg", "")
			s.Write("env/lib/python3.11/site-packages/inavenv.py", "")
			s.Write("fails.py", "raise RuntimeError('once')\n")
			s.Write("broken.py", "def (:\n")
			s.Write("near.ini", "[uwsgi]\nmodule = naemd\n")
			s.Tolerate("unable to load app|GAME OVER|Error: |Traceback|unable to find|failed to open")
			s.Allow("exiting with status 22")
			s.Launch(append(strings.Fields(args), "--http", harness.Addr(t))...)
			if code := s.Exit(); code != 22 {
				t.Errorf("exit status %d", code)
			}
			s.Log.Wait(t, "exiting with status 22$")
			lines := s.Log.Lines(0)
			reason, rest := strings.ReplaceAll(c.reason, "$DIR", s.Dir), strings.ReplaceAll(c.rest, "$DIR", s.Dir)
			if last := lines[len(lines)-1]; !regexp.MustCompile(rest).MatchString(last) {
				t.Errorf("the last line is %q, not %q", last, rest)
			}
			if n := s.Log.Count(reason); reason != "" && n != 1 {
				t.Errorf("%q is said %d times", reason, n)
			}
		})
	}
}

// TestClosedFolder: where the application's user may not go, the first folder in the way is named,
// with the user and the mode, whatever was to be done there.
func TestClosedFolder(t *testing.T) {
	needs.Root(t)
	for args, want := range map[string]string{
		"--chdir home/site --module app":      "uid 33 may not enter $DIR/home ",
		"--pythonpath home/site --module app": "uid 33 may not enter $DIR/home ",
		"--wsgi-file home/site/app.py":        "uid 33 may not enter $DIR/home ",
		"--wsgi-file secret.py":               "uid 33 may not read $DIR/secret.py ",
		"--home home/env --module app":        "uid 33 may not enter $DIR/home ",
		"--home env --module app":             "uid 33 may not enter $DIR/home ",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Write("home/site/app.py", version("x"))
			s.Write("secret.py", version("x"))
			for _, err := range []error{os.Chmod(s.Path("home"), 0o700), os.Chmod(s.Path("secret.py"), 0o600),
				os.MkdirAll(s.Path("home/env/bin"), 0o755), os.MkdirAll(s.Path("env/bin"), 0o755),
				os.Symlink("/usr/bin/python3", s.Path("home/env/bin/python3")),
				os.Symlink(s.Path("home/env/bin/python3"), s.Path("env/bin/python3"))} {
				if err != nil {
					t.Fatal(err)
				}
			}
			s.Tolerate("unable to load app|GAME OVER|Error: |Traceback|^uwsgi: |exiting with status")
			s.Launch(append(strings.Fields(args), "--http", harness.Addr(t), "--uid", "33", "--gid", "33")...)
			if code := s.Exit(); code != 22 && code != 1 {
				t.Errorf("exit status %d", code)
			}
			s.Log.Wait(t, strings.ReplaceAll(want, "$DIR", s.Dir)+`\(mode 0[67]00, of uid 0\).*chmod o\+[rx]+ `)
		})
	}
}

// TestClosedToWhoStarts: the same of what the start itself makes, for a user who is not root.
func TestClosedToWhoStarts(t *testing.T) {
	needs.Root(t)
	for args, want := range map[string]string{
		"--http-socket shut/x.sock":                  `http-socket = shut/x\.sock: bind\(\): Permission denied`,
		"--http-socket shut/deep/x.sock":             `http-socket = shut/deep/x\.sock: bind\(\): Permission denied`,
		"--logto shut/x.log --http-socket @$TEST":    `logto = shut/x\.log: open .*/shut/x\.log: permission denied`,
		"--master-fifo shut/f --http-socket @$TEST":  `master-fifo = shut/f: .*: permission denied`,
		"--chdir shut/deep --http-socket @$TEST":     `chdir = shut/deep: chdir\(\) to .*/shut/deep: permission denied`,
		"--virtualenv shut/env --http-socket @$TEST": `virtualenv = shut/env: `,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Under("setpriv", "--reuid=33", "--regid=33", "--clear-groups")
			s.Write("shut/env/bin/python3", "")
			s.Write("shut/deep/x", "")
			if err := os.Chmod(s.Path("shut"), 0o700); err != nil {
				t.Fatal(err)
			}
			out, err := s.Command(strings.Fields(strings.ReplaceAll(args, "$TEST", s.Dir))...).CombinedOutput()
			if err == nil {
				t.Errorf("it started")
			}
			said := strings.ReplaceAll(string(out), "\n", " ")
			blocked := `uid 33 may not (enter|write in) ` + s.Dir + `/shut \(mode 0700, of uid 0\)`
			if !regexp.MustCompile(want).MatchString(said) || !regexp.MustCompile(blocked).MatchString(said) {
				t.Errorf("no %q and %q in\n%s", want, blocked, out)
			}
		})
	}
}
