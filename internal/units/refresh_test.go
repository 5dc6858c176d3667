package units

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeManager notes what systemd is asked for; daemon-reload runs the generator.
type fakeManager struct {
	t      *testing.T
	host   Host
	calls  []string
	jobs   map[string]string
	times  map[string]string
	state  string // of the service
	result string // of its last end
	opens  bool   // the socket is active
	dir    string
}

func newFake(t *testing.T, files map[string]string) *fakeManager {
	f := &fakeManager{t: t, host: testHost(t, "seed"), dir: t.TempDir(), jobs: map[string]string{},
		times: map[string]string{}, state: "dead"}
	f.host.Apps = filepath.Join(f.dir, "apps")
	if err := os.Mkdir(f.host.Apps, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		f.write(name, text)
	}
	return f
}

func (f *fakeManager) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.host.Apps, name), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeManager) manager() manager {
	generated := filepath.Join(f.dir, "generated")
	return manager{
		generated: generated,
		written:   filepath.Join(f.dir, "written"),
		stamps:    filepath.Join(f.dir, "stamps"),
		systemctl: func(args ...string) error {
			f.calls = append(f.calls, strings.Join(args, " "))
			switch args[0] {
			case "start", "restart":
				f.opens = true
			case "stop":
				f.opens = false
			case "reset-failed":
				f.opens = f.opens && f.state == "dead" // else the sockets hear of it
			}
			if args[0] == "daemon-reload" {
				if err := os.RemoveAll(generated); err != nil {
					return err
				}
				tree, _ := Plan(f.host)
				return tree.Write(generated)
			}
			return nil
		},
		job: func(unit string) (string, error) { return f.jobs[unit], nil },
		show: func(unit, property string) (string, error) {
			switch {
			case property == "SubState":
				return f.state, nil
			case property == "Result":
				return f.result, nil
			case property == "ActiveState" && f.opens:
				return "active", nil
			case property == "ActiveState":
				return "inactive", nil
			}
			return f.times[unit], nil
		},
		lookup: func(user, _ string, _ []string) error {
			if user == "nosuch" {
				return errors.New("uid = nosuch: user nosuch not found.")
			}
			return nil
		},
		report: func(_ string, problems ...Problem) {
			for _, p := range problems {
				f.calls = append(f.calls, "report "+filepath.Base(p.Error()))
			}
		},
	}
}

// run gives what systemd was asked for.
func (f *fakeManager) run(args ...string) string {
	f.t.Helper()
	f.calls = nil
	var out bytes.Buffer
	if code := run(args, f.host, f.manager(), &out, &out); code != 0 {
		f.t.Fatalf("%v: exit status %d: %s", args, code, out.String())
	}
	return strings.Join(f.calls, "; ")
}

func TestRefresh(t *testing.T) {
	f := newFake(t, map[string]string{"a.ini": "[uwsgi]\nsocket = /run/a.sock\n"})
	for _, step := range []struct{ name, text, want string }{
		{"new", "", "daemon-reload; start uwsgi@a.socket"},
		{"again", "", ""},
		{"other workers", "[uwsgi]\nsocket = /run/a.sock\nprocesses = 7\n", ""},
		{"other times", "[uwsgi]\nsocket = /run/a.sock\nreload-mercy = 7\n", "daemon-reload"},
		{"another address", "[uwsgi]\nsocket = /run/b.sock\nreload-mercy = 7\n", "stop uwsgi@a.socket; daemon-reload; start uwsgi@a.socket"},
		{"broken", "[uwsgi\n", ""},
		{"a user that is not there", "[uwsgi]\nsocket = /run/b.sock\nreload-mercy = 7\nuid = nosuch\n",
			"report a.ini: uid = nosuch: user nosuch not found.; stop uwsgi@a.socket; daemon-reload; start uwsgi@a.socket"},
	} {
		if step.text != "" {
			f.write("a.ini", step.text)
		}
		if got := f.run("--refresh", "a"); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	if got := f.run("--refresh", "nobody"); got != "" {
		t.Errorf("an instance without a file: %q", got)
	}
	// Several new ones start at once, and another one's daemon-reload came first: nobody has asked
	// for this one's sockets yet.
	f.opens = false
	if got := f.run("--refresh", "a"); got != "report a.ini: uid = nosuch: user nosuch not "+
		"found.; start uwsgi@a.socket" {
		t.Errorf("with sockets that are closed: %q", got)
	}
	// systemctl daemon-reload by hand, before the restart: the sockets are still those from before.
	f.write("a.ini", "[uwsgi]\nsocket = /run/c.sock\n")
	if err := f.manager().systemctl("daemon-reload"); err != nil {
		t.Fatal(err)
	}
	if got := f.run("--refresh", "a"); got != "restart uwsgi@a.socket" {
		t.Errorf("after a daemon-reload by hand: %q", got)
	}
}

// Before a service that has failed for good starts, it is as if it never had; what runs is left
// alone.
func TestRefreshByState(t *testing.T) {
	for state, want := range map[string]string{
		"failed":       "reset-failed uwsgi@a.service; reset-failed uwsgi@a.socket; daemon-reload; start uwsgi@a.socket",
		"auto-restart": "reset-failed uwsgi@a.service; reset-failed uwsgi@a.socket; daemon-reload; start uwsgi@a.socket",
		"dead":         "daemon-reload; start uwsgi@a.socket", "auto-restart-queued": "daemon-reload; start uwsgi@a.socket",
		"running": "", "reload": "", "stop-sigterm": "",
	} {
		f := newFake(t, map[string]string{"a.ini": "[uwsgi]\nsocket = /run/a.sock\n"})
		f.state = state
		if got := f.run("--refresh", "a"); got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
		if got := f.run("--refresh", "a"); state == "failed" && !strings.HasSuffix(got, "; start uwsgi@a.socket") {
			t.Errorf("with nothing changed: %q", got)
		}
	}
}

// A start after a good end does not count towards the limit of those that fail; one of systemd's
// own does.
func TestRefreshForgives(t *testing.T) {
	f := newFake(t, map[string]string{"a.ini": "[uwsgi]\nsocket = /run/a.sock\n"})
	f.run("--refresh", "a")
	for result, want := range map[string]string{"success": "reset-failed uwsgi@a.service",
		"exit-code": "", "watchdog": ""} {
		f.result = result
		if got := f.run("--refresh", "a"); got != want {
			t.Errorf("after %s: %q, want %q", result, got, want)
		}
	}
}

// So it is with a vassal of the emperor, whose sockets the emperor described.
func TestRefreshOfAFailedVassal(t *testing.T) {
	f := newFake(t, nil)
	f.state = "failed"
	const reset = "reset-failed uwsgi@v.service; reset-failed uwsgi@v.socket"
	if got := f.run("--refresh", "v"); got != reset {
		t.Error(got)
	}
	if err := os.MkdirAll(filepath.Join(f.dir, "written", "uwsgi@v.socket.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := f.run("--refresh", "v"); got != reset+"; start uwsgi@v.socket" {
		t.Error(got)
	}
}

func TestStart(t *testing.T) {
	f := newFake(t, map[string]string{"a.ini": "[uwsgi]\n", "b.ini": "[uwsgi]\ncheap = true\n", "c.ini": "[uwsgi"})
	if got := f.run("--start"); got != "daemon-reload; --no-block start -- uwsgi@a.service uwsgi@b.socket" {
		t.Error(got)
	}
	if got := f.run("--start"); got != "--no-block start -- uwsgi@a.service uwsgi@b.socket" {
		t.Error(got)
	}
}

func TestStopping(t *testing.T) {
	const service, socket, keeper = "uwsgi@a.service", "uwsgi@a.socket", "uwsgi-sockets@a.service"
	const closes = "--no-block stop " + socket
	for _, c := range []struct {
		flag, job, want string
		opened, began   string
	}{
		{"--stopping", "stop", closes, "5", "9"},
		{"--stopping", "restart", "", "5", "9"},
		{"--stopping", "", "", "5", "9"}, // it ends by itself
		{"--stopped", "", closes, "5", "9"},
		{"--stopped", "start", "", "5", "9"},
		{"--stopped", "", "", "10", "9"}, // opened again meanwhile
		{"--stopped", "", "", "0", "9"},  // never was open
	} {
		f := newFake(t, nil)
		f.jobs[service] = c.job
		f.times[socket], f.times[keeper] = c.opened, c.began
		if got := f.run(c.flag, "a"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// What stopping has done, stopped does not do again: the sockets may have been opened anew
// meanwhile.
func TestStoppedAfterStopping(t *testing.T) {
	f := newFake(t, nil)
	f.jobs["uwsgi@a.service"] = "stop"
	f.run("--stopping", "a")
	f.jobs["uwsgi@a.service"] = ""
	f.times["uwsgi@a.socket"], f.times["uwsgi-sockets@a.service"] = "5", "9"
	if got := f.run("--stopped", "a"); got != "" {
		t.Error(got)
	}
	if got := f.run("--stopped", "a"); got == "" {
		t.Error("the mark stays")
	}
}

func TestGenerate(t *testing.T) {
	f := newFake(t, map[string]string{"a.ini": "[uwsgi]\n", "bad.ini": "[uwsgi"})
	dir := filepath.Join(f.dir, "normal")
	f.run(dir, f.dir+"/early", f.dir+"/late")
	for _, name := range []string{"uwsgi@a.service.d/00-ini.conf", "uwsgi@a.socket.d/00-ini.conf"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "uwsgi.service.wants/uwsgi@a.service")); err != nil ||
		target != "/usr/lib/systemd/system/uwsgi@.service" {
		t.Errorf("%q %v", target, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "uwsgi@bad.service.d")); err == nil {
		t.Error("a bad file has drop-ins")
	}
}

func TestInherited(t *testing.T) {
	f := newFake(t, map[string]string{"a.ini": "[uwsgi]\n"})
	mine := filepath.Join(f.dir, "mine.ini")
	if err := os.WriteFile(mine, []byte("[uwsgi]\nuid = other\nsocket = /run/mine.sock\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.host.Defaults = filepath.Join(f.dir, "default")
	if err := os.WriteFile(f.host.Defaults, []byte("VERBOSE=no\nINHERITED_CONFIG=\""+mine+"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, problems := Plan(f.host)
	text := tree["uwsgi@a.service.d/00-ini.conf"].Text
	if len(problems) > 0 || !strings.Contains(text, "\nUser=other\n") ||
		!strings.Contains(text, "--ini "+mine+" --ini ") {
		t.Errorf("%v\n%s", problems, text)
	}
}

func BenchmarkPlan(b *testing.B) {
	h := OSHost()
	h.Apps, _ = filepath.Abs("testdata/formats/apps")
	h.Inherited, _ = filepath.Abs("../../packaging/conf/default.ini")
	for b.Loop() {
		Plan(h)
	}
}
