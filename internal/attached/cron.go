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
	looped   chan struct{}
	wg       sync.WaitGroup // running commands

	mu   sync.Mutex // guards what follows
	list []*cronJob
	runs map[Process]struct{}
}

type cronJob struct {
	option.Cron
	started time.Time // of the last run
	running int
	pid     int // of the last run, while it runs
}

// StartCrons begins to watch the clock; harakiri is cron-harakiri.
func StartCrons(list []option.Cron, harakiri time.Duration, env Env) *Crons {
	env.fill()
	c := &Crons{env: env, stop: make(chan struct{}), looped: make(chan struct{}), runs: map[Process]struct{}{}}
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
}

func (c *Crons) register(list []option.Cron, harakiri time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.list
	c.list, c.harakiri = nil, harakiri
	for _, o := range list {
		job := &cronJob{Cron: o}
		for _, k := range old {
			a, b := k.Cron, o
			a.Origin, b.Origin = option.Origin{}, option.Origin{}
			if a == b {
				job = k
			}
		}
		c.env.Print(fmt.Sprintf("[uwsgi-cron] command \"%s\" registered as cron task", o.Command))
		c.list = append(c.list, job)
	}
}

// Stats describes every entry.
func (c *Crons) Stats() []stats.Cron {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []stats.Cron
	for _, k := range c.list {
		s := stats.Cron{Minute: k.Minute, Hour: k.Hour, Day: k.Day, Month: k.Month, Week: k.Week,
			Command: k.Command, Unique: stats.Bit(k.Unique), PID: -1}
		if !k.started.IsZero() {
			s.StartedAt = k.started.Unix()
		}
		if k.running > 0 {
			s.PID = k.pid
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
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c.poll(time.Now())
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
	}
}

// poll starts what is due.
func (c *Crons) poll(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.list {
		if !due(k.Cron, now) || !k.started.IsZero() && now.Sub(k.started) < time.Minute || k.Unique && k.running > 0 {
			continue
		}
		c.begin(k, now)
	}
}

// begin starts one command; the caller holds mu.
func (c *Crons) begin(k *cronJob, now time.Time) {
	k.started = now
	p, err := c.env.start(Command{Shell: k.Command, Dir: c.env.Dir, Env: c.env.Environ, Stderr: c.env.Stderr,
		Credential: c.env.Credential, Group: true})
	if err != nil {
		c.env.Print(fmt.Sprintf("[uwsgi-cron] unable to run %v", err))
		return
	}
	k.running++
	k.pid = p.PID()
	c.runs[p] = struct{}{}
	c.env.Timed(fmt.Sprintf("[uwsgi-cron] running \"%s\" (pid %d)", k.Command, p.PID()))
	limit := k.Harakiri
	if limit <= 0 {
		limit = c.harakiri
	}
	env := c.env
	c.wg.Go(crash.Guarded(func() { c.follow(k, p, now, limit, env) }))
}

// follow waits for a command's end, and kills it once limit is over.
func (c *Crons) follow(k *cronJob, p Process, began time.Time, limit time.Duration, env Env) {
	ended := make(chan struct{})
	if limit > 0 {
		c.wg.Go(crash.Guarded(func() {
			if !afterOr(ended, limit) {
				env.Timed(fmt.Sprintf("*** HARAKIRI ON CRON \"%s\" (pid: %d) ***", k.Command, p.PID()))
				_ = p.Signal(syscall.SIGKILL)
			}
		}))
	}
	p.Wait()
	close(ended)
	c.mu.Lock()
	k.running--
	delete(c.runs, p)
	c.mu.Unlock()
	env.Print(fmt.Sprintf("[uwsgi-cron] command \"%s\" running with pid %d exited after %d second(s)", k.Command,
		p.PID(), int(time.Since(began).Seconds())))
}

// due reports whether an entry matches a minute of local time.
func due(c option.Cron, t time.Time) bool {
	return schedule.When{Minute: c.Minute, Hour: c.Hour, Day: c.Day, Month: c.Month, Week: c.Week}.Matches(t)
}
