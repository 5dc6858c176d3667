package touch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/testlog"
)

func TestTouch(t *testing.T) {
	dir := t.TempDir()
	p := func(n string) string { return filepath.Join(dir, n) }
	at := func(name string, sec int64) {
		t.Helper()
		if err := os.WriteFile(p(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p(name), time.Unix(sec, 0), time.Unix(sec, 0)); err != nil {
			t.Fatal(err)
		}
	}
	at("reload", 100)
	at("exec", 100)
	s := &option.Settings{
		Hooks: []option.Hook{{Phase: "touch " + p("hook"), Action: "exec", Arg: "x"},
			{Phase: "touch " + p("hook"), Action: "exec", Arg: "secret", Private: true},
			{Phase: "asap", Action: "exec", Arg: "y"}}, LifecycleSettings: option.LifecycleSettings{
			TouchReload: []string{p("reload")}, TouchWorkersReload: []string{p("workers")},
			TouchChainReload: []string{p("chain")},
			TouchExec:        []string{p("exec") + " run this"}}, LogSettings: option.LogSettings{
			TouchLogreopen: []string{p("reopen")}, TouchLogrotate: []string{p("rotate")}}}
	var got []string
	say := func(n string) func() { return func() { got = append(got, n) } }
	plain, timed := testlog.New(), testlog.New()
	w := Watch(s, "", nil, Actions{
		Reload: say("reload"), ReloadWorkers: say("workers"), ChainReload: say("chain"), ReopenLog: say("reopen"),
		RotateLog: say("rotate"),
		Exec:      func(c string) { got = append(got, "exec "+c) },
		Hook:      func(h option.Hook) { got = append(got, "hook "+h.Arg) },
	}, plain.Add, timed.Add)
	if want := "unable to stat() " + p("workers") +
		", events will be triggered as soon as the file is created"; !strings.HasPrefix(plain.String(), want) {
		t.Errorf("%s", plain)
	}
	step := func(want ...string) {
		t.Helper()
		got = nil
		w.Poll()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	step()
	at("reload", 101)
	at("exec", 99) // older: does not fire
	at("workers", 50)
	at("hook", 1)
	step("reload", "workers", "hook x", "hook secret")
	step()
	os.Remove(p("workers"))
	at("exec", 200)
	step("workers", "exec run this")
	at("chain", 1)
	at("reopen", 1)
	at("rotate", 1)
	step("chain", "reopen", "rotate")
	for _, want := range []string{"*** " + p("reload") + " has been touched... grace them all !!! ***",
		"*** " + p("workers") + " has been touched... workers reload !!! ***",
		"*** " + p("chain") + " has been touched... chain reload !!! ***", "[uwsgi-touch-exec] running run this",
		"[uwsgi-touch-hook] running exec:x", "[uwsgi-touch-hook] running --- PRIVATE HOOK ---"} {
		if timed.Count(want) == 0 {
			t.Errorf("no line %q in\n%s", want, timed)
		}
	}
	if timed.Count("secret") > 0 {
		t.Errorf("a private hook is in the log:\n%s", timed)
	}
}

// A file that is touched while one configuration gives way to the next fires under the next; what
// has fired does not fire again, and a file that only the next one names is watched from now on.
func TestTouchAcrossReload(t *testing.T) {
	dir := t.TempDir()
	path := func(name string, sec int64) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, time.Unix(sec, 0), time.Unix(sec, 0)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	fired, quiet := 0, func(string) {}
	a := Actions{Reload: func() { fired++ }, ChainReload: func() { fired += 100 }}
	old := Watch(&option.Settings{LifecycleSettings: option.LifecycleSettings{TouchReload: []string{path("f", 1)}}},
		"", nil, a, quiet, quiet)
	path("f", 2)
	old.Poll()
	path("f", 3)
	next := Watch(&option.Settings{LifecycleSettings: option.LifecycleSettings{TouchReload: []string{filepath.Join(dir,
		"f"), path("g", 1)},
		TouchChainReload: []string{filepath.Join(dir, "f")}}}, "", old, a, quiet, quiet)
	next.Poll()
	next.Poll()
	if fired != 2 {
		t.Errorf("%d", fired)
	}
}
