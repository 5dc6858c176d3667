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
// reloads too.
type Crons struct {
	env      Env
	harakiri time.Duration
	spawn    *Spawner
	stop     chan struct{}
	look     chan struct{} // there may be something due that the clock does not tell of
	looped   chan struct{}
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

// StartCrons begins to watch the clock; harakiri is cron-harakiri.
func StartCrons(list []option.Cron, harakiri time.Duration, env Env) *Crons {
	env.fill()
	c := &Crons{env: env, stop: make(chan struct{}), look: make(chan struct{}, 1), looped: make(chan struct{}),
		runs: map[Process]struct{}{}}
	if env.start == nil {
		c.spawn = NewSpawner()
		c.env.start = c.spawn.Start
	}
	c.register(list, harakiri)
	crash.Go(c.loop)
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
	c.lookAgain()
}

// lookAgain has the loop look now.
func (c *Crons) lookAgain() {
	select {
	case c.look <- struct{}{}:
	default:
	}
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

// Stop ends the clock and the commands that run: SIGTERM, SIGKILL after the mercy.
func (c *Crons) Stop() {
	close(c.stop)
	<-c.looped
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

func (c *Crons) loop() {
	defer close(c.looped)
	for {
		now := time.Now()
		c.poll(now)
		next := time.NewTimer(schedule.UntilNext(now))
		select {
		case <-c.stop:
			next.Stop()
			return
		case <-c.look:
			next.Stop()
		case <-next.C:
		}
	}
}

// poll starts what is due.
func (c *Crons) poll(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
}

// contend starts a command if this minute is this instance's.
func (c *Crons) contend(k *cronJob, lease schedule.Lease, now time.Time) {
	if !schedule.Contend(c.stop, lease, k.name(), now.Unix()/60) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.stop:
	default:
		if k.running == 0 {
			c.begin(k, now)
		}
	}
}

// begin starts one command; the caller holds mu.
func (c *Crons) begin(k *cronJob, now time.Time) {
	k.last.StartedAt, k.last.Runs = now.Unix(), k.last.Runs+1
	p, err := c.env.start(Command{Shell: k.Command, Dir: c.env.Dir, Env: c.env.Environ, Stderr: c.env.Stderr,
		Credential: c.env.Credential, Group: true})
	if err != nil {
		c.env.Print(fmt.Sprintf("[uwsgi-cron] unable to run %v", err))
		k.last.Failures++
		k.last.Ended = err.Error()
		return
	}
	k.running++
	k.last.PID, k.last.Ended = p.PID(), "running"
	c.runs[p] = struct{}{}
	c.env.Timed(fmt.Sprintf("[uwsgi-cron] running \"%s\" (pid %d)", k.Command, p.PID()))
	limit := k.Harakiri
	if limit <= 0 {
		limit = c.harakiri
	}
	env, lease := c.env, c.shared(k)
	c.wg.Go(crash.Guarded(func() { c.follow(k, p, now, limit, lease, env) }))
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
		c.lookAgain()
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
