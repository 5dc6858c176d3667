package dataplane

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
)

// left is how many ns a timer has still to go, 0: it is not set.
func (t *timer) left(tb testing.TB) time.Duration {
	tb.Helper()
	var spec unix.ItimerSpec
	if err := unix.TimerfdGettime(t.fd, &spec); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(spec.Value.Nano())
}

// watchman is a housekeeper that does not run, with an exchange of each core.
type watchman struct {
	*testing.T
	*housekeeper
	x []*Exchange
}

// withWatchman runs a test before the housekeeper does.
func withWatchman(t *testing.T, cores int, test func(w *watchman)) {
	t.Helper()
	serve(t, config{
		set: func(s *option.Settings) { s.Threads = cores },
		prepare: func(e *Engine) {
			e.house.fillsIn.Store(int64(time.Hour))
			test(&watchman{t, &e.house, e.exchanges})
			e.house.state.Store(int32(unwatched))
			e.house.alarm.set(0)
			e.house.nextRound, e.house.seen = 0, 0
			for _, x := range e.exchanges {
				x.cell.State.Store(scoreboard.CellIdle)
				x.cell.Started.Store(0)
				x.core.alarmed, x.finished = false, 0
			}
			e.row.Requests.Store(0)
		},
	})
}

// start has a core begin a request so long ago, after a pause.
func (w *watchman) start(core int, ago, pause time.Duration) {
	x := w.x[core]
	x.started = monotonic() - int64(ago)
	x.finished = x.started - int64(pause)
	x.cell.Started.Store(x.started)
	x.cell.State.Store(scoreboard.CellBusy)
	w.begin(x)
}

// stop has it answer.
func (w *watchman) stop(core int) {
	x := w.x[core]
	x.cell.State.Store(scoreboard.CellIdle)
	x.eng.row.Requests.Add(1)
	if x.core.alarmed {
		w.end(x)
	}
}

func (w *watchman) expect(what string, want watch, armed bool) {
	w.Helper()
	if got := watch(w.state.Load()); got != want {
		w.Errorf("%s: %s, want %s", what, got, want)
	}
	if left := w.alarm.left(w); (left > 0) != armed {
		w.Errorf("%s: the alarm goes off in %s", what, left)
	}
}

// A request now and then wakes nobody: its core takes the alarm back.
func TestAlarmIsTakenBack(t *testing.T) {
	withWatchman(t, 2, func(w *watchman) {
		w.start(0, -time.Hour, time.Second) // so that the alarm does not go off meanwhile
		w.expect("a request", alarmed, true)
		w.stop(0)
		w.expect("it is over", unwatched, false)

		w.start(0, -time.Hour, time.Second)
		w.start(1, -time.Hour, time.Second)
		w.stop(0)
		w.expect("another core is busy", alarmed, true)
		w.stop(1) // did not set it
		w.expect("both are over", alarmed, true)
		w.alert(monotonic())
		w.round(monotonic())
		w.expect("nothing is to be seen", unwatched, true)
		w.alarm.set(0)

		w.start(0, -time.Hour, heels/2)
		w.stop(0)
		w.expect("one that follows on the heels of another", alarmed, true)
	})
}

// The rounds that begin when the alarm goes off: at intervals while there is work, only when
// something comes while requests are long, and none once there is nothing to do.
func TestRounds(t *testing.T) {
	withWatchman(t, 1, func(w *watchman) {
		round := func(what string, age, want time.Duration) { // of the request
			t.Helper()
			now := w.x[0].cell.Started.Load() + int64(age)
			w.nextRound = now
			w.round(now)
			if want != 0 {
				want += time.Duration(now)
			}
			if got := time.Duration(w.nextRound); got != want {
				t.Errorf("%s: the next round is at %s, want %s", what, got, want)
			}
		}
		w.start(0, -time.Hour, time.Second)
		w.alert(monotonic())
		w.expect("the alarm goes off", watched, true)
		round("a young request", longFrom-1, longRound)
		round("a long one, and nothing waits", longFrom, 0)
		w.eventCame()
		if w.nextRound != w.lastRound+int64(longRound) {
			t.Errorf("what comes is looked at at %d, the last round was at %d", w.nextRound, w.lastRound)
		}
		w.x[0].core.tags[3].Store(tagWake)
		round("a long one, and the core has not come to what it has fetched", longFrom, longRound)
		w.x[0].core.take(3)
		w.stop(0)
		w.expect("it is over", watched, false)
		w.eng.row.Requests.Add(fewAnswers)
		round("many requests", time.Second, longRound)
		w.expect("many requests", watched, false)
		w.eng.row.Requests.Add(1)
		w.alarm.set(0)
		round("few", time.Second, 0)
		w.expect("few", unwatched, false)
		w.start(0, -time.Hour, time.Second)
		w.alert(monotonic())
		w.stop(0)
		w.start(0, -time.Hour, time.Second) // sees that somebody looks
		w.alarm.set(0)
		w.rest(monotonic() + int64(time.Hour))
		w.expect("a request has begun before nobody looks", alarmed, true)
	})
}

// Whatever happens, a watch makes the moves of its table.
func TestWatchMoves(t *testing.T) {
	withWatchman(t, 1, func(w *watchman) {
		acts := map[string]func(){
			"begin":   func() { w.start(0, -time.Hour, time.Second) },
			"end":     func() { w.x[0].cell.State.Store(scoreboard.CellIdle); w.end(w.x[0]) },
			"alert":   func() { w.alert(monotonic()) },
			"rest":    func() { w.x[0].cell.State.Store(scoreboard.CellIdle); w.rest(monotonic()) },
			"stirred": w.eventCame,
		}
		made := map[[2]watch]bool{}
		for from := unwatched; from <= watched; from++ {
			for name, act := range acts {
				w.state.Store(int32(from))
				act()
				to := watch(w.state.Load())
				if to != from && checkMove(watchMoves, from, to) != nil {
					t.Errorf("%s: %s → %s", name, from, to)
				}
				made[[2]watch{from, to}] = true
			}
		}
		for from, tos := range watchMoves {
			for _, to := range tos {
				if !made[[2]watch{from, to}] {
					t.Errorf("nothing moves from %s to %s", from, to)
				}
			}
		}
	})
}

// A new connection that a worker was told of, and that it cannot come to for a long request, goes
// to a worker that is idle.
func TestNewConnectionsDoNotWaitBehindLongRequests(t *testing.T) {
	let := make(chan struct{})
	first, second := twoEngines(t, config{
		set: func(s *option.Settings) { s.Processes = 2 },
		handler: func(x *fakeCall) Outcome {
			if x.variable("PATH_INFO") == "/long" {
				<-let
			}
			return ok(x)
		},
	})
	defer close(let)
	row := first.eng.board.Row(1) // the second one's, as the supervisor would have it
	row.PID.Store(1)
	row.Accepting.Store(1)
	row.Cells.Store(1)
	long := first.dial("http")
	long.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
	for first.eng.idle() {
		unix.Poll(nil, 1)
	}
	first.eng.cores[0].tags[maxEvents-1].Store(tagListener)
	c := first.dial("http")
	if got := c.get("/new"); got != "hello /new" {
		t.Errorf("%q", got)
	}
	second.expectRequests(1)
}

// A connection that nobody here was told of is found when the supervisor says so.
func TestLooksAgain(t *testing.T) {
	s := serve(t, config{})
	s.say(message{Op: "pause"})
	s.paused(true)
	c := s.dial("http")
	c.send("GET /lost HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	s.eng.relieve(paused) // as if it had listened, and another worker been told
	s.say(message{Op: "look"})
	if got := c.all(); !strings.HasSuffix(got, "hello /lost") {
		t.Errorf("%q", got)
	}
}
