package dataplane

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/option"
)

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
	const css = "200 OK\r\nContent-Type: text/css\r\nLast-Modified: " + stampText +
		"\r\nContent-Length: 6\r\nX-Frame-Options: DENY\r\n"
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
			t.Errorf("%s %q: %s %q %.40q, want %d %q %.40q", tc.path, tc.headers, resp.Status,
				resp.Header.Get("Content-Range"), body, tc.status, tc.part, tc.body)
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
	s = serve(t, config{set: func(s *option.Settings) {
		s.StaticMaps = []option.StaticMap{{Kind: "map",
			Prefix: "/s", Path: dir}}
	}})
	if resp, body := fetch(s, "GET", "/s/a.txt", ranged+"2-4"); resp.StatusCode != 200 || body != "0123456789" ||
		resp.Header.Get("Accept-Ranges") != "" {
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
		s.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir},
			{Kind: "map", Prefix: "/one.js", Path: dir + "/a.js"}}
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
			t.Errorf("%s %q: %q, %q, Vary %q", tc.path, tc.accept, body, resp.Header.Get("Content-Encoding"),
				resp.Header.Get("Vary"))
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
			if resp, body := fetch(s, "GET", path); resp.Header.Get(header) != dir+"/a.css" || body != "" ||
				resp.Header.Get("Last-Modified") != stampText {
				t.Errorf("%s %s: %v, %q", mode, path, resp.Header, body)
			}
		}
		if resp, body := fetch(s, "GET", "/s/bad%0d%0aX-Evil:%201"); body != "evil" ||
			resp.Header.Get("X-Evil") != "" || resp.Header.Get(header) != "" {
			t.Errorf("%v, %q", resp.Header, body)
		}
	}
}

// check-static-docroot goes by what the front end says.
func TestStaticDocroot(t *testing.T) {
	one, two := tree(t, map[string]string{"a.txt": "one"}), tree(t, map[string]string{"a.txt": "two"})
	s := serve(t, config{listen: []string{"uwsgi"}, set: func(s *option.Settings) { s.StaticDocroot = true }})
	for _, tc := range []struct{ root, want string }{{one, "one"}, {two, "two"}, {one, "one"}, {"", "hello /a.txt"},
		{"/nowhere", "hello /a.txt"}} {
		if got := s.exchange("uwsgi", packet(cgi("GET", "/a.txt",
			"DOCUMENT_ROOT="+tc.root)...)); !strings.HasSuffix(got, "\r\n\r\n"+tc.want) {
			t.Errorf("%s: %q", tc.root, got)
		}
	}
}
