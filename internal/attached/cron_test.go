package attached

import (
	"testing"
	"testing/synctest"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/testlog"
)

func TestDue(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", s, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	sunday := at("2026-11-22 03:15:30")
	for _, c := range []struct {
		minute, hour, day, month, week int
		want                           bool
	}{
		{-1, -1, -1, -1, -1, true},
		{15, 3, -1, -1, -1, true},
		{16, 3, -1, -1, -1, false},
		{-5, -1, -1, -1, -1, true},
		{-4, -1, -1, -1, -1, false},
		{-1, -3, -1, -11, -1, true},
		{-1, -1, -1, -1, 0, true},
		{-1, -1, -1, -1, 7, true},
		{-1, -1, -1, -1, 1, false},
		{-1, -1, 22, -1, -1, true},
		{-1, -1, 23, -1, -1, false},
		{-1, -1, 23, -1, 7, true}, // either will do
		{-1, -1, 22, -1, 3, true},
		{-1, -1, 23, -1, 3, false},
		{-1, -1, -11, -1, 3, false}, // a step and a number: both
		{-1, -1, -1, 10, -1, false},
	} {
		o := option.Cron{Minute: c.minute, Hour: c.hour, Day: c.day, Month: c.month, Week: c.week}
		if got := when(o).Matches(sunday); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func FuzzDue(f *testing.F) {
	f.Add(-1, -5, 1, -2, 7, int64(1e9))
	f.Fuzz(func(t *testing.T, a, b, c, d, e int, at int64) {
		when(option.Cron{Minute: a, Hour: b, Day: c, Month: d, Week: e}).Matches(time.Unix(at%4e9, 0))
	})
}

func every(command string) option.Cron {
	return option.Cron{Minute: -1, Hour: -1, Day: -1, Month: -1, Week: -1, Command: command}
}

// clock has c look when it wants to, until done is closed, as the supervisor does.
func clock(c *Crons, look <-chan struct{}, done <-chan struct{}) {
	for wait := c.Tick(time.Now()); wait >= 0; wait = c.Tick(time.Now()) {
		select {
		case <-done:
			return
		case <-look:
		case <-time.After(wait):
		}
	}
}

func TestCron(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{onTerm: true}, testlog.New()
		c, done := NewCrons([]option.Cron{every("tick")}, 0, fakeEnv(h, log)), make(chan struct{})
		defer close(done)
		go clock(c, nil, done)
		synctest.Wait()
		if h.started() != 1 { // a matching minute fires at the start
			t.Fatal(h.started())
		}
		next := fakeEnv(h, log)
		next.Dir = "/next"
		c.Reload([]option.Cron{every("tick")}, 0, next) // and not again at a reload
		time.Sleep(30 * time.Second)                    // why: synctest's clock
		if h.started() != 1 || c.Stats()[0].PID != 1<<22 {
			t.Error(h.started(), c.Stats())
		}
		h.last().exit <- "done"
		synctest.Wait()
		if c.Stats()[0].PID != -1 {
			t.Error(c.Stats())
		}
		time.Sleep(31 * time.Second) // why: synctest's clock
		if h.started() != 2 || h.specs[1].Dir != "/next" {
			t.Error(h.started(), h.specs)
		}
		c.Stop()
		if h.last().signals() != "[terminated]" {
			t.Error(h.last().signals())
		}
		log.Wait(`[uwsgi-cron] command "tick" registered as cron task`)
		log.Wait(`[uwsgi-cron] running "tick" (pid 4194304)`)
		log.Wait(`[uwsgi-cron] command "tick" running with pid 4194304 exited after 30 second(s)`)
	})
}

func TestUniqueCronAndHarakiri(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{}, testlog.New()
		u := every("long")
		u.Unique = true
		env, look, done := fakeEnv(h, log), make(chan struct{}), make(chan struct{})
		defer close(done)
		env.Look = func() { look <- struct{}{} }
		c := NewCrons([]option.Cron{u}, 150*time.Second, env)
		go clock(c, look, done)
		time.Sleep(149 * time.Second) // why: synctest's clock
		if h.started() != 1 {
			t.Error("a second one beside it")
		}
		time.Sleep(2500 * time.Millisecond) // why: synctest's clock
		if h.at(0).signals() != "[killed]" || h.started() != 2 {
			t.Error(h.at(0).signals(), h.started())
		}
		log.Wait(`*** HARAKIRI ON CRON "long" (pid: 4194304) ***`)
		c.Stop() // it does not hear SIGTERM
		if wait := c.Tick(time.Now().Add(time.Hour)); wait >= 0 || h.started() != 2 {
			t.Error("after the stop:", wait, h.started())
		}
		if h.last().signals() != "[terminated killed]" {
			t.Error(h.last().signals())
		}
	})
}
