package emperor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/escape"
	"uwsgi/internal/option"
)

// Config is what an emperor works with.
type Config struct {
	Settings *option.Settings // the emperor's own
	Binary   string           // the program, for vassals that are children
	Version  string
	Environ  []string        // of those children
	Unit     string          // the service the emperor itself is, "" = none
	Systemd  bool            // vassals are uwsgi@NAME.service
	Rescan   <-chan struct{} // SIGHUP: reload every vassal

	Log      func(level slog.Level, event, text string, attrs ...slog.Attr)
	Notify   Notifier
	Watchdog time.Duration // between two keep-alives; 0 = none
}

// Notifier is the service manager as the emperor uses it.
type Notifier interface {
	Ready(status string) error
	Stopping(status string) error
	Status(status string) error
	Watchdog() error
}

// op is what to do with a vassal.
type op int

const (
	start op = iota
	reload
	stop
)

func (o op) String() string { return [...]string{"start", "reload", "stop"}[o] }

// change is one vassal's part of a batch.
type change struct {
	op op
	vassal
}

// result is how a change ended.
type result struct {
	change
	err error
}

// runner runs vassals. apply returns soon; what comes of it arrives at the channel that the runner
// was made with.
type runner interface {
	apply(batch []change)
	// sweep is called once, before the first apply, with the vassals that were found.
	sweep(found map[string]vassal)
	pids() map[string]int
	// leave is called once, at the end, and returns when nothing is under way.
	leave()
}

// emperor is Run's state.
type emperor struct {
	Config
	runner  runner
	vassals map[string]vassal
	failed  map[string]string // name → why
	told    map[string]bool   // the problems of the last look, which are logged when they arise
	records map[string]*record
}

// Run watches until ctx ends.
func Run(ctx context.Context, c Config) error {
	results := make(chan result, 64)
	log := c.Log
	c.Log = func(level slog.Level, event, text string, attrs ...slog.Attr) { // vassals are named by those who own them
		log(level, event, escape.String(text), attrs...)
	}
	e := &emperor{Config: c, failed: map[string]string{}, records: map[string]*record{}}
	if c.Systemd {
		u, err := newServices(c, results)
		if err != nil {
			return err
		}
		e.runner = u
	} else {
		e.runner = newProcesses(c, results)
	}
	return e.run(ctx, results)
}

func (e *emperor) run(ctx context.Context, results <-chan result) error {
	watch, err := newWatch(e.Settings.Emperor.Sources)
	if err != nil {
		e.Log(slog.LevelWarn, "emperor.watch", fmt.Sprintf("%v: folders are looked at every %v", err, e.freq()))
	}
	defer watch.close()
	tick := time.NewTicker(e.freq())
	defer tick.Stop()
	var keepalive <-chan time.Time
	if e.Watchdog > 0 {
		t := time.NewTicker(e.Watchdog)
		defer t.Stop()
		keepalive = t.C
	}
	asked := make(chan chan *statsDocument)
	if e.Settings.Emperor.Stats != "" {
		end, err := serveStats(e.Settings, asked, e.Log)
		if err != nil {
			return err
		}
		defer end()
	}
	e.Log(slog.LevelInfo, "emperor.start", "*** starting uWSGI Emperor ***")
	if e.Systemd {
		e.Log(slog.LevelInfo, "emperor.start", "[emperor] instances are units, with logs of their own: "+
			"journalctl -fu 'uwsgi@*'")
	}
	e.look(false)
	e.notice(e.Notify.Watchdog())
	e.notice(e.Notify.Ready(e.status()))
	for {
		select {
		case <-ctx.Done():
			return e.end(results)
		case <-watch.changes:
			e.look(false)
		case <-tick.C:
			watch.refresh()
			e.look(false)
		case <-e.Rescan:
			e.look(true)
		case <-keepalive:
			e.notice(e.Notify.Watchdog())
		case r := <-results:
			e.hear(r)
		case reply := <-asked:
			reply <- e.document()
		}
	}
}

func (e *emperor) freq() time.Duration {
	if d := e.Settings.Emperor.Freq; d > 0 {
		return d
	}
	return 3 * time.Second
}

// look compares the folders with what runs, and has the runner do the difference; all reloads also
// what did not change.
func (e *emperor) look(all bool) {
	found, problems := look(&e.Settings.Emperor, e.vassals)
	told := map[string]bool{}
	for _, p := range problems {
		text := p.Error()
		if !e.told[text] && !told[text] {
			e.Log(slog.LevelWarn, "emperor.problem", "[emperor] "+text)
		}
		told[text] = true
	}
	e.told = told
	if e.vassals == nil {
		e.runner.sweep(found)
	}
	var batch []change
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		switch before, known := e.vassals[name]; {
		case !known:
			e.Log(slog.LevelInfo, "emperor.add", "[emperor] new uwsgi instance "+v.id, slog.String("vassal", v.name))
			batch = append(batch, change{start, v})
		case all || !before.same(v):
			e.Log(slog.LevelInfo, "emperor.reload", "[emperor] reload the uwsgi instance "+v.id,
				slog.String("vassal", v.name))
			batch = append(batch, change{reload, v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.vassals)) {
		if _, there := found[name]; !there {
			v := e.vassals[name]
			e.Log(slog.LevelInfo, "emperor.stop", "[emperor] stop the uwsgi instance "+v.id,
				slog.String("vassal", v.name))
			batch = append(batch, change{stop, v})
			delete(e.failed, name)
		}
	}
	e.vassals = found
	if len(batch) > 0 {
		e.runner.apply(batch)
		e.notice(e.Notify.Status(e.status()))
	}
}

// hear takes note of what came of a change.
func (e *emperor) hear(r result) {
	e.note(r)
	if r.err != nil {
		if _, there := e.vassals[r.name]; there && r.op != stop { // else nobody would take it back
			e.failed[r.name] = r.err.Error()
		}
		e.Log(slog.LevelError, "emperor.failed", fmt.Sprintf("[emperor] %s of %s failed: %v", r.op, r.id, r.err),
			slog.String("vassal", r.name))
	} else {
		delete(e.failed, r.name)
		text := map[op]string{start: "vassal %s is ready to accept requests", reload: "vassal %s has been reloaded",
			stop: "removed uwsgi instance %s"}[r.op]
		e.Log(slog.LevelInfo, "emperor.done", fmt.Sprintf("[emperor] "+text, r.id), slog.String("vassal", r.name))
	}
	e.notice(e.Notify.Status(e.status()))
}

// end lets the runner finish.
func (e *emperor) end(results <-chan result) error {
	e.notice(e.Notify.Stopping("stopping"))
	e.Log(slog.LevelInfo, "emperor.end", "*** RAGNAROK EVOKED ***")
	done := make(chan struct{})
	crash.Go(func() { e.runner.leave(); close(done) })
	for {
		select {
		case r := <-results:
			e.hear(r)
		case <-done:
			e.Log(slog.LevelInfo, "emperor.buried", "The Emperor is buried.")
			return nil
		}
	}
}

func (e *emperor) status() string {
	text := fmt.Sprintf("%d vassals", len(e.vassals))
	if len(e.vassals) == 1 {
		text = "1 vassal"
	}
	if n := len(e.failed); n > 0 {
		text += fmt.Sprintf(", %d failed: %s", n, slices.Sorted(maps.Keys(e.failed)))
	}
	return text
}

func (e *emperor) notice(err error) {
	if err != nil {
		e.Log(slog.LevelWarn, "notify.failed", err.Error())
	}
}
