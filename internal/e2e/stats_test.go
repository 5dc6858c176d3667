package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// statsOf reads the document of a stats server.
func statsOf(t *testing.T, path string) map[string]any {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return doc
}

// shapes notes the type of every field under its path, those of all elements of a list under one.
func shapes(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		out[path] = "object"
		for k, e := range v {
			shapes(path+"."+k, e, out)
		}
	case []any:
		out[path] = "list"
		for _, e := range v {
			shapes(path+"[]", e, out)
		}
	default:
		out[path] = fmt.Sprintf("%T", v)
	}
}

const sleeper = `
import time
def application(environ, start_response):
    start_response("200 OK", [])(b"begun")
    if environ["PATH_INFO"].endswith("/slow"):
        time.sleep(600)
    return []
`

func statsArgs(dir, addr string) []string {
	return []string{"--http-socket", addr, "--master", "-p", "2", "--threads", "2", "--module", "app", "--mount",
		"/m=app.py", "--manage-script-name",
		"--stats", filepath.Join(dir, "stats"), "--attach-daemon", "sleep 600", "--cron", "-1 -1 -1 -1 -1 true", "--locks", "2", "--memory-report"}
}

// added are the fields that uWSGI's statistics do not have.
var added = []string{
	".generation", ".reloads", ".crons[].ended", ".crons[].failures", ".crons[].runs", ".crons[].took", ".workers[].apps[].interface", ".workers[].connections", ".workers[].cores[].exceptions", ".workers[].generation", ".workers[].in_flight",
	".workers[].log_lost", ".workers[].loop_lag", ".workers[].websockets",
	".workers[].refused",
}

// TestStatsShape: programs that read uWSGI's statistics find every field of the real one here, with
// its type, and only ours beside them.
func TestStatsShape(t *testing.T) {
	t.Parallel()
	all := map[string]map[string]string{}
	for who, start := range map[string]func() (dir, addr string){
		"the real one": func() (string, string) {
			dir, addr := t.TempDir(), harness.Addr(t)
			if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(sleeper), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("uwsgi-core", append([]string{"--plugins", "python3"}, statsArgs(dir, addr)...)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), harness.DebianPath)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				cmd.Process.Signal(syscall.SIGINT) // its daemon dies with it
				cmd.Wait()
			})
			return dir, addr
		},
		"this one": func() (string, string) {
			s, addr := harness.New(t), harness.Addr(t)
			s.Setenv(harness.DebianPath)
			s.Write("app.py", sleeper)
			s.Tolerate("NO MERCY")
			s.Start(append(statsArgs(s.Dir, addr), "--reload-mercy", "1")...)
			return s.Dir, addr
		},
	} {
		dir, addr := start()
		harness.Eventually(t, who+" serves", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil && harness.Exists(filepath.Join(dir, "stats"))
		})
		harness.HTTP(t, addr).Get("/m/x")
		harness.ReadUntil(t, harness.Send(t, addr, "GET /slow HTTP/1.0\r\nX-Y: z\r\n\r\n"), "begun")
		all[who] = map[string]string{}
		shapes("", statsOf(t, filepath.Join(dir, "stats")), all[who])
	}
	theirs, ours := all["the real one"], all["this one"]
	if len(theirs) < 60 {
		t.Errorf("only %d fields were compared", len(theirs))
	}
	for _, path := range slices.Sorted(maps.Keys(theirs)) {
		if ours[path] != theirs[path] {
			t.Errorf("%s is a %q there, a %q here", path, theirs[path], ours[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(ours)) {
		if theirs[path] == "" && !slices.Contains(added, path) {
			t.Errorf("%s is not in the real one's", path)
		}
	}
}

// TestStatsOfApplications: each application's requests and exceptions are its own, imported before
// the fork or after it.
func TestStatsOfApplications(t *testing.T) {
	for _, lazy := range []string{"--lazy-apps=false", "--lazy-apps"} {
		t.Run(lazy, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", version("one"))
			s.Write("two.py", "def application(environ, start_response):\n    raise ValueError('two')\n")
			s.Write("files/a", "file")
			s.Start("--http", addr, lazy, "--module", "app", "--mount", "/two=two.py", "--manage-script-name",
				"--stats", s.Path("stats"),
				"--static-map", "/files="+s.Path("files"), "--log-format", "%(uri) app")
			s.Allow("ValueError: two")
			site := harness.HTTP(t, addr)
			for _, path := range []string{"/", "/x", "/two", "/files/a"} {
				site.Get(path)
			}
			s.Log.Wait(t, `^/files/a app`)
			worker := statsOf(t, s.Path("stats"))["workers"].([]any)[0].(map[string]any)
			var got []string
			for _, a := range worker["apps"].([]any) {
				a := a.(map[string]any)
				got = append(got, fmt.Sprint(a["id"], " ", a["mountpoint"], " ", a["requests"], " ", a["exceptions"]))
			}
			if want := []string{"0  2 0", "1 /two 1 1"}; !slices.Equal(got, want) || worker["requests"] != 4.0 ||
				worker["exceptions"] != 1.0 {
				t.Errorf("applications %q of a worker with %v requests, not %q of 4", got, worker["requests"], want)
			}
		})
	}
}

// TestUwsgitop: the screens of the tool that people watch uWSGI with, unchanged from PyPI, show
// this server's workers.
func TestUwsgitop(t *testing.T) {
	top := filepath.Join(harness.Venv(t, harness.DebianPython), "bin", "uwsgitop")
	for name, c := range map[string]struct {
		option []string
		scheme string
	}{
		"unix":               {},
		"TCP":                {},
		"HTTP":               {[]string{"--stats-http"}, "http://"},
		"abstract, minified": {[]string{"--stats-minified"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr, stats := harness.New(t), harness.Addr(t), harness.Addr(t)
			switch name {
			case "unix":
				stats = s.Path("stats.sock")
			case "abstract, minified":
				stats = "@uwsgi-" + filepath.Base(s.Path("."))
			}
			s.Write("app.py", sleeper)
			s.Start(append([]string{"--http-socket", addr, "-p", "2", "--threads", "2", "--module", "app", "--stats",
				stats}, c.option...)...)
			for range 7 {
				harness.HTTP(t, addr).Get("/")
			}
			harness.Eventually(t, "all are counted", func() bool { return s.Log.Count(`GET / => generated`) == 7 })
			// Its keys: cores in place of workers, cores below workers, quit.
			cmd := exec.Command("script", "-qec", top+" "+c.scheme+stats, "/dev/null")
			cmd.Env, cmd.Stdin = append(os.Environ(), "TERM=xterm", "COLUMNS=200", "LINES=40"), strings.NewReader("aaq")
			screen, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v", err)
			}
			for _, want := range append([]string{fmt.Sprintf("masterpid: %d", s.PID), "req: 7"}, pids(s)...) {
				if !strings.Contains(string(screen), want) {
					t.Errorf("no %q on the screen:\n%q", want, screen)
				}
			}
		})
	}
}

// pids are those of the workers, as the log has them.
func pids(s *harness.Server) (found []string) {
	for _, line := range s.Log.Lines(0) {
		if m := regexp.MustCompile(`^spawned uWSGI worker \d+ \(pid: (\d+)`).FindStringSubmatch(line); m != nil {
			found = append(found, m[1])
		}
	}
	return found
}

// TestListJSON: `uwsgi list --json` has every instance that runs here, with what the table has.
func TestListJSON(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.Start("--http", addr, "--module", "app", "--master", "-p", "2")
	harness.HTTP(t, addr).Get("/")
	s.Log.Wait(t, `GET / => generated`) // it is counted
	out, err := s.Command("list", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Instance, State, Since        string
		PID, Workers, Slots, Requests int
		Answers                       bool
		Memory                        int64 `json:"memory_bytes"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, i := range all {
		if i.PID != s.PID {
			continue
		}
		if !i.Answers || i.Instance != s.Dir || i.State != "active" || i.Workers != 2 ||
			i.Slots != 2 || i.Requests != 1 ||
			i.Memory == 0 || i.Since == "" {
			t.Errorf("%+v", i)
		}
		return
	}
	t.Errorf("it is not there: %s", out)
}

// TestListOfOneFolder: two instances that run in one folder are told apart, by what they serve.
func TestListOfOneFolder(t *testing.T) {
	t.Parallel()
	s, other := harness.New(t), harness.New(t)
	other.Dir = s.Dir
	first, second := harness.Addr(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.Start("--http", first, "--module", "app")
	other.Start("--http", second, "--http", s.Path("x.sock"), "--module", "app")
	for _, args := range [][]string{{"list"}, {"list", "--json"}} {
		out, err := s.Command(args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{s.Dir + " (" + first + ")", s.Dir + " (" + second + ", "} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q: no %q in\n%s", args, want, out)
			}
		}
	}
}
