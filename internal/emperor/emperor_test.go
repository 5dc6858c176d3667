package emperor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/units"
)

// TestMain makes the test program a vassal where the environment says so: it notes what happens to
// it in a file.
func TestMain(m *testing.M) {
	if units.IsGenerator(os.Args[0]) {
		os.Exit(units.Run(os.Args[1:]))
	}
	if os.Getenv("EMPEROR_TEST_ROLE") == "" {
		os.Exit(m.Run())
	}
	note := func(text string) {
		f, err := os.OpenFile(os.Getenv("EMPEROR_TEST_ROLE"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintln(f, text)
			f.Close()
		}
	}
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGHUP, syscall.SIGTERM)
	dir, _ := os.Getwd()
	note("start " + strings.Join(os.Args[1:], " ") + " in " + dir)
	for sig := range ch {
		note(sig.String())
		if sig == syscall.SIGTERM {
			for last := os.Getenv("EMPEROR_TEST_LINGER"); last != ""; time.Sleep(5 * time.Millisecond) { // why: a file
				if _, err := os.Stat(last); err == nil {
					note("gone")
					break
				}
			}
			os.Exit(0)
		}
	}
}

const patience = 20 * time.Second

// court is an emperor under test.
type court struct {
	t      *testing.T
	dir    string
	notes  string
	end    context.CancelFunc
	done   chan error
	rescan chan struct{}

	mu   sync.Mutex
	logs []string
}

func reign(t *testing.T, change func(*option.Settings)) *court {
	t.Helper()
	c := &court{t: t, dir: t.TempDir(), notes: filepath.Join(t.TempDir(), "notes"), done: make(chan error, 1),
		rescan: make(chan struct{}, 1)}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := option.Default()
	s.Emperor.Sources = []string{c.dir}
	s.Emperor.Freq = 50 * time.Millisecond
	s.Emperor.Throttle = 50 * time.Millisecond
	if change != nil {
		change(s)
	}
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	go func() {
		c.done <- Run(ctx, Config{Settings: s, Binary: exe, Environ: append(os.Environ(), "EMPEROR_TEST_ROLE="+c.notes),
			Notify: c, Rescan: c.rescan,
			Watchdog: 10 * time.Millisecond, Log: c.log})
	}()
	t.Cleanup(func() {
		end()
		if err := <-c.done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *court) log(_ slog.Level, _, text string, _ ...slog.Attr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logs = append(c.logs, text)
}

func (c *court) Ready(status string) error    { c.log(0, "", "READY "+status); return nil }
func (c *court) Stopping(status string) error { c.log(0, "", "STOPPING "+status); return nil }
func (c *court) Status(status string) error   { c.log(0, "", "STATUS "+status); return nil }
func (c *court) Watchdog() error              { return nil }

func (c *court) write(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *court) noted() string {
	text, _ := os.ReadFile(c.notes)
	return string(text)
}

func (c *court) eventually(what string, cond func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) { // why: files and a log tell
		if time.Now().After(deadline) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t.Fatalf("no %s; noted:\n%s\nlogged:\n%s", what, c.noted(), strings.Join(c.logs, "\n"))
		}
	}
}

func (c *court) logged(text string) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(strings.Join(c.logs, "\n"), text)
	}
}

func TestVassalsComeChangeAndGo(t *testing.T) {
	c := reign(t, func(s *option.Settings) {
		s.Emperor.Include, s.Emperor.Set = []string{"/common.ini"}, []string{"a=b"}
	})
	c.write("README", "no configuration")
	c.write(".hidden.ini", "[uwsgi]\n")
	a := c.write("a.ini", "[uwsgi]\n")
	want := "start --ini " + a + " --include /common.ini --set a=b in " + c.dir + "\n"
	c.eventually("start", func() bool { return c.noted() == want })
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(a, now, now); err != nil {
		t.Fatal(err)
	}
	want += "hangup\n"
	c.eventually("reload of a touched file", func() bool { return c.noted() == want })
	c.rescan <- struct{}{}
	want += "hangup\n"
	c.eventually("reload of all", func() bool { return c.noted() == want })
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	want += "terminated\n"
	c.eventually("stop", func() bool { return c.noted() == want })
	c.eventually("word of it", c.logged("STATUS 0 vassals"))
}

func TestDeadVassalIsStartedAgain(t *testing.T) {
	c := reign(t, func(s *option.Settings) { s.Emperor.Stats = "@emperor-test-" + filepath.Base(t.TempDir()) })
	c.write("a.yaml", "uwsgi:\n")
	var pid int
	ask := func() *statsDocument {
		c.eventually("stats server", c.logged("stats server enabled"))
		c.mu.Lock()
		var address string
		for _, l := range c.logs {
			if rest, ok := strings.CutPrefix(l, "*** Emperor stats server enabled on "); ok {
				address, _, _ = strings.Cut(rest, " ")
			}
		}
		c.mu.Unlock()
		conn, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		text, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		var d statsDocument
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return &d
	}
	c.eventually("vassal in the statistics", func() bool {
		d := ask()
		if len(d.Vassals) == 1 && d.Vassals[0].PID > 0 && strings.HasPrefix(c.noted(), "start") {
			pid = d.Vassals[0].PID
		}
		return pid > 0
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.eventually("second start", func() bool { return strings.Count(c.noted(), "start") == 2 })
	c.eventually("word of it", c.logged("vassal a.yaml died (signal: killed)"))
	c.eventually("respawn in the statistics", func() bool { return ask().Vassals[0].Respawns == 1 })
}

// A vassal whose file comes back while it is still ending starts when it has ended: it still holds
// its sockets.
func TestFileComesBack(t *testing.T) {
	last := filepath.Join(t.TempDir(), "last")
	t.Setenv("EMPEROR_TEST_LINGER", last)
	c := reign(t, nil)
	a := c.write("a.ini", "[uwsgi]\n")
	first := "start --ini " + a + " in " + c.dir + "\n"
	c.eventually("start", func() bool { return c.noted() == first })
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	c.eventually("stop", func() bool { return c.noted() == first+"terminated\n" })
	c.write("a.ini", "[uwsgi]\n")
	c.eventually("new instance", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Count(strings.Join(c.logs, "\n"), "new uwsgi instance a.ini") == 2
	})
	end := time.Now().Add(200 * time.Millisecond)
	for ; time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // why: what must not be
		if got := c.noted(); got != first+"terminated\n" {
			t.Fatalf("before the end of the first: %s", got)
		}
	}
	if err := os.WriteFile(last, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.eventually("start after the end", func() bool { return c.noted() == first+"terminated\ngone\n"+first })
}

// However long a hook takes, the goroutine that looks at the folders is not kept waiting: it tells
// the watchdog too.
func TestSlowHook(t *testing.T) {
	goOn := filepath.Join(t.TempDir(), "go-on")
	c := reign(t, func(s *option.Settings) {
		s.Emperor.StartHook = "while [ ! -e " + goOn + " ]; do sleep 0.01; done #"
	})
	t.Cleanup(func() {
		if err := os.WriteFile(goOn, nil, 0o644); err != nil {
			t.Error(err)
		}
	})
	c.write("a.ini", "[uwsgi]\n")
	for n := 1; n <= 40; n++ {
		select {
		case c.rescan <- struct{}{}:
		case <-time.After(patience):
			t.Fatalf("the emperor waits for the hook after %d looks", n)
		}
		c.eventually("look", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return strings.Count(strings.Join(c.logs, "\n"), "instance a.ini") >= n
		})
	}
}

// What went wrong with a vassal is told for as long as there is the vassal, and a problem again
// when it comes back.
func TestProblemsPass(t *testing.T) {
	c := reign(t, func(s *option.Settings) { s.Emperor.StopHook = "false" })
	a := c.write("a.ini", "[uwsgi]\n")
	c.eventually("start", func() bool { return strings.HasPrefix(c.noted(), "start") })
	for n := 1; n <= 2; n++ {
		b := c.write("a.yaml", "uwsgi:\n")
		c.eventually("problem", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return strings.Count(strings.Join(c.logs, "\n"), "has the same name") == n
		})
		if err := os.Remove(b); err != nil {
			t.Fatal(err)
		}
		for range 3 { // one is kept until the emperor takes it: it has looked once by the third
			c.rescan <- struct{}{}
		}
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	c.eventually("failure of the hook", c.logged("stop of a.ini failed"))
	c.eventually("status", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.logs[len(c.logs)-1] == "STATUS 0 vassals"
	})
}

func TestEndStopsVassals(t *testing.T) {
	c := reign(t, nil)
	c.write("a.ini", "[uwsgi]\n")
	c.write("b.json", "{}")
	c.eventually("two starts", func() bool { return strings.Count(c.noted(), "start") == 2 })
	c.end()
	c.eventually("two stops", func() bool { return strings.Count(c.noted(), "terminated") == 2 })
	c.eventually("last word", c.logged("The Emperor is buried."))
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.ini": "", "a.xml": "", "b.conf": "", "c.txt": "", "on.ini": "",
		"on.ini.sock": "@lazy\nmore"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling.ini")); err != nil {
		t.Fatal(err)
	}
	found, problems := look(&option.Emperor{Sources: []string{"dir://" + dir, "glob://" + filepath.Join(dir, "*.ini"),
		filepath.Join(dir, "not-there")},
		ExtraExtensions: []string{".conf"}, OnDemandExtension: ".sock"}, nil)
	var names []string
	for _, n := range []string{"a", "b", "c", "on", "dangling"} {
		if v, ok := found[n]; ok {
			names = append(names, v.id+v.socket)
		}
	}
	if got := strings.Join(names, " "); got != "a.ini b.conf on.ini@lazy" || len(found) != 3 {
		t.Errorf("found %s (%d)", got, len(found))
	}
	if v := found["a"]; v.dir != dir {
		t.Errorf("it starts in %q", v.dir)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "same name") {
		t.Errorf("problems: %v", problems)
	}
	if os.Geteuid() == 0 {
		if _, problems = look(&option.Emperor{Sources: []string{dir}, Tyrant: true}, nil); len(problems) == 0 {
			t.Error("a tyrant runs root's files")
		}
	}
}

// A vassal's name, which its owner chose, stays within its line of the log.
func TestForgedName(t *testing.T) {
	c := reign(t, nil)
	c.write("a\x1b[2J\nforged.ini", "[uwsgi]\n")
	c.eventually("vassal", c.logged(`new uwsgi instance a\x1b[2J\x0aforged.ini`))
}

// TestLogsOfUnitsAreTold: under systemd nothing of an instance comes to the emperor's own terminal.
func TestLogsOfUnitsAreTold(t *testing.T) {
	for _, systemd := range []bool{false, true} {
		s := option.Default()
		s.Emperor.Sources = []string{t.TempDir()}
		c := &court{t: t}
		e := &emperor{Config: Config{Settings: s, Notify: c, Systemd: systemd, Log: c.log}, runner: idle{},
			failed: map[string]string{}, told: map[string]bool{}, records: map[string]*record{}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.run(ctx, nil); err != nil {
			t.Error(err)
		}
		if told := strings.Contains(strings.Join(c.logs, "\n"), "journalctl -fu 'uwsgi@*'"); told != systemd {
			t.Errorf("systemd %v: told %v", systemd, told)
		}
	}
}

// idle runs nothing.
type idle struct{}

func (idle) apply([]change)          {}
func (idle) sweep(map[string]vassal) {}
func (idle) pids() map[string]int    { return nil }
func (idle) leave()                  {}
