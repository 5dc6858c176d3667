package config

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

// uwsgiEnds reads the options with whose empty value uWSGI (2.0.31, or Debian's 2.0.21) did not
// come to serve, beside an http-socket and a wsgi-file (tried, one start an option of
// uwsgi-options.tsv).
func uwsgiEnds(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open("testdata/uwsgi-empty.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ends := map[string]bool{}
	for in := bufio.NewScanner(f); in.Scan(); {
		ends[in.Text()] = true
	}
	if len(ends) < 50 {
		t.Fatalf("the list has %d names only", len(ends))
	}
	return ends
}

// TestEmptyValues: what a template leaves empty ends no start that uWSGI makes, and no start at all
// unless the value is a file of the configuration or keeps rights back. What is left out is said
// once, with its place.
func TestEmptyValues(t *testing.T) {
	ends := uwsgiEnds(t)
	mayEnd := map[string]bool{"ini": true, "yaml": true, "json": true, "xml": true, "config": true,
		"include": true, "inherit": true,
		"set": true, "set-placeholder": true, "declare-option": true, "declare-option2": true, "resolve": true}
	for _, row := range option.All() {
		for _, name := range row.Names() {
			text := "[uwsgi]\nhttp-socket = :8000\nwsgi-file = app.py\n" + name + " =\n"
			host := fakeHost(map[string]string{"x.ini": text})
			host.User = func() (int, string) { return 0, "root" }
			c, err := Load([]string{"--ini", "x.ini"}, nil, host)
			switch {
			case !row.TakesValue():
				continue // a flag is on
			case err != nil && !ends[name]:
				t.Errorf("%s: %v; uWSGI starts", name, err)
			case err != nil && !mayEnd[row.Name] && !row.Guards:
				t.Errorf("%s: %v", name, err)
			case err == nil && row.Guards:
				t.Errorf("%s: an empty value takes rights for granted", name)
			}
			said := 0
			for _, line := range c.StartReport() {
				if strings.HasPrefix(line, "x.ini:4: ") {
					said++
				}
			}
			// a block is not closed, too; a number counts as 0
			if said > 1 && row.Kind != option.Block && row.Name != "cheaper-busyness-max" {
				t.Errorf("%s: %q", name, c.StartReport())
			}
			if s := c.Settings; err == nil && (len(s.Sockets) != 1 || len(s.Apps) != 1 || s.Processes != 1 ||
				len(s.Env)+len(s.AddGIDs)+len(s.LogDrain) > 0) {
				t.Errorf("%s: settings are changed", name)
			}
		}
	}
}

// Who is not root cannot keep root's rights: uid and gid may be empty.
func TestEmptyUserOfAUser(t *testing.T) {
	c, err := Load([]string{"--ini", "x.ini"}, nil,
		fakeHost(map[string]string{"x.ini": "[uwsgi]\nhttp = :8000\nuid =\ngid =\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.StartReport(), "\n"); !strings.Contains(got, "x.ini:3: warning: uid: ") ||
		!strings.Contains(got, "x.ini:4: warning: gid: ") {
		t.Error(got)
	}
}

// TestValuesUWSGIStartsWith: what uWSGI 2.0.31 (for log routes Debian's 2.0.21, with PCRE) was seen
// to start with ends no start here.
func TestValuesUWSGIStartsWith(t *testing.T) {
	for _, line := range []string{
		"protocol = htpp", "socket = true", "stats = true", "max-requests = -1", "min-worker-lifetime = -1", "max-worker-lifetime = -1",
		"reload-mercy = 99999999999", "socket-timeout = 99999999999", "idle = 99999999999", "socket-sndbuf = -1", "limit-as = -1", "reload-on-rss = -1",
		"limit-post = -1", "log-maxsize = -1", "log-big = -1", "cheaper-overload = -1", "chunked-input-limit = -1", "touch-exec = true", "add-header = true",
		"log-route = nolog abc", "log-req-route = nolog abc", "static-expires = a b", "umask = 9", "umask = 22", "umask = true", "for-times = true\nend =",
		"inject-before = /none/x", "inject-after = /none/x", "http-enable-proxy-protocol = true", "http = : 5000",
	} {
		c, err := Load([]string{"--ini", "x.ini"}, nil,
			fakeHost(map[string]string{"x.ini": "[uwsgi]\nhttp-socket = :8000\nwsgi-file = app.py\n" + line + "\n"}))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if said := strings.Join(c.StartReport(), "\n"); !strings.Contains(said, "x.ini:4: ") &&
			!slices.Contains([]string{"umask = 22", "http = : 5000", "http-enable-proxy-protocol = true"}, line) {
			t.Errorf("%s: nothing is said: %q", line, said)
		}
	}
}
