package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
)

// An instance in which nothing happens is looked at ever more seldom, and each second again as soon
// as something does, or where an option wants that.
func TestCalm(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*option.Settings)
		stir func(s *Supervisor, row *scoreboard.Row, cell *scoreboard.Cell) // after the fifth tick
		want []int                                                           // seconds between ticks
	}{
		{"nothing", nil, nil, []int{1, 2, 4, 8, 8, 8, 8}},
		{"a request", nil, func(_ *Supervisor, row *scoreboard.Row, _ *scoreboard.Cell) { row.Requests.Add(1) }, []int{1, 2, 4, 8, 8, 1, 2}},
		{"a request that runs", nil, func(s *Supervisor, _ *scoreboard.Row, c *scoreboard.Cell) { occupy(c, 1) }, []int{1, 2, 4, 8, 8, 1, 1}},
		{"a connection that waits", nil, func(s *Supervisor, _ *scoreboard.Row, _ *scoreboard.Cell) {
			waiting := 2
			s.cfg.Listeners = []Listener{{Queue: func() (int, int, error) { waiting--; return waiting, 9, nil }}}
		}, []int{1, 2, 4, 8, 8, 1, 2}},
		{"cheaper", func(s *option.Settings) { s.Cheaper = 1 }, nil, []int{1, 1, 1, 1, 1, 1, 1}},
		{"idle", func(s *option.Settings) { s.Idle = time.Hour }, nil, []int{1, 1, 1, 1, 1, 1, 1}},
		{"a limit on memory", func(s *option.Settings) { s.ReloadOnRSS = 1 << 40 }, nil, []int{1, 1, 1, 1, 1, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := option.Default()
				set.Cheaper = 0
				if c.set != nil {
					c.set(set)
				}
				s, board := offline(set, 1)
				defer s.rows.close()
				s.host.Zombies, s.host.OOMKills = func() []int { return nil }, func() int64 { return 0 }
				s.host.Memory = func(int) (int64, int64, error) { return 1, 1, nil }
				s.phase, s.manager.Notifier = Running, silence{}
				s.procs = map[*loader.Worker]*process{{}: s.gen.slots[0].cur}
				var got []int
				for i := range c.want {
					if i == 5 && c.stir != nil {
						c.stir(s, board.Row(0), board.Cell(0, 0))
					}
					s.timers = timers{}
					s.tick()
					got = append(got, int(s.timers.wait(time.Now())/time.Second))
					time.Sleep(s.timers.wait(time.Now())) // why: synctest's clock
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("seconds between ticks: %v, want %v", got, c.want)
				}
			})
		})
	}
}

// The service manager is asked for patience every five seconds until the instance is up, and in a
// phase that may take long; nothing wakes the loop for that in between.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := offline(option.Default(), 1)
		defer s.rows.close()
		told := 0
		s.phase, s.manager.Notifier, s.startedAt = Starting, counter{asked: &told}, time.Now()
		for _, c := range []struct {
			phase Phase
			want  int // in 12 s
		}{{Starting, 2}, {Running, 0}, {Sleeping, 0}, {Reloading, 2}, {Running, 0}, {Closing, 2},
			{Stopping, 2}, {Stopped, 0}} {
			if s.rollout = nil; c.phase == Reloading {
				s.rollout = &rollout{kind: reload, began: time.Now()}
			}
			if told = 0; c.phase == Starting {
				s.extendLater()
			}
			s.enter(c.phase)
			for range 12 {
				time.Sleep(time.Second) // why: synctest's clock
				s.timers.run(time.Now())
			}
			if told != c.want {
				t.Errorf("%s: asked %d times, want %d", c.phase, told, c.want)
			}
			if up := c.want == 0; up != (s.timers.wait(time.Now()) < 0) {
				t.Errorf("%s: a timer is set: %t", c.phase, up)
			}
		}
	})
}

// counter counts how often it is asked for patience.
type counter struct {
	silence
	asked *int
}

func (c counter) ExtendTimeout(time.Duration) error { *c.asked++; return nil }

// The workers are told to look for what the kernel may have told another one of: when a process has
// ended, and when something waits for longer than from one tick to the next.
func TestLook(t *testing.T) {
	r := newRig(t, 2)
	stderr, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	defer w.Close()
	r.cfg.WorkerStderr = func(int) (*os.File, error) {
		return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), os.O_WRONLY, 0)
	}
	waiting := 0
	r.cfg.Listeners[0].Queue = func() (int, int, error) { return waiting, 9, nil }
	r.up()
	lines := bufio.NewScanner(stderr)
	expect := func(want ...string) {
		t.Helper()
		stderr.SetReadDeadline(time.Now().Add(patience))
		for len(want) > 0 {
			if !lines.Scan() {
				t.Fatalf("no worker has said %q", want)
			}
			if i := slices.Index(want, lines.Text()); i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
		}
	}
	r.signal(1, syscall.SIGKILL)
	expect("worker 2: look")
	r.do(func() { waiting = 1 })
	r.do(r.sup.checkQueues)
	r.do(r.sup.checkQueues)
	expect("worker 2: look")
	r.do(func() { waiting = 0 })
	r.stop()
}
