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

	"uwsgi/internal/option"
)

// stamp is the time of every file in the tests.
var stamp = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

const stampText = "Thu, 29 Feb 2024 12:00:00 GMT"

// tree makes a folder: "path" → content; "path -> target" → a link; a content of "DIR" makes a
// folder.
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
		for _, path := range []string{"/s/a.css\x00.html", "/s/\x00", "/s/../private/secret",
			"/s/../../../../../../etc/passwd", "/s/sub\\..\\..\\private"} {
			if got := s.exchange("uwsgi", packet(cgi("GET", path)...)); !strings.HasSuffix(got, "hello "+path) {
				t.Errorf("packet %q: %q", path, got)
			}
		}
		m := mark(t)
		fetch(s, "GET", "/s/out")
		if got := messages(t, m); !strings.Contains(got,
			"security error: "+dir+"/private/secret is not under "+dir+"/www") {
			t.Errorf("log: %q", got)
		}
		if n := s.eng.exchanges[0].cell.Static.Load(); n == 0 {
			t.Error("nothing was counted")
		}
		s.stop()
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

func TestStaticSmallFileChanges(t *testing.T) {
	// What is promised is what was read.
	dir := tree(t, map[string]string{"a.txt": "0123456789"})
	s := serve(t, config{set: func(s *option.Settings) {
		s.StaticMaps = []option.StaticMap{{Kind: "map",
			Prefix: "/s", Path: dir}}
	}})
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
