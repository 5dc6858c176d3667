package e2e

import (
	"fmt"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const project = `
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
%s
def application(environ, start_response):
    start_response("200 OK", [])
    try:
        import %s as late
    except ImportError as exc:
        return [b"refused"]
    return [late.NAME.encode()]
`

const djangoProject = `
import os, sys
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
`

const djangoSettings = `
SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF = "x", ["*"], "%s"
`

const djangoURLs = `
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("%s"))]
`

// twoProjects writes two projects in folders of their own.
func twoProjects(s *harness.Server, imports, late string) {
	for _, p := range []string{"one", "two"} {
		s.Write(p+"/wsgi_"+p+".py", fmt.Sprintf(project, imports, late))
		s.Write(p+"/names.py", "NAME = '"+p+"'\n")
		s.Write(p+"/pack/__init__.py", "")
		s.Write(p+"/pack/names.py", "NAME = '"+p+"'\n")
		s.Write(p+"/bare/names.py", "NAME = '"+p+"'\n")
	}
}

func mounts(addr string, more ...string) []string {
	return append([]string{"--http", addr, "--manage-script-name", "--mount", "/one=one/wsgi_one.py", "--mount",
		"/two=two/wsgi_two.py"}, more...)
}

// Of two mounts that have modules of the same name none answers with the other's: the start ends
// and names both files and the way out.
func TestMountsOfTwoProjects(t *testing.T) {
	for imports, says := range map[string]string{
		"import names":           `a module names, \S+/one/names\.py and \S+/two/names\.py: .*single-interpreter`,
		"from pack import names": `a module pack, \S+/one/pack/__init__\.py and \S+/two/pack/__init__\.py: `,
		"import bare.names":      `a module bare, \S+/one/bare and \S+/two/bare: `,
	} {
		for _, master := range []string{"--master", "--master=false"} {
			t.Run(imports+" "+master, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t)
				twoProjects(s, imports, "names")
				s.Allow(`^.*/one \(one/wsgi_one\.py\) and /two \(two/wsgi_two\.py\) both have ` + says)
				s.Launch(mounts(harness.Addr(t), master)...)
				if code := s.Exit(); code != 22 {
					t.Errorf("exit status %d", code)
				}
			})
		}
	}
	t.Run("as asked for", func(t *testing.T) {
		t.Parallel()
		s, addr := harness.New(t), harness.Addr(t)
		twoProjects(s, "import names", "names")
		s.Start(mounts(addr, "--single-interpreter")...)
		if got := harness.HTTP(t, addr).Get("/two").Body; got != "one" {
			t.Errorf("%q", got)
		}
	})
	t.Run("in a request", func(t *testing.T) { // the first import of that name
		t.Parallel()
		s, addr := harness.New(t), harness.Addr(t)
		twoProjects(s, "", "names")
		s.Start(mounts(addr)...)
		site := harness.HTTP(t, addr)
		for _, path := range []string{"/one", "/two"} {
			if got := site.Get(path).Body; got != "refused" {
				t.Errorf("%s: %q", path, got)
			}
		}
		s.Log.Wait(t, `^/one \(one/wsgi_one\.py\) and /two \(two/wsgi_two\.py\) both have a module names`)
	})
}

// Two mounts of one project share its modules.
func TestMountsOfOneProject(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	for _, part := range []string{"api", "web"} {
		s.Write("site/"+part+".py", fmt.Sprintf(project, "import names, pack.names", "names"))
	}
	s.Write("site/names.py", "import pack.names\nNAME = 'both'\n")
	s.Write("site/pack/names.py", "")
	s.Start("--http", addr, "--manage-script-name", "--mount", "/api=site/api.py", "--mount", "/web=site/web.py",
		"--module", "api", "--pythonpath", "site")
	site := harness.HTTP(t, addr)
	for _, path := range []string{"/", "/api", "/web"} {
		if got := site.Get(path).Body; got != "both" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// Django's settings are one a process: two projects of different names do not go together, two
// mounts of one project do.
func TestMountsOfDjango(t *testing.T) {
	for name, c := range map[string]struct{ second, says string }{
		"two": {"other", `^.*/two \(two/wsgi\.py\) wants the Django settings other\.settings, and /one \(one/wsgi\.py\) has set up mysite\.settings: `},
		"one": {"mysite", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Setenv("PATH=/usr/bin:/bin")
			for _, p := range []string{"mysite", c.second} {
				s.Write(p+"/__init__.py", "")
				s.Write(p+"/settings.py", fmt.Sprintf(djangoSettings, p+".urls"))
				s.Write(p+"/urls.py", fmt.Sprintf(djangoURLs, p))
			}
			s.Write("one/wsgi.py", fmt.Sprintf(djangoProject, "mysite.settings"))
			s.Write("two/wsgi.py", fmt.Sprintf(djangoProject, c.second+".settings"))
			args := []string{"--http", addr, "--manage-script-name", "--master", "--mount", "/one=one/wsgi.py",
				"--mount", "/two=two/wsgi.py"}
			if c.says != "" {
				s.Allow(c.says)
				s.Launch(args...)
				if code := s.Exit(); code != 22 {
					t.Errorf("exit status %d", code)
				}
				return
			}
			s.Start(args...)
			site := harness.HTTP(t, addr)
			for _, path := range []string{"/one/", "/two/"} {
				if got := strings.TrimSpace(site.Get(path).Body); got != "mysite" {
					t.Errorf("%s: %q", path, got)
				}
			}
		})
	}
}
