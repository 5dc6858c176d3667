package dataplane

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/boot"
	"uwsgi/internal/option"
	"uwsgi/internal/request"
	"uwsgi/internal/scoreboard"
)

// stamp is the time of every file in the tests.
var stamp = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

const stampText = "Thu, 29 Feb 2024 12:00:00 GMT"

// tree makes a folder: "path" → content; "path -> target" → a link; a content of "DIR" makes a folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		name, target, link := strings.Cut(path, " -> ")
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		target = strings.ReplaceAll(target, "$DIR", dir)
		switch {
		case link:
			err = os.Symlink(target, full)
		case content == "DIR":
			err = os.MkdirAll(full, 0o755)
		case content == "FIFO":
			err = unix.Mkfifo(full, 0o644)
		default:
			if err = os.WriteFile(full, []byte(content), 0o644); err == nil {
				err = os.Chtimes(full, stamp, stamp)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fetch asks for path, which is sent as it stands, on a connection of its own.
func fetch(s *server, method, path string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	c := s.dial("http")
	defer c.Close()
	c.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n")
	return c.response(method)
}

func TestStaticPaths(t *testing.T) {
	long := strings.Repeat("d/", 2000)
	dir := tree(t, map[string]string{
		"www/a.css":                                       "a",
		"www/sub/b.css":                                   "b",
		"www/sub/index.html":                              "index",
		"www/empty/x":                                     "x",
		"www/with space.css":                              "space",
		"www/caf\xc3\xa9.css":                             "cafe",
		"www/..dots/...css":                               "dots",
		"www/fifo":                                        "FIFO",
		"www/inside -> sub/b.css":                         "",
		"www/up -> ../www/a.css":                          "",
		"www/dirlink -> sub":                              "",
		"www/absolute -> $DIR/www/a.css":                  "",
		"www/out -> ../private/secret":                    "",
		"www/outdir -> ../private":                        "",
		"www/outabs -> $DIR/private/secret":               "",
		"www/safe -> $DIR/safe/s.css":                     "",
		"www/magic -> /proc/self/root$DIR/private/secret": "",
		"www/loop -> loop":                                "",
		"www/skipped.php":                                 "php",
		"private/secret":                                  "secret",
		"www-private/secret":                              "secret",
		"safe/s.css":                                      "safe",
		"kept/k/x.css":                                    "kept",
		"check/a.css":                                     "shadow",
		"check/only.css":                                  "only",
		"file.ico":                                        "ico",
	})
	if err := os.WriteFile(filepath.Join(dir, "www/unreadable"), nil, 0); err != nil {
		t.Fatal(err)
	}
	for _, walking := range []bool{false, true} {
		s := serve(t, config{
			listen:  []string{"http", "uwsgi"},
			prepare: func(e *Engine) { e.static.beneath = !walking },
			set: func(s *option.Settings) {
				s.StaticMaps = []option.StaticMap{
					{Kind: "map2", Prefix: "/k", Path: dir + "/kept"},
					{Kind: "map", Prefix: "/s", Path: dir + "/www"},
					{Kind: "map", Prefix: "/t/", Path: dir + "/www/"},
					{Kind: "map", Prefix: "/fav.ico", Path: dir + "/file.ico"},
					{Kind: "map", Prefix: "/gone", Path: dir + "/not/there"},
					{Kind: "check", Path: dir + "/check"},
				}
				s.StaticIndexes = []string{"default.html", "index.html"}
				s.StaticSkipExts = []string{".php"}
				s.StaticSafe = []string{dir + "/safe", dir + "/nowhere"}
			},
		})
		for path, want := range map[string]string{
			"/s/a.css":                        "a",
			"/s//a.css":                       "a",
			"/s/./a.css":                      "a",
			"/s/sub/b.css":                    "b",
			"/s/sub":                          "index",
			"/s/sub/":                         "index",
			"/s/dirlink/":                     "index",
			"/s/empty/":                       "app",
			"/s":                              "app",
			"/s/":                             "app",
			"/s/with%20space.css":             "space",
			"/s/caf%C3%A9.css":                "cafe",
			"/s/..dots/...css":                "dots",
			"/s/a.css/":                       "app",
			"/s/a.css/x":                      "app",
			"/s/missing":                      "app",
			"/s/fifo":                         "app",
			"/s/inside":                       "b",
			"/s/up":                           "a", // leaves the folder on its way, and comes back
			"/s/absolute":                     "a",
			"/s/safe":                         "safe",
			"/s/out":                          "app",
			"/s/outdir/secret":                "app",
			"/s/outabs":                       "app",
			"/s/magic":                        "app",
			"/s/loop":                         "app",
			"/s/skipped.php":                  "app",
			"/s/../private/secret":            "app",
			"/s/%2e%2e/private/secret":        "app",
			"/s/%2e%2e/www-private/secret":    "app",
			"/s/sub/%2e%2e/a.css":             "app",
			"/s/..%2fprivate/secret":          "app",
			"/s/%2e%2e%2fprivate%2fsecret":    "app",
			"/s/sub/..%2f..%2fprivate/secret": "app",
			"/s-private/secret":               "app",
			"/sx/a.css":                       "app",
			"/s/" + long + "x":                "app",
			"/s/" + strings.Repeat("x", 300):  "app",
			"/t/a.css":                        "a",
			"/ta.css":                         "app",
			"/fav.ico":                        "ico",
			"/fav.icox":                       "app",
			"/fav.ico/x":                      "app",
			"/gone/x":                         "app",
			"/k/x.css":                        "kept",
			"/kx.css":                         "app",
			"/a.css":                          "shadow",
			"/only.css":                       "only",
			"/":                               "app",
		} {
			resp, got := fetch(s, "GET", path)
			if want == "app" {
				want = "hello "
				got = got[:min(len(got), len(want))]
			}
			if resp.StatusCode != 200 || got != want {
				t.Errorf("walking %v: %s: %s %q, want %q", walking, path, resp.Status, got, want)
			}
		}
		if os.Geteuid() != 0 {
			if _, got := fetch(s, "GET", "/s/unreadable"); got != "hello /s/unreadable" {
				t.Errorf("unreadable: %q", got)
			}
		}
		// Only GET and HEAD are for files.
		for _, method := range []string{"POST", "PUT", "OPTIONS", "get"} {
			if _, got := fetch(s, method, "/s/a.css"); got != "hello /s/a.css" {
				t.Errorf("%s: %q", method, got)
			}
		}
		// A packet may hold any byte.
		for _, path := range []string{"/s/a.css\x00.html", "/s/\x00", "/s/../private/secret", "/s/../../../../../../etc/passwd", "/s/sub\\..\\..\\private"} {
			if got := s.exchange("uwsgi", packet(cgi("GET", path)...)); !strings.HasSuffix(got, "hello "+path) {
				t.Errorf("packet %q: %q", path, got)
			}
		}
		m := mark(t)
		fetch(s, "GET", "/s/out")
		if got := messages(t, m); !strings.Contains(got, "security error: "+dir+"/private/secret is not under "+dir+"/www") {
			t.Errorf("log: %q", got)
		}
		if n := s.eng.cores[0].cell.Static.Load(); n == 0 {
			t.Error("nothing was counted")
		}
		s.stop()
	}
}

// The whole head, over every protocol.
func TestStaticHead(t *testing.T) {
	dir := tree(t, map[string]string{"a.css": "body{}", "big.bin": pattern(100000), "none": "x", "zero.txt": ""})
	if err := os.Chtimes(dir+"/none", time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	s := serve(t, config{
		listen: []string{"http", "uwsgi", "scgi", "fastcgi"},
		set: func(s *option.Settings) {
			s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
			s.AddHeaders = []string{"X-Frame-Options: DENY"}
			s.LogFormat = "%(method) %(uri) %(status) %(rsize) %(headers)"
		},
	})
	const css = "200 OK\r\nContent-Type: text/css\r\nLast-Modified: " + stampText + "\r\nContent-Length: 6\r\nX-Frame-Options: DENY\r\n"
	for _, tc := range []struct{ name, protocol, request, want string }{
		{"1.1", "http", "GET /s/a.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 " + css + "Connection: close\r\n\r\nbody{}"},
		{"1.0", "http", "GET /s/a.css HTTP/1.0\r\n\r\n", "HTTP/1.1 " + css + "Connection: close\r\n\r\nbody{}"},
		{"HEAD", "http", "HEAD /s/a.css HTTP/1.0\r\n\r\n", "HTTP/1.1 " + css + "Connection: close\r\n\r\n"},
		{"kept", "http", "GET /s/a.css HTTP/1.1\r\nHost: x\r\n\r\nHEAD /s/a.css HTTP/1.1\r\nHost: x\r\n\r\nGET /s/a.css HTTP/1.0\r\n\r\n",
			"HTTP/1.1 " + css + "\r\nbody{}HTTP/1.1 " + css + "\r\nHTTP/1.1 " + css + "Connection: close\r\n\r\nbody{}"},
		{"uwsgi", "uwsgi", packet(cgi("GET", "/s/a.css")...), "HTTP/1.1 " + css + "\r\nbody{}"},
		{"uwsgi HEAD", "uwsgi", packet(cgi("HEAD", "/s/a.css")...), "HTTP/1.1 " + css + "\r\n"},
		{"scgi", "scgi", netstring(cgi("GET", "/s/a.css")...), "Status: " + css + "\r\nbody{}"},
		{"fastcgi", "fastcgi", fcgi(1, false, cgi("GET", "/s/a.css")), fcgiAnswer(1, "Status: "+css+"\r\nbody{}")},
		{"fastcgi HEAD", "fastcgi", fcgi(1, false, cgi("HEAD", "/s/a.css")), fcgiAnswer(1, "Status: "+css+"\r\n")},
		{"no type, 1970", "uwsgi", packet(cgi("GET", "/s/none")...),
			"HTTP/1.1 200 OK\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 1\r\nX-Frame-Options: DENY\r\n\r\nx"},
		{"empty", "uwsgi", packet(cgi("GET", "/s/zero.txt")...),
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nLast-Modified: " + stampText + "\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\n\r\n"},
		{"large", "uwsgi", packet(cgi("GET", "/s/big.bin")...), "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nLast-Modified: " + stampText +
			"\r\nContent-Length: 100000\r\nX-Frame-Options: DENY\r\n\r\n" + pattern(100000)},
		{"a body is not for a file", "http", "GET /s/a.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 " + css + "Connection: close\r\n\r\nbody{}"},
	} {
		if got := undated(s.exchange(tc.protocol, tc.request)); got != tc.want {
			t.Errorf("%s: got %.300q, want %.300q", tc.name, got, tc.want)
		}
	}
	got, _ := fcgiDecode(t, 1, s.exchange("fastcgi", fcgi(1, false, cgi("GET", "/s/big.bin"))))
	if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != pattern(100000) {
		t.Errorf("large over fastcgi: %d bytes", len(body))
	}
	if lines := s.requests(1); lines[0] != "GET /s/a.css 200 6 6" {
		t.Errorf("log: %q", lines[0])
	}
}

func TestStaticConditions(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "0123456789", "b.txt": pattern(50000), "empty.txt": ""})
	s := serve(t, config{set: func(s *option.Settings) {
		s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
		s.HonourRange = true
	}})
	const since, ranged, ifRange = "If-Modified-Since: ", "Range: bytes=", "If-Range: "
	for _, tc := range []struct {
		path    string
		headers []string
		status  int
		part    string // Content-Range
		body    string
	}{
		{"a", []string{since + stampText}, 304, "", ""},
		{"a", []string{since + "Thu, 29 Feb 2024 12:00:01 GMT"}, 304, "", ""},
		{"a", []string{since + "Thu, 29 Feb 2024 11:59:59 GMT"}, 200, "", "0123456789"},
		{"a", []string{since + "Thursday, 29-Feb-24 12:00:00 GMT"}, 304, "", ""},
		{"a", []string{since + "Thu Feb 29 12:00:00 2024"}, 304, "", ""},
		{"a", []string{since + "yesterday"}, 200, "", "0123456789"},
		{"a", []string{since + stampText, `If-None-Match: "x"`}, 200, "", "0123456789"},
		{"a", []string{ranged + "0-0"}, 206, "bytes 0-0/10", "0"},
		{"a", []string{ranged + "2-4"}, 206, "bytes 2-4/10", "234"},
		{"a", []string{ranged + "7-"}, 206, "bytes 7-9/10", "789"},
		{"a", []string{ranged + "7-99"}, 206, "bytes 7-9/10", "789"},
		{"a", []string{ranged + "-3"}, 206, "bytes 7-9/10", "789"},
		{"a", []string{ranged + "-99"}, 206, "bytes 0-9/10", "0123456789"},
		{"a", []string{ranged + "10-"}, 416, "bytes */10", ""},
		{"a", []string{ranged + "-0"}, 416, "bytes */10", ""},
		{"a", []string{ranged + "4-2"}, 200, "", "0123456789"},
		{"a", []string{ranged + "x-2"}, 200, "", "0123456789"},
		{"a", []string{ranged + "1"}, 200, "", "0123456789"},
		{"a", []string{ranged + "-"}, 200, "", "0123456789"},
		{"a", []string{ranged + "0-1,3-4"}, 200, "", "0123456789"},
		{"a", []string{ranged + "99999999999999999999-"}, 200, "", "0123456789"},
		{"a", []string{"Range: lines=0-1"}, 200, "", "0123456789"},
		{"a", []string{ranged + "2-4", ifRange + stampText}, 206, "bytes 2-4/10", "234"},
		{"a", []string{ranged + "2-4", ifRange + `"etag"`}, 200, "", "0123456789"},
		{"b", []string{ranged + "100-40099"}, 206, "bytes 100-40099/50000", pattern(50000)[100:40100]},
		{"empty", []string{ranged + "0-"}, 416, "bytes */0", ""},
		{"empty", []string{ranged + "-1"}, 416, "bytes */0", ""},
	} {
		resp, body := fetch(s, "GET", "/s/"+tc.path+".txt", tc.headers...)
		if resp.StatusCode != tc.status || body != tc.body || resp.Header.Get("Content-Range") != tc.part {
			t.Errorf("%s %q: %s %q %.40q, want %d %q %.40q", tc.path, tc.headers, resp.Status, resp.Header.Get("Content-Range"), body, tc.status, tc.part, tc.body)
		}
		if accepts := resp.Header.Get("Accept-Ranges"); (accepts == "bytes") != (tc.status == 200) {
			t.Errorf("%q: Accept-Ranges: %q", tc.headers, accepts)
		}
		if resp.Close || resp.Header.Get("Last-Modified") != stampText {
			t.Errorf("%q: close %v, Last-Modified %q", tc.headers, resp.Close, resp.Header.Get("Last-Modified"))
		}
	}
	if resp, _ := fetch(s, "HEAD", "/s/a.txt", ranged+"2-4"); resp.StatusCode != 200 || resp.ContentLength != 10 {
		t.Errorf("HEAD: %s, %d", resp.Status, resp.ContentLength)
	}
	// Without honour-range a Range is not looked at.
	s = serve(t, config{set: func(s *option.Settings) { s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}} }})
	if resp, body := fetch(s, "GET", "/s/a.txt", ranged+"2-4"); resp.StatusCode != 200 || body != "0123456789" || resp.Header.Get("Accept-Ranges") != "" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func TestStaticPacked(t *testing.T) {
	files := map[string]string{
		"a.js": "plain", "a.js.gz": "gz", "a.js.br": "br",
		"b.css": "plain", "b.css.gz": "gz",
		"c.txt": "plain", "c.txt.gz": "gz",
		"dir/d.png": "plain", "dir/d.png.gz": "gz",
		"e.svg": "plain", "e.svg.gz": "DIR",
	}
	dir := tree(t, files)
	s := serve(t, config{set: func(s *option.Settings) {
		s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}, {Kind: "map", Prefix: "/one.js", Path: dir + "/a.js"}}
		s.StaticGzip = []string{`\.js$`}
		s.StaticGzipExts = []string{".css", ".svg"}
		s.StaticGzipDirs = []string{dir + "/dir"}
	}})
	for _, tc := range []struct{ path, accept, encoding, body, vary string }{
		{"/s/a.js", "gzip, deflate, br", "br", "br", "Accept-Encoding"},
		{"/one.js", "gzip, deflate, br", "br", "br", "Accept-Encoding"},
		{"/s/a.js", "gzip", "gzip", "gz", "Accept-Encoding"},
		{"/s/a.js", "br;q=0, gzip;q=0.5", "gzip", "gz", "Accept-Encoding"},
		{"/s/a.js", "br;q=0.0, gzip; q=0", "", "plain", "Accept-Encoding"},
		{"/s/a.js", "brotli, x-gzip", "", "plain", "Accept-Encoding"},
		{"/s/a.js", "", "", "plain", "Accept-Encoding"},
		{"/s/b.css", "GZIP", "gzip", "gz", "Accept-Encoding"},
		{"/s/b.css", "br", "", "plain", "Accept-Encoding"},
		{"/s/c.txt", "gzip", "", "plain", ""},
		{"/s/dir/d.png", "gzip", "gzip", "gz", "Accept-Encoding"},
		{"/s/e.svg", "gzip", "", "plain", "Accept-Encoding"},
	} {
		resp, body := fetch(s, "GET", tc.path, "Accept-Encoding: "+tc.accept)
		if body != tc.body || resp.Header.Get("Content-Encoding") != tc.encoding || resp.Header.Get("Vary") != tc.vary {
			t.Errorf("%s %q: %q, %q, Vary %q", tc.path, tc.accept, body, resp.Header.Get("Content-Encoding"), resp.Header.Get("Vary"))
		}
		if got := resp.Header.Get("Content-Type"); strings.Contains(got, "zip") {
			t.Errorf("%s: type %q", tc.path, got)
		}
	}
	all := serve(t, config{set: func(s *option.Settings) {
		s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
		s.StaticGzipAll = true
	}})
	if _, body := fetch(all, "GET", "/s/c.txt", "Accept-Encoding: gzip"); body != "gz" {
		t.Errorf("%q", body)
	}
}

func TestStaticExpires(t *testing.T) {
	dir := tree(t, map[string]string{"a.css": "a", "b.js": "b", "c.png": "c", "d.gif": "d", "e.txt": "e"})
	s := serve(t, config{set: func(s *option.Settings) {
		s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
		s.StaticExpires = []option.StaticExpires{
			{By: "type", Pattern: "text/css", Seconds: 1, Mtime: true},
			{By: "filename", Pattern: `/a\.css$`, Seconds: 60, Mtime: true},
			{By: "path-info", Pattern: `^/s/b`, Seconds: 120, Mtime: true},
			{By: "uri", Pattern: `v=\d`, Seconds: 180, Mtime: true},
			{By: "type", Pattern: "image/gif", Seconds: 3600},
		}
	}})
	for path, want := range map[string]string{
		"/s/a.css":     "Thu, 29 Feb 2024 12:01:00 GMT", // of the four families the first that matches: one header
		"/s/b.js":      "Thu, 29 Feb 2024 12:02:00 GMT",
		"/s/c.png?v=1": "Thu, 29 Feb 2024 12:03:00 GMT",
		"/s/c.png":     "",
		"/s/e.txt":     "",
	} {
		resp, _ := fetch(s, "GET", path)
		if got := resp.Header["Expires"]; len(got) > 1 || resp.Header.Get("Expires") != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	before := time.Now().Add(time.Hour).Truncate(time.Second)
	resp, _ := fetch(s, "GET", "/s/d.gif")
	at, err := http.ParseTime(resp.Header.Get("Expires"))
	if after := time.Now().Add(time.Hour); err != nil || at.Before(before) || at.After(after) {
		t.Errorf("%v, %v", at, err)
	}
	for _, bad := range []func(s *option.Settings){
		func(s *option.Settings) { s.StaticExpires = []option.StaticExpires{{By: "uri", Pattern: "("}} },
		func(s *option.Settings) { s.StaticGzip = []string{"("} },
	} {
		settings := option.Default()
		settings.StaticDocroot = true
		bad(settings)
		if _, err := newStatic(settings); err == nil {
			t.Error("a bad pattern is taken")
		}
	}
}

func TestStaticServeMode(t *testing.T) {
	dir := tree(t, map[string]string{"a.css": "a", "link -> a.css": "", "bad\r\nX-Evil: 1": "evil"})
	for mode, header := range map[string]string{"x-sendfile": "X-Sendfile", "x-accel-redirect": "X-Accel-Redirect"} {
		s := serve(t, config{set: func(s *option.Settings) {
			s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
			s.FileServeMode = mode
		}})
		for _, path := range []string{"/s/a.css", "/s/link"} {
			if resp, body := fetch(s, "GET", path); resp.Header.Get(header) != dir+"/a.css" || body != "" || resp.Header.Get("Last-Modified") != stampText {
				t.Errorf("%s %s: %v, %q", mode, path, resp.Header, body)
			}
		}
		if resp, body := fetch(s, "GET", "/s/bad%0d%0aX-Evil:%201"); body != "evil" || resp.Header.Get("X-Evil") != "" || resp.Header.Get(header) != "" {
			t.Errorf("%v, %q", resp.Header, body)
		}
	}
}

// check-static-docroot goes by what the front end says.
func TestStaticDocroot(t *testing.T) {
	one, two := tree(t, map[string]string{"a.txt": "one"}), tree(t, map[string]string{"a.txt": "two"})
	s := serve(t, config{listen: []string{"uwsgi"}, set: func(s *option.Settings) { s.StaticDocroot = true }})
	for _, tc := range []struct{ root, want string }{{one, "one"}, {two, "two"}, {one, "one"}, {"", "hello /a.txt"}, {"/nowhere", "hello /a.txt"}} {
		if got := s.exchange("uwsgi", packet(cgi("GET", "/a.txt", "DOCUMENT_ROOT="+tc.root)...)); !strings.HasSuffix(got, "\r\n\r\n"+tc.want) {
			t.Errorf("%s: %q", tc.root, got)
		}
	}
}

// A deployment that swaps a link is noticed, and so is a folder that comes later.
func TestStaticRootChanges(t *testing.T) {
	dir := tree(t, map[string]string{"v1/a.txt": "one", "v2/a.txt": "two", "current -> v1": ""})
	r := newRoot(dir + "/current")
	f := files{}
	st := &static{beneath: hasOpenat2()}
	read := func() string {
		f.name = append(f.name[:0], "a.txt"...)
		fd, errno := f.open(st, &r)
		if errno != 0 {
			t.Fatal(errno)
		}
		defer unix.Close(fd)
		b, err := os.ReadFile(procFD(fd))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	now := int64(1)
	if !r.ready(now) || read() != "one" || r.real != dir+"/v1" {
		t.Fatalf("%+v", r)
	}
	if err := os.Remove(dir + "/current"); err != nil {
		t.Fatal(err)
	}
	if !r.ready(now+1) || read() != "one" {
		t.Fatal("it is not looked at again so soon")
	}
	if r.ready(now + int64(rootAge)) {
		t.Fatal("it is gone")
	}
	if err := os.Symlink("v2", dir+"/current"); err != nil {
		t.Fatal(err)
	}
	if r.ready(now + int64(rootAge) + 1) {
		t.Fatal("it is not looked at again so soon")
	}
	if !r.ready(now+2*int64(rootAge)) || read() != "two" || r.real != dir+"/v2" {
		t.Fatalf("%+v", r)
	}
	r.close()
}

func TestMimeTypes(t *testing.T) {
	dir := tree(t, map[string]string{"mime.types": "# comment\ntext/x-one one uno # more\n\ntext/x-none\ntext/x-two two one\n"})
	m := mimeTypes{files: []string{dir + "/mime.types", dir + "/missing"}}
	for path, want := range map[string]string{"/a.one": "text/x-one", "/a.UNO": "text/x-one", "/a.two": "text/x-two", "/a.css": "", "/a": "", "/a.b/c": "", "/a.": ""} {
		if got := m.of([]byte(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	m = mimeTypes{}
	for path, want := range map[string]string{"/a.css": "text/css", "/a.HTML": "text/html", "/.woff2": "font/woff2", "/a.tar.gz": "application/gzip", "/a.nothing-known": "",
		"/a." + strings.Repeat("x", 100): ""} {
		if got := m.of([]byte(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if len(m.rest) == 0 {
		if _, err := os.Stat(systemMime); err == nil {
			t.Errorf("%s was not read for an extension we do not know", systemMime)
		}
	}
}

func TestStaticSmallFileChanges(t *testing.T) {
	// What is promised is what was read.
	dir := tree(t, map[string]string{"a.txt": "0123456789"})
	s := serve(t, config{set: func(s *option.Settings) { s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}} }})
	c := s.dial("http")
	for i := range 200 {
		if err := os.WriteFile(dir+"/a.txt", bytes.Repeat([]byte("x"), i%20), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := c.get("/s/a.txt"); got != strings.Repeat("x", i%20) {
			t.Fatalf("%d: %q", i, got)
		}
	}
}

// BenchmarkStatic is one core's work for a file of 1 KiB on a kept connection.
func BenchmarkStatic(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(dir+"/a.css", make([]byte, 1024), 0o644); err != nil {
		b.Fatal(err)
	}
	settings := option.Default()
	settings.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
	st, err := newStatic(settings)
	if err != nil {
		b.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	c := benchCore(b, settings, pair[0])
	c.eng.static = st
	defer c.files.close()
	head := []byte("GET /s/a.css HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c.reply = reply{remaining: -1, keep: true}
		c.answerer.Store(answerNobody)
		if n, err := c.parse(c.cn, head); err != nil || n != len(head) {
			b.Fatal(err)
		}
		if err := request.Finish(&c.req, &c.eng.limits, request.Options{HTTP: true}); err != nil {
			b.Fatal(err)
		}
		if !c.serveStatic() {
			b.Fatal("not served")
		}
		if n, err := unix.Read(pair[1], buf); err != nil || n < 1024 {
			b.Fatal(n, err)
		}
	}
}

// benchCore is a core without an engine's sockets, that serves the connection fd.
func benchCore(b *testing.B, settings *option.Settings, fd int) *Core {
	board, err := scoreboard.New(1, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(board.FD()) })
	e := &Engine{app: &fakeApp{}, settings: settings, board: board, row: board.Row(0), limits: request.Limits{Head: settings.BufferSize}}
	c := newCore(e, 0)
	c.cn = &conn{fd: fd, lis: newListener(0, boot.Listener{Name: "127.0.0.1:80", Protocol: "http"}, "host", settings)}
	c.started = 1
	return c
}
