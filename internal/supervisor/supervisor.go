package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/area"
	"uwsgi/internal/crash"
	"uwsgi/internal/loader"
	"uwsgi/internal/sys"
)

// Exit codes of Run.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitNoApp  = 22 // the application could not be imported
)

// Supervisor owns one instance. Make it with New, let Run be its life, and send it messages from
// any goroutine.
type Supervisor struct {
	host        *Host
	logf        LogFunc
	manager     manager
	reconfigure func(context.Context) (*Config, error)
	commands    func(time.Time) time.Duration
	endurance   endurance
	slowImport  SlowImport

	calls  chan func()       // messages from outside, run by the loop
	events chan loader.Event // from loaders and workers
	closed chan struct{}     // closed once the loop reads neither any more
	done   chan struct{}     // closed once Run has returned and last is set
	last   Status            // what Snapshot answers after that

	// What follows belongs to the goroutine of Run alone.
	root      context.Context
	ctx       context.Context // of background work
	cancel    context.CancelFunc
	tasks     sync.WaitGroup
	timers    timers
	cfg       *Config // in force
	held      map[*Config]bool
	phase     Phase
	code      int // what Run will return
	over      bool
	startedAt time.Time
	handoff   [2]*os.File
	locks     *os.File // uwsgi.lock's
	areas     area.Keeper
	metrics   metering

	rows       *rows // of the generation in force
	gens       []*generation
	gen        *generation // in force; nil before the first one is ready and while a reload has stopped it first
	lastGen    int
	procs      map[*loader.Worker]*process
	tallies    tallies
	attendants attendants
	queues     muleQueues

	rollout  *rollout // under way
	queued   *rollout // asked for meanwhile
	reloads  int
	reloaded reloadResult
	repairs  repairs

	paused     bool
	recycle    recycler
	scaling    scaling
	idle       idle
	stopping   stopping
	orphans    map[int]bool
	requestLog requestLog
	pace       time.Duration // of ticks
	requests   int64         // counted at the last tick
	waiting    bool          // something waited to be accepted at the last tick
	change     string        // of a file, that py-autoreload asked for the last reload
	starved    bool
	once       bool // without a master, too, the application is imported once: its workers cannot have it side by side
	samples    int  // of memory
	harakiri   *timer
	scheduled  *timer // when a timed command or a uWSGI signal is due, or one waits for a worker
	oom        oomWatch
}

// New checks the configuration.
func New(cfg Config) (*Supervisor, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Supervisor{
		host: cfg.Host, logf: cfg.Log, reconfigure: cfg.Reconfigure, commands: cfg.Commands, cfg: &cfg,
		manager:   manager{Notifier: cfg.Notify, watchdogEvery: cfg.Watchdog},
		endurance: usual, slowImport: cfg.SlowImport,
		calls: make(chan func()), events: make(chan loader.Event), closed: make(chan struct{}),
		done: make(chan struct{}),
		held: map[*Config]bool{&cfg: true}, procs: map[*loader.Worker]*process{}, tallies: tallies{},
		orphans: map[int]bool{},
	}
	if s.slowImport == (SlowImport{}) {
		s.slowImport = usualImport
	}
	if s.host == nil {
		s.host = System()
	}
	if s.logf == nil {
		s.logf = func(slog.Level, string, string, ...slog.Attr) {}
	}
	if s.manager.Notifier == nil {
		s.manager.Notifier = silence{}
	}
	return s, nil
}

// Run starts the instance and serves until it is stopped; it returns the exit code of the program.
// Call it once. The end of ctx is a graceful stop.
//
// A panic of the loop is logged with its stack, kills all loaders and workers, and has Run return
// crash.Status without waiting for anybody: what the loop has to tell them nobody tells them any
// more.
func (s *Supervisor) Run(ctx context.Context) (code int) {
	s.root = context.WithoutCancel(ctx)
	s.ctx, s.cancel = context.WithCancel(s.root)
	defer func() {
		s.cancel()
		if r := recover(); r != nil {
			s.crashed(crash.Describe(r))
			code = crash.Status
			return
		}
		close(s.closed)
		s.tasks.Wait()
		for _, g := range s.gens {
			g.ld.Wait()
		}
		s.last = s.snapshot()
		s.closeShared()
		close(s.done)
	}()
	s.startedAt = time.Now()
	if err := s.open(); err != nil {
		s.log(slog.LevelError, "start.failed", err.Error())
		return ExitFailed
	}
	s.oom.now = s.host.OOMKills()
	s.sampleOOM()
	s.begin(&rollout{kind: firstStart, reason: whyStart, cfg: s.cfg})
	s.tick()
	s.watchdog()
	s.extend()

	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	cancelled := ctx.Done()
	for s.reconcile(); !s.over; s.reconcile() {
		clock.Stop()
		if d := s.timers.wait(time.Now()); d >= 0 {
			clock.Reset(d)
		}
		select {
		case e := <-s.events:
			s.handle(e)
		case call := <-s.calls:
			call()
		case <-clock.C:
			s.timers.run(time.Now())
		case <-cancelled:
			cancelled = nil
			s.stop("cancelled", true)
		}
	}
	return s.code
}

// crashed is the end of a loop that has panicked. What it knows may be half of a change, so nothing
// of it is looked at.
func (s *Supervisor) crashed(text string) {
	s.host.Crash(text)
	loader.KillAll()
	s.log(slog.LevelError, "panic", "internal error: "+text, slog.Int(KeyExit, crash.Status))
	s.last = Status{Phase: Stopped}
	close(s.closed)
	close(s.done)
}

// open makes what all generations share.
func (s *Supervisor) open() error {
	if err := s.host.Subreaper(); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socketpair for handed over connections: %w", err)
	}
	for i, fd := range fds {
		s.handoff[i] = os.NewFile(uintptr(fd), "handoff")
	}
	fd, err := sys.Memfd("uwsgi-locks", lockSpace)
	if err != nil {
		return err
	}
	s.locks = os.NewFile(uintptr(fd), "locks")
	return nil
}

func (s *Supervisor) closeShared() {
	s.setRequestLog(nil)
	s.queues.close()
	for _, f := range []*os.File{s.handoff[0], s.handoff[1], s.locks} {
		if f != nil {
			f.Close()
		}
	}
	s.stopMetrics()
	s.areas.Close()
	boards := map[*rows]bool{}
	for _, g := range s.gens {
		boards[g.rows] = true
	}
	if s.rows != nil {
		boards[s.rows] = true
	}
	for r := range boards {
		r.close()
	}
}

// reconcile brings what runs nearer to what should run. It runs after every message.
func (s *Supervisor) reconcile() {
	s.tidy()
	switch s.phase {
	case Stopped:
		return
	case Stopping:
		s.finishStop()
		return
	}
	s.advance()
	if s.gen != nil {
		s.recycleNext()
		s.fill(s.gen)
		s.replaceLoader()
		s.watchSockets()
	}
	s.tendAttendants()
	s.exitIfHopeless()
}

// post hands the loop a message; false once there is no loop any more.
func (s *Supervisor) post(call func()) bool {
	select {
	case s.calls <- call:
		return true
	case <-s.closed:
		return false
	}
}

// background does slow work beside the loop and then what it returns in the loop.
func (s *Supervisor) background(work func(context.Context) func()) {
	ctx := s.ctx
	s.tasks.Go(crash.Guarded(func() { s.post(work(ctx)) }))
}

// enter changes the phase.
func (s *Supervisor) enter(to Phase) {
	if s.phase == to {
		return
	}
	if err := checkMove(phaseMoves, s.phase, to); err != nil {
		s.fault(fmt.Errorf("phase: %w", err))
	}
	s.phase = to
	s.extendLater()
}

// fault logs what should be impossible.
func (s *Supervisor) fault(err error) {
	s.log(slog.LevelError, "fault", fmt.Sprintf("internal error: %v", err))
}

func (s *Supervisor) log(level slog.Level, event, text string, attrs ...slog.Attr) {
	s.logf(level, event, text, attrs...)
}

// logProcess logs what concerns one worker process.
func (s *Supervisor) logProcess(level slog.Level, event, text string, p *process, attrs ...slog.Attr) {
	s.logf(level, event, text, append([]slog.Attr{slog.Int(KeyWorker, p.slot.n), slog.Int(KeyPID, p.pid),
		slog.Int(KeyGeneration, p.gen.n)}, attrs...)...)
}
