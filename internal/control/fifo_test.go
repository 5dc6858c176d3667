package control

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/option"
)

// recorded makes commands that send their name.
func recorded(ch chan string) *Commands {
	say := func(name string) func() { return func() { ch <- name } }
	return &Commands{
		Reload: say("reload"), BrutalReload: say("brutal-reload"), ChainReload: say("chain"), ReloadWorkers: say("workers"), KillWorkers: say("kill"),
		Stop: say("stop"), BrutalStop: say("brutal-stop"), TogglePause: say("pause"), MoreWorkers: say("more"), FewerWorkers: say("fewer"),
		Cheap: say("cheap"), Report: say("report"), ReopenLog: say("reopen"), RotateLog: say("rotate"), WritePidfiles: say("pidfiles"),
	}
}

// ownFIFO makes FIFOs with this process's rights.
var ownFIFO = FIFOFiles{
	Make:   func(path string) (*os.File, error) { return MakeFIFO(path, &Owner{os.Geteuid(), os.Getegid()}) },
	Remove: os.Remove,
}

func TestFIFO(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	ch, log := make(chan string, 64), newLines()
	f, err := OpenFIFO([]string{a, b}, ownFIFO, recorded(ch), log.add)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(a); err != nil || st.Mode() != os.ModeNamedPipe|0o600 {
		t.Error(st.Mode(), err)
	}
	put := func(path, text string) {
		t.Helper()
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, text)
		w.Close()
	}
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := <-ch; got != w {
				t.Errorf("%s, want %s", got, w)
			}
		}
	}
	put(a, "rRcwWqQ\n")
	expect("reload", "brutal-reload", "chain", "workers", "kill", "stop", "brutal-stop")
	put(a, "p+-CslLP") // another writer
	expect("pause", "more", "fewer", "cheap", "report", "reopen", "rotate", "pidfiles")
	put(a, "zB7")
	log.wait(`master fifo: 'B' does nothing here`)
	put(a, "1")
	log.wait("active master fifo is now " + b)
	put(b, "r")
	expect("reload")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(b); err == nil {
		t.Error("the active FIFO is still there")
	}
	// One that is left over is made anew; a file is not touched.
	f, err = OpenFIFO([]string{a}, ownFIFO, recorded(ch), log.add)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(a, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFIFO([]string{a}, ownFIFO, recorded(ch), log.add); err == nil || !strings.Contains(err.Error(), "is not a FIFO") {
		t.Error(err)
	}
}

func FuzzFIFOByte(f *testing.F) {
	f.Add(byte('r'))
	f.Fuzz(func(t *testing.T, b byte) {
		ch := make(chan string, 1)
		do, ok := recorded(ch).command(b)
		if ok != strings.ContainsRune("rRcwWqQp+-CslLPBEfS", rune(b)) {
			t.Errorf("%q: %v", b, ok)
		}
		if do != nil {
			do()
			<-ch
		}
	})
}

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
		TouchReload: []string{p("reload")}, TouchWorkersReload: []string{p("workers")}, TouchChainReload: []string{p("chain")},
		TouchLogreopen: []string{p("reopen")}, TouchLogrotate: []string{p("rotate")}, TouchExec: []string{p("exec") + " run this"},
		Hooks: []option.Hook{{Phase: "touch " + p("hook"), Action: "exec", Arg: "x"}, {Phase: "asap", Action: "exec", Arg: "y"}},
	}
	var got []string
	say := func(n string) func() { return func() { got = append(got, n) } }
	plain, timed := newLines(), newLines()
	w := NewTouch(s, "", nil, TouchActions{
		Reload: say("reload"), ReloadWorkers: say("workers"), ChainReload: say("chain"), ReopenLog: say("reopen"), RotateLog: say("rotate"),
		Exec: func(c string) { got = append(got, "exec "+c) }, Hook: func(h option.Hook) { got = append(got, "hook "+h.Arg) },
	}, plain.add, timed.add)
	if want := "unable to stat() " + p("workers") + ", events will be triggered as soon as the file is created"; !strings.HasPrefix(plain.String(), want) {
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
	step("reload", "workers", "hook x")
	step()
	os.Remove(p("workers"))
	at("exec", 200)
	step("workers", "exec run this")
	at("chain", 1)
	at("reopen", 1)
	at("rotate", 1)
	step("chain", "reopen", "rotate")
	for _, want := range []string{"*** " + p("reload") + " has been touched... grace them all !!! ***", "*** " + p("workers") + " has been touched... workers reload !!! ***",
		"*** " + p("chain") + " has been touched... chain reload !!! ***", "[uwsgi-touch-exec] running run this"} {
		if timed.count(want) == 0 {
			t.Errorf("no line %q in\n%s", want, timed)
		}
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
	a := TouchActions{Reload: func() { fired++ }, ChainReload: func() { fired += 100 }}
	old := NewTouch(&option.Settings{TouchReload: []string{path("f", 1)}}, "", nil, a, quiet, quiet)
	path("f", 2)
	old.Poll()
	path("f", 3)
	next := NewTouch(&option.Settings{TouchReload: []string{filepath.Join(dir, "f"), path("g", 1)}, TouchChainReload: []string{filepath.Join(dir, "f")}}, "", old, a, quiet, quiet)
	next.Poll()
	next.Poll()
	if fired != 2 {
		t.Errorf("%d", fired)
	}
}
