package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const named = `
NAME = "%s"
def application(environ, start_response):
    start_response("200 OK", [])
    return [(NAME + " " + environ.get("SCRIPT_NAME", "absent") + " " + environ["PATH_INFO"]).encode()]
other = lambda environ, start_response: (start_response("200 OK", []), [b"other"])[1]
class Namespace:
    app = staticmethod(application)
def make():
    return application
def make_with(name):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [name.encode()]
    return app
not_callable = 42
`

func app(name string) string { return strings.Replace(named, "%s", name, 1) }

// TestSources: the ways of naming an application.
func TestSources(t *testing.T) {
	for args, want := range map[string]string{
		"--module app":                           "one  /",
		"-w app":                                 "one  /",
		"--wsgi app":                             "one  /",
		"--module app:other":                     "other",
		"--module app --callable other":          "other",
		"--module app:make()":                    "one  /",
		`--module app:make_with("given")`:        "given",
		"--module app:Namespace.app":             "one  /",
		"--wsgi-file app.py":                     "one  /",
		"--file app.py --callable other":         "other",
		"--wsgi-file pack/sub.py":                "two  /",
		"--module pack.sub":                      "two  /",
		"--module sub --pythonpath pack":         "two  /",
		"--chdir pack --module sub":              "two  /",
		"--eval from~app~import~application":     "one  /",
		"--module nothing --wsgi-file app.py":    "one  /", // in turn: Kinto's documentation has both
		"--module app --wsgi-file nothing.py":    "one  /",
		"--need-app=false --module nothing":      "Internal Server Error\n",
		"--need-app=false --module app:nothing":  "Internal Server Error\n",
		"--lazy-apps --module app --processes 2": "one  /",
		"--lazy --module app":                    "one  /",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", app("one"))
			s.Write("pack/__init__.py", "")
			s.Write("pack/sub.py", app("two"))
			if strings.Contains(args, "noth") {
				s.Tolerate("nothing|unable to load app")
			}
			words := strings.Fields(args)
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "~", " ")
			}
			s.Start(append(words, "--http", addr)...)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != want {
				t.Errorf("%s %q, not %q", a.Line, a.Body, want)
			}
		})
	}
}

// TestNoApplication: what cannot be loaded ends the start with status 22 and a reason; nobody is
// left and no socket.
func TestNoApplication(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		says []string
	}{
		"--module nothing":                        {22, []string{"ModuleNotFoundError: No module named 'nothing'"}},
		"--module app:nothing":                    {22, []string{`unable to find "nothing" callable`}},
		"--module app:not_callable":               {22, []string{"'int' is not callable|not callable"}},
		"--wsgi-file nothing.py":                  {22, []string{"nothing.py"}},
		"--module nothing --wsgi-file none.py":    {22, []string{"No module named 'nothing'", "none.py"}},
		"--lazy-apps --module nothing -p 2":       {22, []string{"No module named 'nothing'"}},
		"--module broken":                         {22, []string{"SyntaxError"}},
		"--module fails":                          {22, []string{"RuntimeError: while it is imported"}},
		"--module exits":                          {5, []string{`exits called exit\(5\) while it was imported`}},
		"--mount /a=app.py --mount /b=nothing.py": {22, []string{"nothing.py"}},
		"--module app --module nothing --no-default-app --mount /x=app:nothing": {22, []string{"nothing"}},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", app("one"))
			s.Write("broken.py", "def (:\n")
			s.Write("fails.py", "raise RuntimeError('while it is imported')\n")
			s.Write("exits.py", "import sys\nsys.exit(5)\n")
			s.Allow("unable to load app|exit", "GAME OVER|could not be loaded", "exiting with status "+itoa(want.code))
			s.Launch(append(strings.Fields(args), "--http", addr, "--socket", s.Path("s.sock"), "--vacuum")...)
			if code := s.Exit(); code != want.code {
				t.Errorf("exit status %d, not %d", code, want.code)
			}
			for _, says := range want.says {
				s.Log.Wait(t, says)
				s.Tolerate(says)
			}
			if left := harness.Exists(s.Path("s.sock")); left {
				t.Errorf("the socket is left")
			}
		})
	}
}

// What an application may have put in the place of Python's own by the time it is imported.
func TestPatchedInterpreter(t *testing.T) {
	for name, patch := range map[string]string{
		"stdout without flush": "class ToLog:\n    def write(self, text): pass\nimport sys\nsys.stdout = ToLog()\n",
		"no stdout":            "import sys\nsys.stdout = None\n",
		"stdout closed":        "import sys\nsys.stdout.close()\n",
		"no stderr":            "import sys\nsys.stderr = None\n",
		"no poll":              "import select\ndel select.poll\n", // eventlet's monkey_patch()
		"open refuses":         "import builtins\ndef refuse(*args, **more): raise OSError('not here')\nbuiltins.open = refuse\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", patch+`
def application(environ, start_response):
    environ["wsgi.errors"].write("a line\n")
    start_response("200 OK", [])
    return [b"served"]
`)
			s.Start("--http", addr, "--module", "app")
			if got := harness.HTTP(t, addr).Get("/").Body; got != "served" {
				t.Errorf("%q", got)
			}
			s.Log.Wait(t, "^a line$")
		})
	}
}

// An exception without a text: its kind is told, and need-app=false stands.
func TestUnprintableException(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute\n")
	s.Start("--http", addr, "--module", "app", "--need-app=false")
	s.Allow("Traceback", "Mute", "File .*app.py", "raise Mute", "unable to load app")
	if got := harness.HTTP(t, addr).Get("/"); got.Status != 500 {
		t.Errorf("%d %q", got.Status, got.Body)
	}
}

// TestMounts: several applications in one instance, by SCRIPT_NAME of the front end, and by the
// path with manage-script-name.
func TestMounts(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	for _, name := range []string{"a", "b", "rest"} {
		s.Write(name+".py", app(name))
	}
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--mount", "/a=a.py", "--mount", "/a/b=b:application",
		"--module", "rest", "--manage-script-name")
	site := harness.HTTP(t, addr)
	for path, want := range map[string]string{
		"/a": "a /a ", "/a/": "a /a /", "/a/x": "a /a /x", "/a/b/x": "b /a/b /x", "/ab": "rest  /ab", "/": "rest  /", "/a%20": "rest  /a ",
	} {
		if a := site.Get(path); a.Body != want {
			t.Errorf("%s: %s %q, not %q", path, a.Line, a.Body, want)
		}
	}
	if a := harness.Uwsgi(t, s.Path("s.sock"), harness.Request("GET", "/a/b/c", ""), ""); a.Body != "b /a/b /c" {
		t.Errorf("uwsgi: %q", a.Body)
	}
}

// TestApplicationsDict: a module, or uwsgi.applications, may have several applications by mount
// point.
func TestApplicationsDict(t *testing.T) {
	const apps = `
def make(name):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [(name + " " + environ["SCRIPT_NAME"] + " " + environ["PATH_INFO"]).encode()]
    return application
`
	for name, c := range map[string]struct{ module, first, second string }{
		"in the module, bytes":       {"applications = {b'': make('all'), b'/a': make('a')}\napplication = make('never')\n", "all  /x", "a /a /x"},
		"in the module, texts":       {"applications = {'': make('all'), '/a': make('a')}\n", "all  /x", "a /a /x"},
		"texts of something else":    {"applications = {'/a': make('a')}\napplication = make('it')\n", "it  /x", "it  /a/x"},
		"no applications":            {"applications = {b'/a': 'a'}\napplication = make('it')\n", "it  /x", "it  /a/x"},
		"in uwsgi, the first serves": {"import uwsgi\nuwsgi.applications = {b'/b': make('b'), b'/a': make('a')}\n", "b  /x", "a /a /x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("several.py", apps+c.module)
			s.Start("--http", addr, "--module", "several", "--manage-script-name")
			site := harness.HTTP(t, addr)
			if a := site.Get("/x"); a.Body != c.first {
				t.Errorf("/x: %q, not %q", a.Body, c.first)
			}
			if a := site.Get("/a/x"); a.Body != c.second {
				t.Errorf("/a/x: %q, not %q", a.Body, c.second)
			}
		})
	}
}

func TestMountsByScriptName(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("a.py", app("a"))
	s.Write("rest.py", app("rest"))
	s.Start("--socket", s.Path("s.sock"), "--mount", "/a=a.py", "--module", "rest")
	for script, want := range map[string]string{"/a": "a /a /x", "": "rest  /x", "/zzz": "rest /zzz /x"} {
		if a := harness.Uwsgi(t, s.Path("s.sock"), harness.Request("GET", "/x", "").With("SCRIPT_NAME", script),
			""); a.Body != want {
			t.Errorf("SCRIPT_NAME=%s: %q, not %q", script, a.Body, want)
		}
	}
}
