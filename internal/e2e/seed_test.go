package e2e

import (
	"encoding/json"
	"os"
	"os/user"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// seed is the user's own deployment: testdata/seed holds his files as they are. Only paths, names
// and addresses are changed, as text.
type seed struct {
	*harness.Server
	ini  string
	home string
	user string
	log  string
	pid  string
}

// newSeed lays the project out where the ini looks for it, under a folder in place of / and
// /home/user1.
func newSeed(t *testing.T, home, uid string) *seed {
	t.Helper()
	s := &seed{Server: harness.New(t), home: home, user: uid}
	s.Copy("testdata/django", "mysite1")
	for _, dir := range []string{"Env", "run", "log", "tmp"} {
		s.Write(dir+"/.keep", "")
	}
	if err := os.Symlink(home, s.Path("Env/mysite1")); err != nil {
		t.Fatal(err)
	}
	s.log, s.pid = s.Path("log/mysite1.log"), s.Path("tmp/mysite1-master.pid")
	s.ini = s.replace(t, readFile(t, "testdata/seed/uwsgi.ini"),
		"/home/user1", s.Dir,
		"socket=/run/uwsgi/", "socket="+s.Path("run")+"/",
		"pidfile=/tmp/", "pidfile="+s.Path("tmp")+"/",
		"daemonize=/var/log/uwsgi/", "daemonize="+s.Path("log")+"/")
	if uid != "www-data" {
		s.ini = s.replace(t, s.ini, "uid=www-data", "uid="+uid, "gid=www-data", "gid="+groupOf(t, uid), ":www-data\n",
			":"+groupOf(t, uid)+"\n")
	}
	return s
}

// replace changes text; a piece that is not there is an error.
func (s *seed) replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// listen chooses one of the seed's three ways: unix, tcp or http, in the ini and in nginx.
func (s *seed) listen(t *testing.T, way string) (location string) {
	t.Helper()
	location = readFile(t, "testdata/seed/nginx-"+way+".conf")
	addr := harness.Addr(t)
	_, port, _ := strings.Cut(addr, ":")
	unix := "socket=" + s.Path("run") + "/%(project).sock"
	switch way {
	case "unix":
		return s.replace(t, location, "unix:/run/uwsgi/django_test1.sock", "unix:"+s.Path("run/mysite1.sock"))
	case "tcp": // the line of choice 2 without its comment sign, and choice 1 commented out
		s.ini = s.replace(t, s.ini, unix, "# "+unix, "# socket=0.0.0.0:8000 或则 socket=:8000", "socket=:"+port)
	case "http":
		s.ini = s.replace(t, s.ini, unix, "# "+unix, "# http=0.0.0.0:8000 ", "http=0.0.0.0:"+port+" ")
	}
	return s.replace(t, location, "uWSGI_SERVER_IP:8000", addr)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func groupOf(t *testing.T, name string) string {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return g.Name
}

// person is the user to run as: the seed's www-data where the tests run as root, else whoever runs
// them.
func person(t *testing.T) string {
	t.Helper()
	if os.Getuid() == 0 {
		return "www-data"
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// TestSeed runs the user's ini behind his three nginx set-ups, with Django in a virtualenv. The one
// with another Python than the distribution's runs as ourselves: that Python may lie where nobody
// else may look.
func TestSeed(t *testing.T) {
	for _, c := range []struct{ way, python, uid, command string }{
		{"unix", harness.DebianPython, person(t), "--ini uwsgi.ini"},
		{"tcp", harness.OtherPython(), me(t), "uwsgi.ini"},
		{"http", harness.DebianPython, person(t), "-d --ini uwsgi.ini"},
	} {
		t.Run(c.way, func(t *testing.T) {
			t.Parallel()
			s := newSeed(t, harness.Venv(t, c.python), c.uid)
			location := s.listen(t, c.way)
			s.Write("uwsgi.ini", s.ini)
			s.StartDaemon(s.pid, s.log, strings.Fields(c.command)...)
			n := harness.StartNginx(t, location)
			s.check(t, harness.HTTP(t, n.Addr))
			s.Stop()
			for _, left := range []string{s.pid, s.Path("run/mysite1.sock")} {
				if _, err := os.Lstat(left); err == nil {
					t.Errorf("vacuum left %s", left)
				}
			}
		})
	}
}

// check uses the site as people do.
func (s *seed) check(t *testing.T, site *harness.Client) {
	t.Helper()
	if a := site.Get("/?q=1"); a.Status != 200 || a.Body != "<h1>It worked!</h1>\n<p>/?q=1</p>\n" {
		t.Errorf("index: %s %q", a.Line, a.Body)
	}
	if a := site.Do("POST", "/form/?a=1&a=%C3%A9", strings.NewReader("name=%E4%B8%AD&name=x"),
		"Content-Type: application/x-www-form-urlencoded"); a.Body !=
		`{"get": {"a": ["1", "\u00e9"]}, "post": {"name": ["\u4e2d", "x"]}, "method": "POST"}` {
		t.Errorf("form: %s %s", a.Line, a.Body)
	}
	if a := site.Get("/stream/"); strings.Count(a.Body, "\n") != 1000 {
		t.Errorf("stream: %s %d bytes", a.Line, len(a.Body))
	}
	if a := site.Get("/download/"); a.Body != readFile(t, "testdata/django/mysite1/views.py") {
		t.Errorf("download: %s %d bytes", a.Line, len(a.Body))
	}
	if a := site.Get("/nothing/"); a.Status != 404 {
		t.Errorf("a page that is not there: %s", a.Line)
	}
	first := site.Get("/visits/")
	cookie := "Cookie: " + strings.SplitN(first.Header.Get("Set-Cookie"), ";", 2)[0]
	if a := site.Get("/visits/", cookie); a.Body != "2\n" {
		t.Errorf("the session says %q at the second visit", a.Body)
	}
	s.checkPlace(t, site)
}

// checkPlace checks where, and as whom, the application runs.
func (s *seed) checkPlace(t *testing.T, site *harness.Client) {
	t.Helper()
	var at struct {
		Prefix, Cwd, Remote, Absolute string
		UID, GID                      int
	}
	if err := json.Unmarshal([]byte(site.Get("/where/").Body), &at); err != nil {
		t.Fatal(err)
	}
	u, err := user.Lookup(s.user)
	if err != nil {
		t.Fatal(err)
	}
	if got := []any{at.Cwd, itoa(at.UID), itoa(at.GID), at.Remote}; got[0] != s.Path("mysite1") || got[1] != u.Uid ||
		got[2] != u.Gid || got[3] != "127.0.0.1" {
		t.Errorf("the application runs in %v as %v:%v for %v, not in %s as %s:%s", got[0], got[1], got[2], got[3],
			s.Path("mysite1"), u.Uid, u.Gid)
	}
	if at.Prefix != s.home && at.Prefix != s.Path("Env/mysite1") {
		t.Errorf("sys.prefix is %s, not the virtualenv %s", at.Prefix, s.home)
	}
}
