package supervisor

import (
	"fmt"
	"log/slog"

	"uwsgi/internal/option"
)

// sharesEvery is how many ticks apart the shares of memory are read: the kernel walks all of a
// process's pages for that.
const sharesEvery = 3

// sampleMemory measures the workers, where an option asks for that, and acts on the limits.
func (s *Supervisor) sampleMemory() {
	s.samples++
	for _, p := range s.procs {
		set := p.gen.cfg.Settings
		if p.state != serving || !limitsMemory(set) || !s.measure(p) {
			continue
		}
		evil := s.samples%max(1, int(set.MemCollectorFreq/tickInterval)) == 0
		switch {
		case evil && past(p.vsz, set.EvilReloadOnAS):
			s.evil(p, "ADDRESS SPACE", p.vsz)
		case evil && past(p.rss, set.EvilReloadOnRSS):
			s.evil(p, "RSS", p.rss)
		case p.gen.rows.board.Row(p.row).Requests.Load() == 0: // it is that large by itself: replacing it would not end
		case past(p.vsz, set.ReloadOnAS):
			s.recycleProcess(p, whyAS)
		case past(p.rss, set.ReloadOnRSS):
			s.recycleProcess(p, whyRSS)
		case set.ReloadOnUSS|set.ReloadOnPSS != 0 && s.samples%sharesEvery == 0:
			s.checkShares(p, set)
		}
	}
}

func limitsMemory(set *option.Settings) bool {
	return set.ReloadOnAS|set.ReloadOnRSS|set.EvilReloadOnAS|set.EvilReloadOnRSS|set.CheaperRSSSoft|set.CheaperRSSHard|
		set.ReloadOnUSS|set.ReloadOnPSS != 0
}

// checkShares holds a worker to the limits on the memory that it does not share, or shares.
func (s *Supervisor) checkShares(p *process, set *option.Settings) {
	uss, pss, err := s.host.Shares(p.pid)
	switch {
	case err != nil: // it has ended; that will be told
	case past(uss, set.ReloadOnUSS):
		s.recycleProcess(p, whyUSS)
	case past(pss, set.ReloadOnPSS):
		s.recycleProcess(p, whyPSS)
	}
}

func past(n, limit int64) bool { return limit > 0 && n > limit }

// measure takes a worker's memory, without the address space that its data plane reserved.
func (s *Supervisor) measure(p *process) bool {
	rss, vsz, err := s.host.Memory(p.pid)
	if err != nil {
		return false // it has ended; that will be told
	}
	overhead := max(0, min(p.gen.rows.board.Row(p.row).ASOverhead.Load(), vsz)) // the worker's word
	p.rss, p.vsz = rss, max(vsz-overhead, rss)
	return true
}

// evil kills a worker that is past a hard limit, in the middle of what it does.
func (s *Supervisor) evil(p *process, what string, n int64) {
	s.logProcess(slog.LevelError, "worker.evil", fmt.Sprintf("*** EVIL RELOAD ON WORKER %d %s: %d (pid: %d) ***",
		p.slot.n, what, n, p.pid), p, slog.Int64(KeyBytes, n))
	s.kill(p, whyEvil)
}
