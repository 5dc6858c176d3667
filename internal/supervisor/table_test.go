package supervisor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"uwsgi/internal/option"
)

func TestBackoff(t *testing.T) {
	const base = 2 * time.Second
	for _, c := range []struct {
		name   string
		base   time.Duration
		served []time.Duration // how long each process served
		want   []time.Duration
	}{
		{"grows to the cap", base, make([]time.Duration, 11),
			[]time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
				8 * time.Second, 16 * time.Second, 32 * time.Second, 32 * time.Second, 32 * time.Second}},
		{"forgets after good service", base, []time.Duration{0, 0, 0, settled, 0}, []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, 0, 250 * time.Millisecond}},
		{"short service counts", base, []time.Duration{settled - 1, settled - 1}, []time.Duration{0, 250 * time.Millisecond}},
		{"off", 0, make([]time.Duration, 3), make([]time.Duration, 3)},
	} {
		var b backoff
		for i, served := range c.served {
			if got := b.next(c.base, served); got != c.want[i] {
				t.Errorf("%s: delay %d is %s, want %s", c.name, i, got, c.want[i])
			}
		}
	}
}

// The tables are whole: every state can be left but the last, and whatever happens a process can be
// killed and can end.
func TestMoves(t *testing.T) {
	for s := forking; s < gone; s++ {
		if checkMove(stateMoves, s, gone) != nil {
			t.Errorf("a %s process cannot end", s)
		}
		if s < killed && checkMove(stateMoves, s, killed) != nil {
			t.Errorf("a %s process cannot be killed", s)
		}
	}
	for p := Starting; p < Stopping; p++ {
		if checkMove(phaseMoves, p, Stopping) != nil {
			t.Errorf("%s cannot be stopped", p)
		}
	}
	for s := loading; s < dead; s++ {
		if checkMove(loaderMoves, s, dead) != nil {
			t.Errorf("a loader that is %s cannot die", s)
		}
	}
	for _, bad := range [][2]state{{forking, serving}, {starting, draining}, {draining, serving}, {condemned, draining},
		{killed, draining}, {gone, starting}} {
		if checkMove(stateMoves, bad[0], bad[1]) == nil {
			t.Errorf("%s → %s is legal", bad[0], bad[1])
		}
	}
	err := checkMove(phaseMoves, Stopped, Running)
	if err == nil || err.Error() != "illegal move from stopped to running" {
		t.Errorf("err = %v", err)
	}
}

func TestAgenda(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a timers
		var done []string
		note := func(name string) func() { return func() { done = append(done, name) } }
		if a.wait(time.Now()) >= 0 {
			t.Error("an empty list waits")
		}
		a.after(3*time.Second, note("late"))
		a.after(time.Second, func() {
			done = append(done, "early")
			a.after(0, note("at once"))
		})
		dropped := a.after(2*time.Second, note("dropped"))
		a.drop(dropped)
		a.drop(dropped)
		a.drop(nil)
		for len(a.list) > 0 {
			time.Sleep(a.wait(time.Now())) // why: synctest's clock
			a.run(time.Now())
		}
		if !slices.Equal(done, []string{"early", "at once", "late"}) {
			t.Errorf("done: %v", done)
		}
	})
}

func TestRows(t *testing.T) {
	r, err := newRows(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	seen := map[int]bool{}
	for {
		row, ok := r.take()
		if !ok {
			break
		}
		if seen[row] {
			t.Fatalf("row %d is given twice", row)
		}
		seen[row] = true
		r.board.Row(row).Requests.Store(9)
	}
	if len(seen) != rowsFor(1) {
		t.Errorf("%d rows, want %d", len(seen), rowsFor(1))
	}
	r.give(3)
	if row, ok := r.take(); !ok || row != 3 || r.read(3).requests != 0 {
		t.Errorf("took row %d, %v, with %d requests", row, ok, r.read(3).requests)
	}
	for _, c := range []struct {
		processes, cores int
		fits             bool
	}{{1, 2, true}, {1, 1, true}, {2, 1, false}, {1, 3, false}, {0, 2, true}} {
		if r.fits(c.processes, c.cores) != c.fits {
			t.Errorf("%d processes of %d cores: fits is %v", c.processes, c.cores, !c.fits)
		}
	}
}

func TestFirstWorkers(t *testing.T) {
	for _, c := range []struct{ processes, cheaper, initial, want int }{
		{4, 0, 0, 4}, {4, 2, 0, 2}, {4, 2, 3, 3}, {4, 2, 9, 4}, {4, 2, 1, 2},
	} {
		cfg := Config{Settings: &option.Settings{Processes: c.processes,
			WorkerSettings: option.WorkerSettings{Cheaper: c.cheaper, CheaperInitial: c.initial}}}
		if got := cfg.atFirst(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// What is tried again in an instance that has served has a second, then longer, between tries, and
// thirty seconds in all.
func TestEndurance(t *testing.T) {
	var o ordeal
	var pauses []time.Duration
	for range 5 {
		o.failed()
		pauses = append(pauses, o.pause(usual))
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second,
		4 * time.Second}; !slices.Equal(pauses, want) {
		t.Errorf("%v, want %v", pauses, want)
	}
	if o.hopeless(usual) {
		t.Error("it gives up at once")
	}
	if o.since = time.Now().Add(-usual.limit); !o.hopeless(usual) {
		t.Error("it never gives up")
	}
}
