package supervisor

import (
	"fmt"
	"os"
	"time"

	"uwsgi/internal/area"
	"uwsgi/internal/loader"
	"uwsgi/internal/metrics"
	"uwsgi/internal/wire"
)

// loaderState is the state of a generation's loader.
type loaderState int

const (
	loading  loaderState = iota // importing the application
	loaded                      // forks
	quitting                    // told to end with its last worker, or killed
	dead
)

var loaderStateNames = [...]string{"loading", "loaded", "quitting", "dead"}

func (s loaderState) String() string { return loaderStateNames[s] }

// loaderMoves is every change of a loader's state there is.
var loaderMoves = map[loaderState][]loaderState{
	loading:  {loaded, quitting, dead},
	loaded:   {quitting, dead},
	quitting: {dead},
}

// loaderPatience is how long a loader may take to end once it has no worker left, or to answer a
// fork during a stop.
const loaderPatience = 3 * time.Second

// generation is one loader and the workers forked from it.
type generation struct {
	n       int
	cfg     *Config
	rows    *rows
	lazy    bool // its workers import the application
	ld      *loader.Loader
	state   loaderState
	slots   []*slot // slot i+1 at i
	procs   int     // processes of any state
	apps    []wire.App
	hooked  bool      // the post-app hooks were run
	ready   time.Time // loaded
	log     int       // which request log its loader was started with
	areas   []*area.Area
	metrics *metrics.Set // nil = there are none
	piped   bool         // what the loader prints is read by us
	death   *timer       // when its loader is killed
	signals *signals     // what it has registered; nil = nothing
}

// active is how many slots should have a process.
func (g *generation) active() int {
	n := 0
	for _, sl := range g.slots {
		if sl.active {
			n++
		}
	}
	return n
}

// serving is how many slots have a process that serves.
func (g *generation) serving() int {
	n := 0
	for _, sl := range g.slots {
		if sl.serves() {
			n++
		}
	}
	return n
}

// abandoned reports whether no slot has a process.
func (g *generation) abandoned() bool {
	for _, sl := range g.slots {
		if sl.cur != nil || sl.next != nil {
			return false
		}
	}
	return true
}

// complete reports whether every slot that should serve does, or would, did it not wait for a
// signal that only a generation in force may raise: by its schedule, or its mules.
func (g *generation) complete() bool {
	for _, sl := range g.slots {
		if sl.active && !sl.attends() {
			return false
		}
	}
	return g.state == loaded
}

// activate makes the first count slots wanted.
func (g *generation) activate(count int, why string) {
	for i, sl := range g.slots {
		if i < count && !sl.active {
			sl.active, sl.why = true, why
		}
	}
}

// launch starts a generation. After an error nothing is left of it.
func (s *Supervisor) launch(cfg *Config, active int, why string, again bool) (*generation, error) {
	set := cfg.Settings
	r := s.rows
	if r == nil || !r.fits(set.Processes, set.Exchanges()) {
		var err error
		if r, err = newRows(set.Processes, set.Exchanges()); err != nil {
			return nil, err
		}
	}
	g := &generation{n: s.lastGen + 1, cfg: cfg, rows: r, lazy: cfg.lazy() && !s.once, log: s.requestLog.epoch}
	if err := s.startLoader(g, again); err != nil {
		s.keepAreas()
		if r != s.rows {
			r.close()
		}
		return nil, err
	}
	s.lastGen++
	r.gens++
	for n := 1; n <= set.Processes; n++ {
		g.slots = append(g.slots, &slot{n: n, gen: g, tally: s.tallies.of(n)})
	}
	g.activate(active, why)
	s.gens = append(s.gens, g)
	return g, nil
}

// startLoader starts the loader of a generation, with all that its processes inherit.
func (s *Supervisor) startLoader(g *generation, again bool) error {
	cfg, set := g.cfg, g.cfg.Settings
	boot := wire.Boot{
		Settings: set, Instance: set.Name, Version: cfg.Version, LibDir: cfg.LibDir, Generation: g.n,
		MasterPID: os.Getpid(),
		Lazy:      g.lazy, Again: again, Reloads: g.n - 1, StartedOn: s.startedAt.Unix(),
		RequestLog: wire.RequestLog{Kind: cfg.RequestLogKind},
	}
	areas, err := s.openAreas(g)
	if err != nil {
		if cfg.Locate != nil {
			err = cfg.Locate(err)
		}
		return err
	}
	g.areas = areas
	for _, a := range areas {
		boot.Areas = append(boot.Areas, wire.Area{Kind: a.Kind, Name: a.Name})
	}
	queues, hands, err := s.queues.of(set, &boot)
	if err != nil {
		return err
	}
	stdio, err := cfg.stdio()
	if err != nil {
		return err
	}
	if stdio[2] != cfg.Stdio[2] {
		g.piped, boot.Marked = true, true
		defer stdio[2].Close()
	}
	files := make([]*os.File, len(cfg.Listeners))
	for i, l := range cfg.Listeners {
		files[i] = l.File
		boot.Listeners = append(boot.Listeners, l.Listener)
	}
	g.ld, err = s.host.Start(loader.Spec{
		Python: cfg.Python, Args: cfg.PythonArgs, LibDir: cfg.LibDir, Dir: cfg.Dir, Env: cfg.Env,
		Credential: cfg.Credential,
		OwnGroup:   !set.HonourStdin,
		Limits:     loader.Limits{AS: set.LimitAS, Nproc: set.LimitNproc, Files: set.MaxFD, Nice: set.Prio},
		Boot:       boot, Listeners: files, Scoreboard: g.rows.board.FD(),
		RequestLog: s.requestLogOf(cfg), Handoff: s.handoff,
		Locks: s.locks, Alarms: cfg.AlarmFile, Queues: queues, Hands: hands, Areas: areaFiles(areas), Redis: cfg.Redis,
		Stdio:  stdio,
		Events: s.events, Done: s.closed,
	})
	return err
}

// retire takes a generation out of service: those that serve drain, those that do not yet are
// killed, the loader ends with the last.
func (s *Supervisor) retire(g *generation, why string, handoff bool) {
	for _, sl := range g.slots {
		sl.active = false
		for _, p := range []*process{sl.cur, sl.next} {
			if p != nil {
				s.dismiss(p, why, handoff)
			}
		}
	}
	s.quitLoader(g)
}

// destroy kills all there is of a generation.
func (s *Supervisor) destroy(g *generation, why string) {
	for _, sl := range g.slots {
		sl.active = false
	}
	for _, p := range s.procs {
		if p.gen == g {
			s.kill(p, why)
		}
	}
	for _, p := range s.attendants.procs {
		if p.gen == g {
			s.killAttendant(p, why)
		}
	}
	s.killLoader(g)
}

// quitLoader tells a loader to end with its last worker; one that still imports has nothing to wait
// for.
func (s *Supervisor) quitLoader(g *generation) {
	switch g.state {
	case loading:
		s.killLoader(g)
	case loaded:
		s.moveLoader(g, quitting)
		if err := g.ld.Quit(); err != nil {
			s.killLoader(g)
		}
	}
}

func (s *Supervisor) killLoader(g *generation) {
	switch g.state {
	case loading, loaded:
		s.moveLoader(g, quitting)
		fallthrough
	case quitting:
		if err := g.ld.Kill(); err != nil {
			s.fault(err)
		}
	}
}

func (s *Supervisor) moveLoader(g *generation, to loaderState) {
	if err := checkMove(loaderMoves, g.state, to); err != nil {
		s.fault(fmt.Errorf("loader of generation %d: %w", g.n, err))
	}
	g.state = to
}

// tidy lets go of generations that are over, and hurries loaders that have nothing left to wait
// for.
func (s *Supervisor) tidy() {
	kept := s.gens[:0]
	for _, g := range s.gens {
		if g.state == quitting && g.procs == s.unforked(g) && g.death == nil {
			g.death = s.timers.after(loaderPatience, func() { s.killLoader(g) })
		}
		if g.state != dead || g.procs > 0 || g == s.gen {
			kept = append(kept, g)
			continue
		}
		s.timers.drop(g.death)
		s.leaveRows(g)
		s.release(g.cfg)
		if s.rollout != nil && s.rollout.old == g {
			s.rollout.old = nil
		}
		g.ld.Wait() // its last event has been heard
	}
	if len(s.gens) > len(kept) {
		clear(s.gens[len(kept):])
		s.gens = kept
		s.keepAreas()
		s.passOnMessages()
	}
}

// unforked is how many of a generation's processes are only asked for.
func (s *Supervisor) unforked(g *generation) int {
	n := 0
	for _, p := range s.procs {
		if p.gen == g && p.pid == 0 {
			n++
		}
	}
	for _, p := range s.attendants.procs {
		if p.gen == g && p.pid == 0 {
			n++
		}
	}
	return n
}

// leaveRows closes a board with the last generation that used it.
func (s *Supervisor) leaveRows(g *generation) {
	if g.rows.gens--; g.rows.gens == 0 && g.rows != s.rows {
		g.rows.close()
	}
}

// release gives a configuration back once nothing uses it.
func (s *Supervisor) release(cfg *Config) {
	if cfg == s.cfg || !s.held[cfg] || s.rollout != nil && s.rollout.cfg == cfg {
		return
	}
	for _, g := range s.gens {
		if g.cfg == cfg && (g.state != dead || g.procs > 0) {
			return
		}
	}
	delete(s.held, cfg)
	if cfg.Release != nil {
		cfg.Release()
	}
}
