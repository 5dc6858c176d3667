package control

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/testlog"
)

// recorded makes commands that send their name.
func recorded(ch chan string) *Commands {
	say := func(name string) func() { return func() { ch <- name } }
	return &Commands{
		Reload: say("reload"), BrutalReload: say("brutal-reload"), ChainReload: say("chain"),
		ReloadWorkers: say("workers"), KillWorkers: say("kill"),
		Stop: say("stop"), BrutalStop: say("brutal-stop"), TogglePause: say("pause"), MoreWorkers: say("more"),
		FewerWorkers: say("fewer"),
		Cheap:        say("cheap"), Report: say("report"), ReopenLog: say("reopen"), RotateLog: say("rotate"),
		WritePidfiles: say("pidfiles"),
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
	ch, log := make(chan string, 64), testlog.New()
	f, err := OpenFIFO([]string{a, b}, ownFIFO, recorded(ch), log.Add)
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
	log.Wait(`master fifo: 'B' does nothing here`)
	put(a, "1")
	log.Wait("active master fifo is now " + b)
	put(b, "r")
	expect("reload")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(b); err == nil {
		t.Error("the active FIFO is still there")
	}
	// One that is left over is made anew; a file is not touched.
	f, err = OpenFIFO([]string{a}, ownFIFO, recorded(ch), log.Add)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(a, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFIFO([]string{a}, ownFIFO, recorded(ch), log.Add); err == nil ||
		!strings.Contains(err.Error(), "is not a FIFO") {
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
