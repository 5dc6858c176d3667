package dataplane

import (
	"fmt"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

// where answers with what routing made of the request.
func where(x *fakeCall) Outcome {
	x.start("200 OK")
	return x.reply(fmt.Sprintf("%d %s|%s", x.App, x.variable("SCRIPT_NAME"), x.variable("PATH_INFO")))
}

func TestMounts(t *testing.T) {
	for _, tc := range []struct {
		name      string
		mounts    []string
		manage    bool
		noDefault bool
		requests  map[string]string // path → answer
	}{
		{"one", []string{""}, false, false, map[string]string{"/": "0 |/", "/a": "0 |/a"}},
		{"managed", []string{"", "/a", "/a/b"}, true, false, map[string]string{
			"/": "0 |/", "/a": "1 /a|", "/a/": "1 /a|/", "/a/x": "1 /a|/x", "/ab": "0 |/ab", "/a/b": "2 /a/b|", "/a/b/c": "2 /a/b|/c", "/a/bc": "1 /a|/bc", "/b": "0 |/b"}},
		{"slash at the end", []string{"", "/a/"}, true, false, map[string]string{"/a/x": "1 /a|/x", "/a": "1 /a|", "/ax": "0 |/ax"}},
		{"no default", []string{"/a"}, true, false, map[string]string{"/a/x": "0 /a|/x", "/b": "0 |/b"}},
		{"no-default-app", []string{"/a"}, true, true, map[string]string{"/a/x": "0 /a|/x", "/b": "-1 |/b"}},
		{"at the root", []string{"/a", "/"}, true, false, map[string]string{"/a/x": "0 /a|/x", "/ab": "1 |/ab", "/": "1 |/"}},
		{"nothing but the root", []string{"/a", "/"}, true, true, map[string]string{"/a": "0 /a|", "/b": "1 |/b"}},
		{"not managed", []string{"", "/a"}, false, false, map[string]string{"/a/x": "0 |/a/x"}},
		{"none", []string{}, false, false, map[string]string{"/": "-1 |/"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, config{handler: where, mounts: tc.mounts,
				set: func(s *option.Settings) { s.ManageScriptName, s.NoDefaultApp = tc.manage, tc.noDefault }})
			c := s.dial("http")
			for path, want := range tc.requests {
				if got := c.get(path); got != want {
					t.Errorf("%s: got %q, want %q", path, got, want)
				}
			}
		})
	}
}

// A front end can say which application it means.
func TestMountsByScriptName(t *testing.T) {
	none := func(*option.Settings) {}
	managed := func(s *option.Settings) { s.ManageScriptName = true }
	ignored := func(s *option.Settings) { s.IgnoreScriptName = true }
	strict := func(s *option.Settings) { s.ManageScriptName, s.NoDefaultApp = true, true }
	for _, tc := range []struct {
		name   string
		set    func(*option.Settings)
		mounts string
		vars   []string
		want   string
	}{
		{"by name", none, " /a", cgi("GET", "/x", "SCRIPT_NAME=/a"), "1 /a|/x"},
		{"another name", none, " /a", cgi("GET", "/x", "SCRIPT_NAME=/b"), "0 /b|/x"},
		{"an empty name", none, " /a", cgi("GET", "/x", "SCRIPT_NAME="), "0 |/x"},
		{"no name", none, " /a", cgi("GET", "/x"), "0 -|/x"},
		{"by id", none, " /a", cgi("GET", "/x", "UWSGI_APPID=/a"), "1 -|/x"},
		{"another id", none, " /a", cgi("GET", "/x", "UWSGI_APPID=/none"), "0 -|/x"},
		{"ignored", ignored, " /a", cgi("GET", "/x", "SCRIPT_NAME=/a"), "0 /a|/x"},
		{"managed", managed, " /a", cgi("GET", "/x", "SCRIPT_NAME=/a"), "1 /a|/x"},
		{"managed, name and path", managed, " /a", cgi("GET", "/a/x", "SCRIPT_NAME=/a"), "1 /a|/x"},
		{"managed, an empty name", managed, " /a", cgi("GET", "/x", "SCRIPT_NAME="), "0 |/x"},
		{"managed, no name", managed, " /a", cgi("GET", "/x"), "0 |/x"},
		{"managed, one application", managed, "", cgi("GET", "/x"), "0 |/x"},
		{"managed, no default", strict, "/b /a", cgi("GET", "/x", "SCRIPT_NAME=/a"), "1 /a|/x"},
		{"managed, no default, no name", strict, "/b /a", cgi("GET", "/x"), "-1 |/x"},
	} {
		s := serve(t, config{listen: []string{"uwsgi"}, handler: where,
			mounts: strings.Split(tc.mounts, " "), set: tc.set})
		if got, want := s.exchange("uwsgi", packet(tc.vars...)), "HTTP/1.1 200 OK\r\n\r\n"+tc.want; got != want {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
	}
}
