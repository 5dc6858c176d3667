package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// block is a fenced one of a document.
type block struct {
	at, lang, text string
}

// blocks gives those of README.md and packaging/docs that keep keeps.
func blocks(t *testing.T, keep func(b block) bool) (all []block) {
	t.Helper()
	paths, err := filepath.Glob("../../packaging/docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatal("no documents: ", err)
	}
	for _, path := range append(paths, "../../README.md") {
		var b *block
		n := 0
		for line := range strings.Lines(readFile(t, path)) {
			n++
			switch fence, is := strings.CutPrefix(line, "```"); {
			case is && b == nil:
				b = &block{at: fmt.Sprintf("%s:%d", filepath.Base(path), n), lang: strings.TrimSpace(fence)}
			case is:
				if keep(*b) {
					all = append(all, *b)
				}
				b = nil
			case b != nil:
				b.text += line
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("no block was found")
	}
	return all
}

// TestDocsConfigurations: each line of each configuration in the documents is one that is honoured.
func TestDocsConfigurations(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t, func(b block) bool { return b.lang == "ini" }) {
		s := harness.New(t)
		out, _ := s.Command("check", "--json", s.Write("uwsgi.ini", b.text)).Output()
		lines := 0
		for line := range strings.Lines(string(out)) {
			var judged struct{ Option, Value, Standing, Note string }
			if err := json.Unmarshal([]byte(line), &judged); err != nil {
				t.Fatalf("%s: %v: %s", b.at, err, line)
			}
			if lines++; judged.Standing == "refused" || judged.Standing == "unknown" {
				t.Errorf("%s: %s = %s is %s: %s", b.at, judged.Option, judged.Value, judged.Standing, judged.Note)
			}
		}
		if lines < strings.Count(b.text, "=") {
			t.Errorf("%s: only %d lines were judged", b.at, lines)
		}
	}
}

// TestDocsCommands: each command in the documents that starts a server does, for a project that has
// what it names.
func TestDocsCommands(t *testing.T) {
	t.Parallel()
	commands := map[string]string{} // and where it stands
	for _, b := range blocks(t, func(b block) bool { return b.lang == "" || b.lang == "sh" }) {
		for line := range strings.Lines(b.text) {
			command, _, _ := strings.Cut(line, "#")
			if command = strings.TrimSpace(command); strings.HasPrefix(command, "uwsgi --") {
				commands[command] = b.at
			}
		}
	}
	if len(commands) < 5 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for command, at := range commands {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("mysite/wsgi.py", `
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
`)
			s.Write("main.py", `
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"served"})
`)
			s.Write("uwsgi.ini", "[uwsgi]\nmodule = mysite.wsgi\nhttp = "+addr+"\n")
			for _, written := range []string{"0.0.0.0:8000", ":8000"} {
				command = strings.ReplaceAll(command, " "+written, " "+addr)
			}
			s.Start(append(strings.Fields(command)[1:], "--home", harness.Async(t), "--lifespan", "off")...)
			if a := harness.HTTP(t, addr).Get("/"); a.Status != 200 || a.Body != "served" {
				t.Errorf("%s: %s %q", command, a.Line, a.Body)
			}
		})
	}
}

// TestFrontEnds: what packaging/docs/front-ends.md says of each front end makes it work. nginx has
// tests of its own.
func TestFrontEnds(t *testing.T) {
	t.Parallel()
	const folder = "/run/uwsgi/"
	start := map[string]func(t *testing.T, s *harness.Server, front, text string) []string{
		"apache": func(t *testing.T, s *harness.Server, front, text string) []string {
			conf := s.Write("apache.conf", "ServerName localhost\nListen "+front+"\nPidFile "+s.Path("apache.pid")+
				"\nErrorLog "+s.Path("apache.log")+"\nMutex file:"+s.Dir+"\n"+
				modules("mpm_event authz_core proxy proxy_uwsgi proxy_http headers")+text)
			return []string{"apache2", "-d", s.Dir, "-X", "-f", conf}
		},
		"haproxy": func(t *testing.T, s *harness.Server, front, text string) []string {
			return []string{"haproxy", "-db", "-f", s.Write("haproxy.cfg", strings.Replace(text, "bind :80", "bind "+front, 1))}
		},
		"caddyfile": func(t *testing.T, s *harness.Server, front, text string) []string {
			text = "{\n admin off\n}\n" + strings.Replace(text, "example.org", "http://"+front, 1)
			return []string{"caddy", "run", "--adapter", "caddyfile", "--config", s.Write("Caddyfile", text)}
		},
	}
	for _, b := range blocks(t, func(b block) bool { return start[b.lang] != nil }) {
		t.Run(b.at, func(t *testing.T) {
			t.Parallel()
			s, front, http, fastcgi := harness.New(t), harness.Addr(t), harness.Addr(t), harness.Addr(t)
			s.Write("app.py", `
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%s %s" % (environ["wsgi.url_scheme"].encode(), environ["PATH_INFO"].encode())]
`)
			s.Start("--module", "app", "--http", http, "--fastcgi-socket", fastcgi, "--socket", s.Path("mysite.sock"),
				"--chmod-socket=666")
			text := strings.NewReplacer(folder, s.Dir+"/", "127.0.0.1:8000", http, "127.0.0.1:9000", fastcgi).Replace(b.text)
			argv := start[b.lang](t, s, front, text)
			path, err := exec.LookPath(argv[0])
			if err != nil {
				t.Skip("needs ", argv[0])
			}
			log, err := os.Create(s.Path("front.log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			cmd := exec.Command(path, argv[1:]...)
			cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), "HOME="+s.Dir, "XDG_DATA_HOME="+s.Dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			harness.Eventually(t, argv[0]+" listens", func() bool { return listens(front) })
			if a := harness.HTTP(t, front).Get("/a%20b"); a.Status != 200 || a.Body != "http /a b" {
				said, _ := os.ReadFile(log.Name())
				t.Errorf("%s %q\n%s", a.Line, a.Body, said)
			}
		})
	}
}

// modules are the lines that load modules of Apache's; those that are built in have none.
func modules(names string) (lines string) {
	for _, name := range strings.Fields(names) {
		if path := "/usr/lib/apache2/modules/mod_" + name + ".so"; harness.Exists(path) {
			lines += "LoadModule " + name + "_module " + path + "\n"
		}
	}
	return lines
}
