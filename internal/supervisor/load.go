package supervisor

import (
	"time"

	"uwsgi/internal/scoreboard"
)

// How much a worker is in use. One whose cores are threads is as busy as they are. One with a loop
// may have hundreds of exchanges in hand that all wait: it is as busy as the loop's thread.

// looped reports whether a process serves with an event loop.
func (p *process) looped() bool { return p.gen.rows.board.Row(p.row).Loop.Runs.Load() != 0 }

// saturation is whether a process has anything to do, and whether it can do no more.
func (s *Supervisor) saturation(p *process) (busy, full bool) {
	return p.gen.rows.board.Saturation(p.row)
}

// inFlight is how many exchanges a process has in hand, and how many of them are websockets.
func (p *process) inFlight() (all, websockets int) {
	board := p.gen.rows.board
	if !p.looped() {
		return board.Busy(p.row), 0
	}
	loop := &board.Row(p.row).Loop
	most := board.Cells() // it is the worker's word
	return clamp(int(loop.InFlight.Load()), 0, most), clamp(int(loop.Websockets.Load()), 0, most)
}

// sampleLoads measures how much the loops of the last second have run.
func (s *Supervisor) sampleLoads() {
	now := s.host.Monotonic()
	for _, p := range s.procs {
		if p.pid == 0 || !p.looped() {
			continue
		}
		ran, err := s.host.MainThread(p.pid)
		if err != nil {
			continue // it has ended; that will be told
		}
		if span := now - p.sampled; p.sampled > 0 && span > 0 {
			load := clamp(int(int64(ran-p.ran)*1000/span), 0, 1000)
			p.gen.rows.board.Row(p.row).Loop.Load.Store(int32(load))
		}
		p.ran, p.sampled = ran, now
	}
}

// busyTime is the time that a process has spent in requests, those under way included, summed over
// its cores; of one with a loop, the time that this ran.
func (s *Supervisor) busyTime(p *process) int64 {
	if p.looped() {
		return p.ran.Microseconds()
	}
	board := p.gen.rows.board
	n := board.Row(p.row).Running.Load()
	now := s.host.Monotonic()
	for c := range board.Used(p.row) {
		cell := board.Cell(p.row, c)
		if cell.State.Load() == scoreboard.CellBusy {
			n += age(cell, now).Microseconds()
		}
	}
	return n
}

// abreast is how many requests a process runs at the same moment.
func (p *process) abreast() int {
	if p.looped() {
		return 1
	}
	return max(1, p.gen.rows.board.Used(p.row))
}

// inUse reports whether somebody waits for an answer from a process: a silent websocket does not
// keep an instance awake.
func (s *Supervisor) inUse(p *process) bool {
	all, websockets := p.inFlight()
	busy, _ := s.saturation(p)
	return busy || all > websockets
}

// lag is how long what is ready has to wait for a process's loop.
func (p *process) lag() time.Duration {
	return max(0, time.Duration(p.gen.rows.board.Row(p.row).Loop.Lag.Load()))
}
