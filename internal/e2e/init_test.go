package e2e

import (
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const fastapiMain = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def index():
    return {"hello": "FastAPI"}
`

// TestInit: what is written for a project as people begin one passes the check and serves it.
func TestInit(t *testing.T) {
	for name, c := range map[string]struct {
		files   func(*harness.Server)
		answer  string
		written []string
	}{
		"django": {
			func(s *harness.Server) {
				s.Copy("testdata/django", "my site")
				s.Setenv(harness.DebianPath)
			}, "It worked!", []string{"module = mysite1.wsgi:application\n", "# static-map = /static="},
		},
		"flask": {
			func(s *harness.Server) {
				s.Copy("testdata/flask/shop.py", "my site/app.py")
				if err := os.Symlink(harness.Venv(t, harness.OtherPython()), s.Path("my site/.venv")); err != nil {
					t.Fatal(err)
				}
			}, "Hello from Flask\n", []string{"module = app:app\n", "my site/.venv\n"},
		},
		"fastapi": {
			func(s *harness.Server) {
				s.Write("my site/app/__init__.py", "")
				s.Write("my site/app/main.py", fastapiMain)
				s.Setenv("VIRTUAL_ENV=" + harness.Async(t))
			}, `{"hello":"FastAPI"}`, []string{"asgi = app.main:app\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			c.files(s)
			printed, err := s.Command("init", "my site").Output()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := s.Command("init", "--write", "my site").CombinedOutput(); err != nil ||
				!strings.Contains(string(out), "systemctl enable --now uwsgi@my-site\n") ||
				!strings.Contains(string(out), "uwsgi_pass unix:/run/uwsgi/app/my-site/socket;") {
				t.Fatalf("%v: %s", err, out)
			}
			ini := readFile(t, s.Path("my site/uwsgi.ini"))
			for _, line := range c.written {
				if !strings.Contains(ini, line) || !strings.Contains(string(printed), line) {
					t.Errorf("no %q in\n%s", line, ini)
				}
			}
			if out, err := s.Command("init", "my site", "--write").CombinedOutput(); err == nil ||
				!strings.Contains(string(out), "uwsgi.ini is there already") ||
				readFile(t, s.Path("my site/uwsgi.ini")) != ini {
				t.Errorf("a second time: %v, %s", err, out)
			}
			s.Write("my site/uwsgi.ini", strings.Replace(ini, "127.0.0.1:8000", addr, 1)) // which others may hold
			if out, err := s.Command("check", "my site/uwsgi.ini").CombinedOutput(); err != nil {
				t.Errorf("the check: %v\n%s", err, out)
			}
			s.Start("--ini", "my site/uwsgi.ini")
			if a := harness.HTTP(t, addr).Get("/"); a.Status != 200 || !strings.Contains(a.Body, c.answer) {
				t.Errorf("%s %q", a.Line, a.Body)
			}
		})
	}
}

// What init prints is a configuration as it is, all that comes with it in comments.
func TestInitPrints(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("one"))
	printed, err := s.Command("init").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.Write("mine.ini", strings.Replace(string(printed), "127.0.0.1:8000", addr, 1))
	s.Start("--ini", "mine.ini")
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "one" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	if err := os.Mkdir(s.Path("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Command("init", "empty").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "no application was found") {
		t.Errorf("of no project: %v, %s", err, out)
	}
}

// TestInitInstalled: a program that lies in a virtualenv names that one, whose Python it runs.
func TestInitInstalled(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("site/app.py", version("one"))
	s.Write("env/pyvenv.cfg", "home = /usr/bin\n")
	s.Write("env/bin/activate", "")
	cmd := s.Command("init", "site")
	for name, target := range map[string]string{"python3": "/usr/bin/python3", "python": "python3", "uwsgi": cmd.Path} {
		if err := os.Symlink(target, s.Path("env/bin/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path, cmd.Args[0] = s.Path("env/bin/uwsgi"), s.Path("env/bin/uwsgi")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "\nhome = "+s.Path("env")+"\n") {
		t.Errorf("%v:\n%s", err, out)
	}
}
