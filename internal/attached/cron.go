package attached

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/schedule"
	"uwsgi/internal/stats"
)

// Crons runs timed commands: cron, unique-cron, cron2. An entry starts at most once a minute, over
// reloads too. The clock is the supervisor's, which calls Tick.
type Crons struct {
	env      Env
	harakiri time.Duration
	spawn    *Spawner
	stop     chan struct{}
	wg       sync.WaitGroup // running commands

	mu   sync.Mutex // guards what follows
	list []*cronJob
	runs map[Process]struct{}
}

type cronJob struct {
	option.Cron
	clock   schedule.Clock
	running int
	last    stats.Cron // what the statistics have of its runs
}

// name is what an entry is called among instances.
func (k *cronJob) name() string {
	return fmt.Sprintf("cron %d %d %d %d %d %s", k.Minute, k.Hour, k.Day, k.Month, k.Week, k.Command)
}

// shared is who decides which instance runs an entry; nil = nobody.
func (c *Crons) shared(k *cronJob) schedule.Lease {
	if !k.Unique {
		return nil
	}
	return c.env.Lease
}

// NewCrons registers the entries of a configuration; harakiri is cron-harakiri.
func NewCrons(list []option.Cron, harakiri time.Duration, env Env) *Crons {
	env.fill()
	c := &Crons{env: env, stop: make(chan struct{}), runs: map[Process]struct{}{}}
	if env.start == nil {
		c.spawn = NewSpawner()
		c.env.start = c.spawn.Start
	}
	c.register(list, harakiri)
	return c
}

// Reload goes over to a new list and its world; an entry that both lists have keeps the time of its
// last run.
func (c *Crons) Reload(list []option.Cron, harakiri time.Duration, env Env) {
	c.mu.Lock()
	env.start, env.alive = c.env.start, c.env.alive
	env.fill()
	c.env = env
	c.mu.Unlock()
	c.register(list, harakiri)
}

func (c *Crons) register(list []option.Cron, harakiri time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.list
	c.list, c.harakiri = nil, harakiri
	for _, o := range list {
		job := &cronJob{Cron: o, clock: schedule.Clock{When: when(o)}}
		for _, k := range old {
			a, b := k.Cron, o
			a.Origin, b.Origin = option.Origin{}, option.Origin{}
			if a == b {
				job = k
			}
		}
		c.env.Print(fmt.Sprintf("[uwsgi-cron] command \"%s\" registered as cron task", o.Command))
		c.list = append(c.list, job)
		if lease := c.shared(job); lease != nil {
			lease.Holds(job.name()) // from now on it is tried for
		}
	}
}

// Stats describes every entry.
func (c *Crons) Stats() []stats.Cron {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []stats.Cron
	for _, k := range c.list {
		s := k.last
		s.Minute, s.Hour, s.Day, s.Month, s.Week = k.Minute, k.Hour, k.Day, k.Month, k.Week
		s.Command, s.Unique = k.Command, stats.Bit(k.Unique)
		if k.running == 0 {
			s.PID = -1
		}
		out = append(out, s)
	}
	return out
}

// Stop ends the commands that run: SIGTERM, SIGKILL after the mercy. Nothing is due after it.
func (c *Crons) Stop() {
	c.mu.Lock()
	close(c.stop)
	c.mu.Unlock()
	ended := make(chan struct{})
	crash.Go(func() {
		defer close(ended)
		c.wg.Wait()
	})
	c.signal(syscall.SIGTERM)
	c.mu.Lock()
	mercy := c.env.Mercy
	c.mu.Unlock()
	if !afterOr(ended, mercy) {
		c.signal(syscall.SIGKILL)
		<-ended
	}
	if c.spawn != nil {
		c.spawn.Close()
	}
}

func (c *Crons) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.runs {
		_ = p.Signal(sig)
	}
}

// Tick starts what is due, and gives how long it is until it wants to be asked again; negative:
// never. It does not wait.
func (c *Crons) Tick(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 || c.stopped() {
		return -1
	}
	for _, k := range c.list {
		if k.Unique && k.running > 0 || !k.clock.Due(now) {
			continue
		}
		if lease := c.shared(k); lease != nil {
			c.wg.Go(crash.Guarded(func() { c.contend(k, lease, now) }))
		} else {
			c.begin(k, now)
		}
	}
	return schedule.UntilNext(now)
}

func (c *Crons) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// contend starts a command if this minute is this instance's.
func (c *Crons) contend(k *cronJob, lease schedule.Lease, now time.Time) {
	if !schedule.Contend(c.stop, lease, k.name(), now.Unix()/60) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.running == 0 && !c.stopped() {
		c.begin(k, now)
	}
}

// begin starts one command, beside its caller, who holds mu: a folder may be slow to get to.
func (c *Crons) begin(k *cronJob, now time.Time) {
	k.running++
	k.last.StartedAt, k.last.Runs, k.last.PID = now.Unix(), k.last.Runs+1, -1
	limit := k.Harakiri
	if limit <= 0 {
		limit = c.harakiri
	}
	env, lease := c.env, c.shared(k)
	c.wg.Go(crash.Guarded(func() { c.run(k, now, limit, lease, env) }))
}

func (c *Crons) run(k *cronJob, now time.Time, limit time.Duration, lease schedule.Lease, env Env) {
	p, err := env.start(Command{Shell: k.Command, Dir: env.Dir, Env: env.Environ, Stderr: env.Stderr,
		Credential: env.Credential, Group: true})
	c.mu.Lock()
	if err != nil {
		k.running--
		k.last.Failures++
		k.last.Ended = err.Error()
		c.mu.Unlock()
		env.Print(fmt.Sprintf("[uwsgi-cron] unable to run %v", err))
		return
	}
	k.last.PID, k.last.Ended = p.PID(), "running"
	c.runs[p] = struct{}{}
	if c.stopped() {
		_ = p.Signal(syscall.SIGTERM)
	}
	c.mu.Unlock()
	env.Timed(fmt.Sprintf("[uwsgi-cron] running \"%s\" (pid %d)", k.Command, p.PID()))
	c.follow(k, p, now, limit, lease, env)
}

// follow waits for a command's end, and kills it once limit is over.
func (c *Crons) follow(k *cronJob, p Process, began time.Time, limit time.Duration, lease schedule.Lease, env Env) {
	ended := make(chan struct{})
	if limit > 0 {
		c.wg.Go(crash.Guarded(func() {
			if !afterOr(ended, limit) {
				env.Timed(fmt.Sprintf("*** HARAKIRI ON CRON \"%s\" (pid: %d) ***", k.Command, p.PID()))
				_ = p.Signal(syscall.SIGKILL)
			}
		}))
	}
	if lease != nil {
		c.wg.Go(crash.Guarded(func() { guard(k, p, lease, ended, env) }))
	}
	how := p.Wait()
	close(ended)
	c.mu.Lock()
	k.running--
	delete(c.runs, p)
	if how == success {
		how = "ok"
	} else {
		k.last.Failures++
	}
	if k.last.PID == p.PID() { // else one that began later runs beside it
		k.last.Took, k.last.Ended = time.Since(began).Microseconds(), how
	}
	c.mu.Unlock()
	if k.Unique { // its minute may be now
		env.Look()
	}
	env.Print(fmt.Sprintf("[uwsgi-cron] command \"%s\" running with pid %d exited after %d second(s)", k.Command,
		p.PID(), int(time.Since(began).Seconds())))
}

// guard ends a command that another instance may run from now on.
func guard(k *cronJob, p Process, lease schedule.Lease, ended chan struct{}, env Env) {
	for {
		left := lease.Holds(k.name())
		if left <= 0 {
			env.Timed(fmt.Sprintf("[uwsgi-cron] \"%s\" (pid %d) is killed: it may be run elsewhere from now on",
				k.Command, p.PID()))
			_ = p.Signal(syscall.SIGKILL)
			return
		}
		if afterOr(ended, left) {
			return
		}
	}
}

// when is an entry's time.
func when(c option.Cron) schedule.When {
	return schedule.When{Minute: c.Minute, Hour: c.Hour, Day: c.Day, Month: c.Month, Week: c.Week}
}
