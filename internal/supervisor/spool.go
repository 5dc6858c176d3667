package supervisor

import "log/slog"

// RespawnSpoolers replaces the spooler's processes, each once its job is done.
func (s *Supervisor) RespawnSpoolers(reason string) {
	s.post(func() {
		if s.gen == nil || s.phase >= Stopping {
			return
		}
		s.log(slog.LevelInfo, "spooler.reload", "...gracefully replacing spoolers ("+reason+")...")
		s.spool()
	})
}

// spool has the generation in force run jobs.
func (s *Supervisor) spool() {
	if len(s.gen.cfg.Settings.Spoolers) == 0 {
		return
	}
	if err := s.gen.ld.Spool(); err != nil {
		s.fault(err)
	}
}
