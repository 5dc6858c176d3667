package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// The seed's complaint: 10,000 requests, 1,000 at a time, on Django with 4 processes of 2 threads
// and default options. uWSGI's queue of 100 overflowed and lost requests; none may be lost here.
// Not parallel: it takes the machine whole.
func TestCrowd(t *testing.T) {
	for _, c := range []struct {
		name     string
		ab, args []string
	}{
		{"connections", nil, nil}, {"keepalive", []string{"-k"}, nil},
		{"another Python, PyPI's Django", nil, []string{"--home", harness.Venv(t, harness.OtherPython())}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, addr := startDjango(t, append(c.args, "--processes", "4", "--threads", "2")...)
			ab(t, addr, "/", c.ab...)
			s.Log.Wait(t, `GET / => generated`)
		})
	}
}

// The same behind nginx, over the unix socket of the seed.
func TestCrowdBehindNginx(t *testing.T) {
	s := harness.New(t)
	s.Setenv(harness.DebianPath)
	s.Copy("testdata/django", "site")
	s.Start("--socket", s.Path("s.sock"), "--chmod-socket=666", "--chdir", "site", "--module", "mysite1.wsgi",
		"--master", "-p", "4", "--threads", "2")
	n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+s.Path("s.sock")+"; }")
	ab(t, n.Addr, "/")
}

var abFigures = regexp.MustCompile(`(Complete requests|Failed requests|Non-2xx responses|Requests per second): +([\d.]+)`)

func ab(t *testing.T, addr, path string, args ...string) {
	t.Helper()
	args = append([]string{"-q", "-n", "10000", "-c", "1000", "-s", "30"}, args...)
	out, err := exec.Command("ab", append(args, "http://"+addr+path)...).CombinedOutput()
	figures := map[string]string{}
	for _, m := range abFigures.FindAllStringSubmatch(string(out), -1) {
		figures[m[1]] = m[2]
	}
	if err != nil || figures["Complete requests"] != "10000" || figures["Failed requests"] != "0" ||
		figures["Non-2xx responses"] != "" {
		t.Errorf("ab %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("%s requests/s", figures["Requests per second"])
}
