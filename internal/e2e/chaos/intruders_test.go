package chaos

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// No path leaves the mapped folder, by whichever spelling, link or length.
func TestStaticTraversal(t *testing.T) {
	r := newRig(t)
	r.Write("outside/secret.txt", "secret")
	r.Write("docs/in.txt", "inside")
	r.Write("docs/sub/deep.txt", "deep")
	r.Write("docs-other/secret.txt", "secret")
	for link, to := range map[string]string{
		"docs/link.txt": r.Path("outside/secret.txt"), "docs/up": "..", "docs/rel.txt": "../outside/secret.txt", "docs/good.txt": "sub/deep.txt",
		"docs/loop": "loop", "docs/etc": "/etc",
	} {
		if err := os.Symlink(to, r.Path(link)); err != nil {
			t.Fatal(err)
		}
	}
	r.begin("-p", "1", "--static-map", "/docs="+r.Path("docs"), "--check-static", r.Path("docs"))
	r.fds += 2 // each core keeps the folders open
	r.expect(200, "/docs/in.txt", "inside")
	r.expect(200, "/docs/sub/deep.txt", "deep")
	r.expect(200, "/docs/good.txt", "deep")
	deep := strings.Repeat("sub/../", 500) + "in.txt"
	for _, path := range []string{
		"/docs/../outside/secret.txt", "/docs/..%2foutside/secret.txt", "/docs/%2e%2e/outside/secret.txt", "/docs/%2e%2e%2foutside%2fsecret.txt",
		"/docs/.%2e/outside/secret.txt", "/docs/sub/../../outside/secret.txt", "/docs/..%5coutside/secret.txt", "/docs/..%c0%afoutside/secret.txt",
		"/docs/%252e%252e/outside/secret.txt", "/docs//../outside/secret.txt", "/docs/./../outside/secret.txt", "/docs/..;/outside/secret.txt",
		"/docs/link.txt", "/docs/rel.txt", "/docs/up/outside/secret.txt", "/docs/loop", "/docs/etc/passwd", "/docs/in.txt%00.png", "/docs/%00",
		"/docs-other/secret.txt", "/docs../outside/secret.txt", "/docs" + r.Path("outside/secret.txt"), "//" + r.Path("outside/secret.txt"),
		"/docs/" + strings.Repeat("a", 300), "/docs/" + strings.Repeat("a/", 3000) + "in.txt", "/docs/" + deep + "/../../../outside/secret.txt",
		"/../outside/secret.txt", "/..%2foutside/secret.txt", "/link.txt", "/up/outside/secret.txt", "/etc/passwd", "/proc/self/environ", "/docs/proc/self/environ",
		"/docs/in.txt/../../outside/secret.txt", "/docs/in.txt/",
	} {
		for _, raw := range []string{
			"GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"GET http://a" + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		} {
			b, err := conversation(t, r.addr, raw)
			if err != nil || strings.Contains(string(b), "secret") || strings.Contains(string(b), "root:") ||
				strings.Contains(string(b), "PATH=") || !strings.HasPrefix(string(b), "HTTP/1.1 ") {
				t.Errorf("%.200s: %v %.300q", path, err, b)
				continue
			}
			tally.onPurpose.Add(1)
		}
		// A packet may hold what no URL can: the decoded path as it stands.
		plain := strings.NewReplacer("%2f", "/", "%2e", ".", "%5c", `\`, "%00", "\x00", "%c0%af", "\xc0\xaf").Replace(path)
		got := r.talk(harness.Request("GET", plain, "").With("REQUEST_URI", path).Packet())
		if strings.Contains(got, "secret") || strings.Contains(got, "root:") || strings.Contains(got, "PATH=") {
			t.Errorf("packet %.200q: %.300q", plain, got)
		}
		tally.onPurpose.Add(1)
	}
}

// What a client sends forges no line of the log, neither the server's nor one of a request.
func TestLogInjection(t *testing.T) {
	r := newRig(t)
	r.Start("--http", r.addr, "--socket", r.sock, "--wsgi-file", "app.py", "--vacuum", "-p", "1",
		"--log-format", `%(method) "%(uri)" "%(uagent)" "%(referer)" "%(user)" %(host) %(var.HTTP_X)`)
	t.Cleanup(r.settled)
	forged := "a line of somebody else's"
	evil := "a\n" + forged + "\r\n" + forged + "\x1b[2J\x00\u2028" + forged
	v := harness.Request("GET", "/inject", "").With("REQUEST_URI", "/"+evil, "REQUEST_METHOD", evil, "HTTP_USER_AGENT",
		evil, "HTTP_REFERER", evil,
		"REMOTE_USER", evil, "HTTP_HOST", evil, "HTTP_X", evil, "REMOTE_ADDR", evil, "PATH_INFO", "/"+evil, "SERVER_PROTOCOL", evil)
	for range 3 {
		r.talk(v.Packet())
		r.talk(v.With("CONTENT_LENGTH", "\n"+forged).Packet())
		r.talk(harness.Packet("A\n"+forged, "b"))
		tally.onPurpose.Add(3)
	}
	for _, raw := range []string{
		"GET /%0a" + strings.ReplaceAll(forged, " ", "%20") + "%0d%0a HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[31m" + forged + "\r\nConnection: close\r\n\r\n",
		"GET /\r" + forged + " HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\nX: " + forged + "\r\n\r\n", "G\nET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX:\x1b]0;title\x07\r\nConnection: close\r\n\r\n",
	} {
		conversation(t, r.addr, raw)
		tally.onPurpose.Add(1)
	}
	r.serves()
	for _, line := range r.Log.Lines(0) {
		if strings.HasPrefix(line, forged) || regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f]`).MatchString(line) {
			t.Errorf("a client wrote this line: %q", line)
		}
	}
}

// What listens beyond this host without being HTTP, and what anybody may rewrite, is pointed out at
// start.
func TestWarningsAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		mode os.FileMode
		dir  os.FileMode
		want string // "" = no warning
	}{
		"uwsgi on every address":    {[]string{"--socket", "0.0.0.0:0"}, 0o644, 0o755, `^\*\*\* WARNING: socket = 0\.0\.0\.0:\d+ speaks uwsgi beyond this host`},
		"fastcgi on every address":  {[]string{"--fastcgi-socket", ":0"}, 0o644, 0o755, `WARNING: fastcgi-socket = .* speaks fastcgi beyond`},
		"scgi on every IPv6":        {[]string{"--scgi-socket", "[::]:0"}, 0o644, 0o755, `WARNING: scgi-socket = .* speaks scgi beyond`},
		"uwsgi on loopback":         {[]string{"--socket", "127.0.0.1:0"}, 0o644, 0o755, ""},
		"http on every address":     {[]string{"--http-socket", "0.0.0.0:0"}, 0o644, 0o755, ""},
		"a configuration for all":   {nil, 0o666, 0o755, `WARNING: .*conf/uwsgi\.ini can be changed by any user of this host`},
		"a folder for all":          {nil, 0o644, 0o777, `WARNING: .*conf/uwsgi\.ini can be changed by any user of this host \(.*/conf has mode 0777\)`},
		"a folder with sticky bit":  {nil, 0o644, 0o777 | os.ModeSticky, ""},
		"a configuration for group": {nil, 0o664, 0o755, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ini := r.Write("conf/uwsgi.ini", "[uwsgi]\nprocesses = 1\n")
			for path, mode := range map[string]os.FileMode{ini: c.mode, filepath.Dir(ini): c.dir} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			r.begin(append([]string{"--ini", ini}, c.args...)...)
			// The first WARNING is the one about running as root, which stands in every log here.
			found := regexp.MustCompile(`(?m)^.*WARNING: (?:[^y]|y[^o]).*$`).FindAllString(r.Log.String(), -1)
			if c.want == "" && len(found) > 0 || c.want != "" &&
				(len(found) != 1 || !regexp.MustCompile(c.want).MatchString(found[0])) {
				t.Errorf("warnings %q, want %q", found, c.want)
			}
			r.serves()
		})
	}
}
