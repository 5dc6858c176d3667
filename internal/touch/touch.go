// Package touch watches files and does what touching them sets off: touch-reload and its relatives,
// and the files of attached daemons.
package touch

import (
	"context"
	"os"
	"strings"
	"time"

	"uwsgi/internal/option"
)

// Actions is what a touched file sets off. nil = nothing.
type Actions struct {
	Reload         func() // touch-reload
	ReloadWorkers  func() // touch-workers-reload
	ReloadSpoolers func() // touch-spoolers-reload
	ReloadMules    func() // touch-mules-reload
	ChainReload    func() // touch-chain-reload
	ReopenLog      func() // touch-logreopen
	RotateLog      func() // touch-logrotate
	Exec           func(command string)
	Hook           func(option.Hook) // hook-touch
}

// Watcher watches files by their modification time: it fires when the time grows, when a file
// appears and when one goes.
type Watcher struct {
	files  []*touched
	dir    string // where relative paths start
	timed  func(string)
	before *Watcher
}

type touched struct {
	path string
	line string // for the log, dated
	do   func()
	seen int64 // modification time in ns, 0 = there is no file
}

// New watches nothing yet; relative paths start at dir. timed writes a dated line to the log.
func New(dir string, timed func(string)) *Watcher { return &Watcher{dir: dir, timed: timed} }

// Watch watches the files of s, whose relative paths start at dir. Those that before has watched
// keep the time it saw last: a touch during a reload is not lost. print writes a plain line to the
// log, timed a dated one.
func Watch(s *option.Settings, dir string, before *Watcher, a Actions, print, timed func(string)) *Watcher {
	t := New(dir, timed)
	t.before = before
	defer func() { t.before = nil }() // each would hold the one before it
	for _, group := range []struct {
		paths []string
		what  string
		do    func()
	}{
		{s.TouchReload, "grace them all !!! ***", a.Reload},
		{s.TouchWorkersReload, "workers reload !!! ***", a.ReloadWorkers},
		{s.TouchSpoolersReload, "spoolers reload !!! ***", a.ReloadSpoolers},
		{s.TouchMulesReload, "mules reload !!! ***", a.ReloadMules},
		{s.TouchChainReload, "chain reload !!! ***", a.ChainReload},
		{s.TouchLogreopen, "", a.ReopenLog},
		{s.TouchLogrotate, "", a.RotateLog},
	} {
		for _, p := range group.paths {
			line := ""
			if group.what != "" {
				line = "*** " + p + " has been touched... " + group.what
			}
			t.Add(p, line, group.do, print)
		}
	}
	for _, e := range s.TouchExec {
		if path, command, ok := strings.Cut(e, " "); ok && a.Exec != nil {
			t.Add(path, "[uwsgi-touch-exec] running "+command, func() { a.Exec(command) }, print)
		}
	}
	for _, h := range s.Hooks {
		if path, ok := strings.CutPrefix(h.Phase, "touch "); ok && a.Hook != nil {
			shown := h.Action + ":" + h.Arg
			if h.Private {
				shown = "--- PRIVATE HOOK ---"
			}
			t.Add(path, "[uwsgi-touch-hook] running "+shown, func() { a.Hook(h) }, print)
		}
	}
	return t
}

// Add watches one more file: do is called when it fires, and line written if there is one.
func (t *Watcher) Add(path, line string, do func(), print func(string)) {
	abs := option.PathIn(t.dir, path)
	f := &touched{path: abs, line: line, do: do, seen: mtime(abs)}
	if last := t.before.watching(f); last != nil {
		f.seen = last.seen
	} else if f.seen == 0 {
		print("unable to stat() " + path + ", events will be triggered as soon as the file is created")
	}
	t.files = append(t.files, f)
}

// watching is the entry that stands for the same, nil if there is none.
func (t *Watcher) watching(f *touched) *touched {
	if t == nil {
		return nil
	}
	for _, k := range t.files {
		if k.path == f.path && k.line == f.line {
			return k
		}
	}
	return nil
}

// Empty reports whether there is anything to watch.
func (t *Watcher) Empty() bool { return len(t.files) == 0 }

// Poll looks at every file once and calls what fires.
func (t *Watcher) Poll() {
	for _, f := range t.files {
		now := mtime(f.path)
		was := f.seen
		f.seen = now
		if now == was || now != 0 && now < was {
			continue
		}
		if f.line != "" {
			t.timed(f.line)
		}
		if f.do != nil {
			f.do()
		}
	}
}

// Run polls each interval until ctx is done. uWSGI looks once a second.
func (t *Watcher) Run(ctx context.Context, interval time.Duration) {
	if t.Empty() {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.Poll()
		}
	}
}

func mtime(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.ModTime().UnixNano()
}
