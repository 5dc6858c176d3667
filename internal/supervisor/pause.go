package supervisor

import (
	"fmt"
	"log/slog"
)

// togglePause pauses all workers or resumes them; workers to come are paused too.
func (s *Supervisor) togglePause() {
	if s.phase >= Stopping {
		return
	}
	s.paused = !s.paused
	text, each := "*** (SIGTSTP received) resuming workers ***", "*** worker %d resumed ***"
	if s.paused {
		text, each = "*** PAUSE (press start to resume, if you do not have a joypad send SIGTSTP) ***",
			"*** worker %d suspended ***"
	}
	s.log(slog.LevelInfo, "pause", text)
	for _, p := range s.procs {
		if p.state != serving {
			continue
		}
		if s.paused {
			s.obeyed(p, p.w.Pause())
		} else {
			s.obeyed(p, p.w.Resume())
		}
		s.logProcess(slog.LevelInfo, "pause", fmt.Sprintf(each, p.slot.n), p)
	}
}
