package supervisor

import (
	"errors"
	"testing"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
)

// A worker with a loop is as busy as its thread, however much it has in hand; one with threads is
// as busy as they are.
func TestSaturation(t *testing.T) {
	for _, c := range []struct {
		name              string
		looped            bool
		load              int32
		lag               time.Duration
		flying, sockets   int32
		cells             int // that are busy, of 4
		busy, full, inUse bool
	}{
		{name: "threads, idle"},
		{name: "threads, one", cells: 1, busy: true, inUse: true},
		{name: "threads, all", cells: 4, busy: true, full: true, inUse: true},
		{name: "loop, idle", looped: true},
		{name: "loop, all wait", looped: true, load: 20, flying: 4, cells: 4, inUse: true},
		{name: "loop, silent websockets", looped: true, load: 20, flying: 4, sockets: 4, cells: 4},
		{name: "loop, websockets and one request", looped: true, load: 20, flying: 4, sockets: 3, cells: 4, inUse: true},
		{name: "loop, one works", looped: true, load: 100, flying: 1, cells: 1, busy: true, inUse: true},
		{name: "loop, full", looped: true, load: 800, flying: 1, cells: 1, busy: true, full: true, inUse: true},
		{name: "loop, blocked", looped: true, lag: 150 * time.Millisecond, flying: 1, cells: 1, busy: true, full: true, inUse: true},
		{name: "loop, a worker gone mad", looped: true, flying: -5, sockets: 1 << 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, board := offline(option.Default(), 4)
			defer s.rows.close()
			for i := range c.cells {
				occupy(board.Cell(0, i), 1)
			}
			loop := &board.Row(0).Loop
			if c.looped {
				loop.Runs.Store(1)
			}
			loop.Load.Store(c.load)
			loop.Lag.Store(int64(c.lag))
			loop.InFlight.Store(c.flying)
			loop.Websockets.Store(c.sockets)
			p := s.gen.slots[0].cur
			busy, full := s.saturation(p)
			if busy != c.busy || full != c.full || s.inUse(p) != c.inUse {
				t.Errorf("busy %t, full %t, in use %t: want %t, %t, %t", busy, full, s.inUse(p),
					c.busy, c.full, c.inUse)
			}
			if l, _ := s.load(); (l.Idle == 1) == c.busy || (l.Full == 1) != c.full {
				t.Errorf("cheaper sees %+v", l)
			}
			if idle := s.oldestIdle() != nil; idle == c.busy {
				t.Errorf("cheaper takes it away: %t", idle)
			}
		})
	}
}

// The load of a loop is what its thread ran between two samples, in ‰, and cheaper's busyness is
// that, too.
func TestSampleLoads(t *testing.T) {
	s, board := offline(option.Default(), 1)
	defer s.rows.close()
	now, ran, gone := int64(time.Hour), time.Duration(0), error(nil)
	s.host.Monotonic = func() int64 { return now }
	s.host.MainThread = func(int) (time.Duration, error) { return ran, gone }
	p := s.gen.slots[0].cur
	p.pid, p.ready = 1, time.Now()
	s.procs = map[*loader.Worker]*process{nil: p}
	load := &board.Row(0).Loop.Load
	s.sampleLoads()
	if p.sampled != 0 {
		t.Error("a worker with threads is sampled")
	}
	board.Row(0).Loop.Runs.Store(1)
	for _, c := range []struct {
		ran  time.Duration
		want int32
	}{{7 * time.Second, 0}, {250 * time.Millisecond, 250}, {0, 0}, {time.Second, 1000},
		{2 * time.Second, 1000}, {-time.Second, 0}} {
		s.load()
		now += int64(time.Second)
		ran += c.ran
		s.sampleLoads()
		if got := load.Load(); got != c.want {
			t.Errorf("%s in a second: %d ‰, want %d", c.ran, got, c.want)
		}
		if l, _ := s.load(); c.want > 0 && int32(l.Busyness*10) != c.want {
			t.Errorf("%s in a second: %.1f %% busyness", c.ran, l.Busyness)
		}
	}
	gone = errors.New("no such process")
	load.Store(77)
	s.sampleLoads()
	if got := load.Load(); got != 77 {
		t.Errorf("a process that is gone has the load %d", got)
	}
}
