package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"uwsgi/internal/config"
	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// checked runs `uwsgi check` and gives what it says and its exit status.
func checked(t *testing.T, s *harness.Server, args ...string) (string, int) {
	t.Helper()
	cmd := s.Command(append([]string{"check"}, args...)...)
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// binds has names that statements of all kinds bind; finds takes them, and others that are no
// fault: what is guarded, what a function or a checker of types takes, submodules, names that
// somebody else sets or that nobody can read.
const (
	binds = `import os.path as a, json.decoder
if a:
    b = 1
    for c, *d in []: pass
with open("/dev/null") as e, (open("/dev/null")): pass
try:
    f = (g := 1)
except ImportError as h: pass
match b:
    case [i, *j] | {"k": i, **j} if (k := i): pass
def l(m=(n := 1), *, o=[p := 2]):
    global q
    q = 1
class r((s := object)): pass
t: int = 1
async def u(): pass
t += 1
import conf.empty, good as v
`
	finds = `import conf.empty
from binds import a, json, b, c, d, e, f, g, h, i, j, k, l, n, p, q, r, s, t, u, conf, v
from conf import empty, __path__, routes as other
from starred import anything
from lazy import whatever
import sets
from good import later
try:
    from good import missing
except ImportError:
    missing = None
if a is None:
    from good import Type
def function():
    from good import none
from good import application
`
)

// TestCheckFindsWhatFails: each line that would end the start is an error of `uwsgi check`, at its
// place and with what to write; what would only disappoint is a doubt; nothing else is either.
func TestCheckFindsWhatFails(t *testing.T) {
	needs.Root(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	for line, c := range map[string]struct {
		exit int
		says string // at the line; "" = nothing but its standing
	}{
		"apparmor-profile = site":                          {2, "apparmor-profile = site: use AppArmorProfile="},
		"home = none":                                      {1, "home = none: !!! Python Home is not a directory"},
		"home = left":                                      {1, "home = left: $DIR/left/bin/python3 leads to /none/python3, which is gone"},
		"home = closed":                                    {1, "uid 33 may not enter $DIR/closed (mode 0700, of uid 0) (chmod o+x $DIR/closed)"},
		"uid = nosuch":                                     {1, "user nosuch not found."},
		"gid = nosuch":                                     {1, "group nosuch not found."},
		"chown-socket = www-data:none":                     {1, "unable to find group none"},
		"chdir = none":                                     {1, "there is no folder $DIR/none"},
		"chdir = closed":                                   {1, "uid 33 may not enter $DIR/closed"},
		"chdir = named.py":                                 {1, "is no folder"},
		"pidfile = none/x.pid":                             {1, "there is no folder $DIR/none (mkdir $DIR/none)"},
		"logto = none/x.log":                               {1, "there is no folder $DIR/none"},
		"logto2 = roots/x.log":                             {1, "uid 33 may not write in $DIR/roots"},
		"logger = file:none/x.log":                         {1, "there is no folder $DIR/none"},
		"socket = none/x.sock":                             {1, "there is no folder $DIR/none"},
		"socket = roots/x.sock":                            {0, ""}, // root binds it
		"socket = /run/none/x.sock":                        {3, "under systemd RuntimeDirectory= makes it"},
		"exec-asap = mkdir none\nsocket = none/x.sock":     {3, "there is no folder $DIR/none"},
		"http = " + busy.Addr().String():                   {1, "(pid " + itoa(os.Getpid()) + ") (end it, or write another port)"},
		"http = :" + itoa(busy.Addr().(*net.TCPAddr).Port): {1, "is in use by"},
		"http = 127.0.0.1:80$(NOTSET)":                     {0, "$(NOTSET) is not set here: set at run time"},
		"processes = $(NOTSET)\ncheaper = 2":               {0, ""},
		"env = X=1\nuid = $(id -u root)":                   {3, "what a command prints is @(exec://id -u root)"},
		"static-map = /s=$DIR/none":                        {3, "there is no $DIR/none"},
		"static-map = /s=$DIR/closed":                      {3, "uid 33 may not enter $DIR/closed"},
		"module = nmaed":                                   {1, "no virtualenv: home= is not set) looked in $DIR"},
		"asgi = nmaed":                                     {1, "asgi = nmaed: "},
		"asgi-file = nmaed.py":                             {1, "asgi-file = nmaed.py: "},
		"module = site.pkg.nothing":                        {1, "there is no module site.pkg"},
		"module = pkg.wsgi":                                {1, "It is in $DIR/inner: write chdir = $DIR/inner"},
		"chdir = inner\nmodule = pkg.wsgx":                 {1, "The nearest is pkg.wsgi: write module = pkg.wsgi"},
		"chdir = inner\nmodule = pkg.wsgi":                 {0, ""},
		"module = named":                                   {1, `there is no "application" in $DIR/named.py (It has app: write module = named:app)`},
		"module = named:app":                               {0, ""},
		"module = named:later":                             {0, ""},
		"module = named:made()":                            {0, ""},
		"module = dynamic":                                 {0, ""},
		"module = starred":                                 {0, ""},
		"module = broken":                                  {1, "$DIR/broken.py, line 2: SyntaxError"},
		"module = secret:app":                              {1, "uid 33 may not read $DIR/secret.py"},
		"wsgi-file = named.py":                             {1, "It has app: write callable = app"},
		"wsgi-file = nmaed.py":                             {1, "there is no file $DIR/nmaed.py (The nearest is $DIR/named.py)"},
		"wsgi-file = named.py\ncallable = app":             {0, ""},
		"mount = /x=named.py":                              {1, "It has app: write mount = /x=named.py:app"},
		"module = nmaed\nneed-app = false":                 {3, ""},
		"module = nmaed\nwsgi-file = good.py":              {3, ""},
		"module = needs":                                   {1, "$DIR/needs.py, line 2: there is no module inavenv ("},
		"module = needs\npythonpath = $DIR/env":            {0, ""},
		"wsgi-file = needs.py":                             {1, "The virtualenv $DIR/env has it: write home = $DIR/env)"},
		"module = deep":                                    {1, "$DIR/part/other.py, line 1: there is no module inavenv"},
		"module = wrong":                                   {1, "$DIR/wrong.py, line 1: there is no module part.othre ("},
		"module = takes":                                   {1, `$DIR/takes.py, line 3: there is no "aplication" in $DIR/good.py (It has application)`},
		"module = takes2":                                  {1, `$DIR/takes2.py, line 1: there is no "wsgi" in $DIR/conf/__init__.py`},
		"pythonpath = $DIR/env/lib/python3/site-packages\nmodule = takes3": {3, `$DIR/takes3.py, line 1: there is no "nothing" in $DIR/env/lib/python3/site-packages/pack.py`},
		"module = finds":                                 {0, ""},
		"chdir = inner\nmodule = pkg.deeper.app":         {0, ""}, // a folder without an __init__.py
		"wsgi-file = .":                                  {1, "there is no file $DIR: it is a folder, without an __init__.py"},
		"wsgi-file = inner/only":                         {1, "it is a folder, without an __init__.py (Write wsgi-file = inner/only/it.py)"},
		"chdir = inner\nwsgi-file = inner/only/it.py":    {1, "(It was looked for in $DIR/inner: write wsgi-file = only/it.py)"},
		"chdir = inner\nwsgi-file = good.py":             {1, "(It was looked for in $DIR/inner: write wsgi-file = $DIR/good.py)"},
		"wsgi-file = inner/only/it":                      {1, "(Write wsgi-file = inner/only/it.py)"},
		"wsgi-file = conf.settings":                      {1, "(conf.settings is a module: write module = conf.settings)"},
		"module = ./good":                                {1, `"./good" is no name of a module (Write module = good)`},
		"module = inner/only:app":                        {1, "(Write module = inner.only.it:app)"},
		"module = $DIR/good":                             {1, "(Write wsgi-file = $DIR/good.py)"},
		"mount = /x=.good":                               {1, "(Write mount = /x=good)"},
		"chdir = inner\nhome = env":                      {1, "(a relative path begins at $DIR/inner here: write $DIR/env)"},
		"chdir = inner\npidfile = only/x.pid":            {1, "(a relative path begins at $DIR here: write $DIR/inner/only/x.pid)"},
		"chdir = inner\nsocket = env/x.sock":             {1, "(a relative path begins at $DIR/inner here: write $DIR/env/x.sock)"},
		"chdir = inner\nstatic-map = /s=env":             {3, "(a relative path begins at $DIR/inner here: write $DIR/env)"},
		"chdir = inner\nchdir2 = env":                    {1, "(a relative path begins at $DIR/inner here: write $DIR/env)"},
		"module = maybe":                                 {3, "$DIR/maybe.py, line 2: there is no module inavenv"},
		"module = tries":                                 {0, ""},
		"module = leads":                                 {0, ""},
		"module = shadow":                                {0, ""},
		"module = dj":                                    {1, "$DIR/conf/settings.py, line 1: SyntaxError"},
		"env = DJANGO_SETTINGS_MODULE=good\nmodule = dj": {0, ""},
		"module = runs":                                  {0, ""}, // it is read, and does not run
		"ini-paste = paste.ini":                          {0, ""},
		"paste = config:$DIR/paste.ini#bare":             {1, `there is no "nothing" in named`},
		"paste = config:$DIR/paste.ini#none":             {1, "there is no [app:none] in $DIR/paste.ini (It has main, bare, piped, far, far2: write paste-name = main)"},
		"paste = config:$DIR/paste.ini#piped":            {1, "$DIR/paste.ini: nmaed:app: there is no module nmaed"},
		"paste-name = far\nini-paste = paste.ini":        {1, "there is no file $DIR/none.ini (There is $DIR/paste.ini"},
		"ini-paste-logged = paste.ini":                   {1, "there is no [loggers] in $DIR/paste.ini"},
		"paste = config:none/x.ini":                      {1, "write paste = config:$DIR/none/x.ini"},
		"paste = config:$DIR/named.py":                   {1, "$DIR/named.py is no file of paste.deploy"},
		"paste = egg:No_such_distribution":               {1, "there is no distribution No_such_distribution"},
		"mount = /x=secret.ini":                          {1, "uid 33 may not read $DIR/secret.ini"},
		"touch-reload = reload":                          {0, "there is no $DIR/reload yet"},
		"touch-chain-reload = good.py":                   {0, ""},
		"touch-exec = none/x true":                       {3, "there is no folder $DIR/none"},
		"pythonpath = none":                              {3, "there is no $DIR/none (nothing is imported from there)"},
		"pythonpath = closed":                            {3, "uid 33 may not enter $DIR/closed"},
		"pythonpath = n?ne":                              {0, ""},
		"pythonpath = good.py":                           {0, ""},
		"touch-logreopen = closed/x":                     {3, "uid 33 may not enter $DIR/closed"},

		"env = DJANGO_SETTINGS_MODULE=conf.apps\nmodule = dj": {3, "$DIR/conf/apps.py, line 1: there is no module inavenv"},
		"env = DJANGO_SETTINGS_MODULE=conf.urls\nmodule = dj": {3, "$DIR/conf/broken.py, line 2: SyntaxError"},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Write("named.py", "import os\ndef app(e, s): pass\nmade = lambda: app\nif "+
				"os.name:\n    later, _ = app, 1\n")
			s.Write("good.py", "def application(e, s): pass\n")
			s.Write("dynamic.py", "globals()['application'] = print\n")
			s.Write("starred.py", "from good import *\n")
			s.Write("broken.py", "x = 1\ndef (:\n")
			s.Write("runs.py", "open('ran', 'w')\ndef application(e, s): pass\n")
			s.Write("secret.py", "app = print\n")
			s.Write("inner/pkg/wsgi.py", "application = print\n")
			s.Write("env/pyvenv.cfg", "")
			s.Write("env/inavenv.py", "application = print\n")
			s.Write("env/lib/python3/site-packages/inavenv.py", "")
			s.Write("needs.py", "import os, uwsgi\nfrom inavenv import application\n")
			s.Write("deep.py", "from __future__ import annotations\nfrom part import sub, application, __name__\n")
			s.Write("part/__init__.py", "application = print\n")
			s.Write("part/sub.py", "from .other import x\n")
			s.Write("part/other.py", "import inavenv\n")
			s.Write("part/application.py", "import inavenv\n")
			s.Write("shadow.py", "from part import application\n")
			s.Write("wrong.py", "from part.othre import application\n")
			s.Write("maybe.py", "print()\nimport inavenv\napplication = print\n")
			s.Write("tries.py", "try:\n    import inavenv\nexcept ImportError:\n    application = print\n")
			s.Write("leads.py", "import sys\nsys.path.append('env')\nfrom inavenv import application\n")
			s.Write("takes.py", "import sys\nfrom good import application\nfrom good import aplication\n")
			s.Write("takes2.py", "from conf import empty, wsgi\napplication = print\n")
			s.Write("takes3.py", "from pack import some, nothing\napplication = print\n")
			s.Write("env/lib/python3/site-packages/pack.py", "some = 1\n")
			s.Write("inner/pkg/__init__.py", "")
			s.Write("inner/pkg/deeper/app.py", "from pkg.deeper import app\nfrom . import app\napplication = print\n")
			s.Write("inner/only/it.py", "")
			s.Write("finds.py", finds)
			s.Write("binds.py", binds)
			s.Write("lazy.py", "import good\n__getattr__ = good.application\n")
			s.Write("sets.py", "import good\ngood.later = 1\n")
			s.Write("conf/empty.py", "")
			s.Write("dj.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'conf.settings')\n"+
				"application = print\n")
			s.Write("conf/__init__.py", "")
			s.Write("conf/settings.py", "x = (\n")
			s.Write("conf/apps.py", "INSTALLED_APPS = ['json', 'inavenv.apps.Config']\n")
			s.Write("conf/urls.py", "ROOT_URLCONF = 'conf.routes'\n")
			s.Write("conf/routes.py", "from shlex import include\nurlpatterns = [include(5), include('conf.broken')]\n")
			s.Write("conf/broken.py", "x = 1\ndef (:\n")
			s.Write("paste/deploy/__init__.py", "")
			s.Write("paste.ini", "[DEFAULT]\nx = %(here)s\n[app:main]\npaste.app_factory = named:app\n[app:bare]\n"+
				"paste.app_factory = named:nothing\n[pipeline:piped]\npipeline = filter far2\n[app:far]\n"+
				"use = config:%(here)s/none.ini\n[composite:far2]\nuse = call:nmaed:app\n")
			s.Write("secret.ini", "")
			s.Write("roots/x", "")
			s.Write("closed/bin/python3", "")
			s.Write("left/bin/activate", "")
			for _, err := range []error{os.Symlink("/none/python3", s.Path("left/bin/python3")),
				os.Chmod(s.Path("closed"), 0o700), os.Chmod(s.Path("secret.py"), 0o600),
				os.Chmod(s.Path("secret.ini"), 0o600)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			text := strings.ReplaceAll("[uwsgi]\nuid = 33\ngid = 33\n"+line+"\n", "$DIR", s.Dir)
			s.Write("x.ini", text)
			out, exit := checked(t, s, "x.ini")
			if exit != c.exit {
				t.Errorf("exit status %d, not %d:\n%s", exit, c.exit, out)
			}
			says := strings.ReplaceAll(c.says, "$DIR", s.Dir)
			last := fmt.Sprintf("x.ini:%d: ", strings.Count(text, "\n"))
			found := false
			for l := range strings.Lines(out) {
				bad := strings.Contains(l, ": error: ") || strings.Contains(l, ": warning: ")
				found = found || strings.Contains(l, says) &&
					(says == "" || strings.HasPrefix(l, last) || strings.Contains(line, "\n"))
				if bad && c.exit == 0 {
					t.Errorf("%s", l)
				}
			}
			if !found {
				t.Errorf("no %q at %s in\n%s", says, last, out)
			}
			if harness.Exists(s.Path("ran")) || harness.Exists(s.Path("__pycache__")) {
				t.Error("something was imported, or written")
			}
		})
	}
}

// TestCheckOfRunning: the port of an instance that runs is no fault of its configuration.
func TestCheckOfRunning(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.Write("x.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\n")
	s.Start("--ini", "x.ini")
	if out, exit := checked(t, s, "x.ini"); exit != config.AllHonoured || !strings.Contains(out, "listens on port") {
		t.Errorf("exit status %d:\n%s", exit, out)
	}
}

// TestCheckUnfitPython: an interpreter that cannot run the server is found out.
func TestCheckUnfitPython(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	python := s.Write("env/bin/python3", fmt.Sprintf(pretending, `sys.abiflags = "t"`))
	if err := os.Chmod(python, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write("x.ini", "[uwsgi]\nhome = env\nmodule = app\n")
	if out, exit := checked(t, s, "x.ini"); exit != config.WouldNotStart ||
		!strings.Contains(out, "x.ini:2: error: home = env: ") ||
		!strings.Contains(out, "it is free-threaded") {
		t.Errorf("exit status %d:\n%s", exit, out)
	}
}

// TestCheckExitStatus: the gravest finding decides; --json says the same, a line an object;
// --syntax does not look at the machine.
func TestCheckExitStatus(t *testing.T) {
	for line, want := range map[string]int{
		"vacuum = true":                  config.AllHonoured,
		"chdir = /none":                  config.WouldNotStart,
		"legion = x\nstatic-map = /s=/n": config.RefusedPresent,
		"static-map = /s=/none":          config.DoubtPresent,
		"no-such-option = 1":             config.DoubtPresent,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Write("app.py", version("x"))
			s.Write("x.ini", "[uwsgi]\nmodule = app\n"+line+"\n")
			if out, exit := checked(t, s, "x.ini"); exit != want {
				t.Errorf("exit status %d, not %d:\n%s", exit, want, out)
			}
			out, exit := checked(t, s, "--json", "x.ini")
			fatal, n := false, 0
			for l := range strings.Lines(out) {
				var f config.Finding
				if err := json.Unmarshal([]byte(l), &f); err != nil || f.Option == "" || f.Standing == "" {
					t.Errorf("%s: %v", l, err)
				}
				fatal, n = fatal || f.Fatal, n+1
			}
			if exit != want || fatal != (want == config.WouldNotStart) || n < 3 {
				t.Errorf("--json: exit status %d, not %d:\n%s", exit, want, out)
			}
			if out, exit := checked(t, s, "--syntax", "x.ini"); exit == config.WouldNotStart {
				t.Errorf("--syntax:\n%s", out)
			}
		})
	}
}
