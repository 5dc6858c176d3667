package option

import "time"

// StopMargin is what a stop may take beyond the workers' mercy: atexit handlers, and the
// supervisor's own end.
const StopMargin = 15 * time.Second

// LastMercy is how long the last of the instance's processes may take to finish at a stop.
func (s *Settings) LastMercy() time.Duration {
	if len(s.Mules) > 0 {
		return max(s.Mercy(), s.MuleReloadMercy)
	}
	return s.Mercy()
}

// Mercy is how long a worker that leaves may take to finish: worker-reload-mercy, and no longer
// than reload-mercy gives the whole, where that is set.
func (s *Settings) Mercy() time.Duration {
	m := s.WorkerReloadMercy
	if m <= 0 {
		m = time.Minute
	}
	if whole := s.ReloadMercy; whole > 0 {
		m = min(m, whole)
	}
	return m
}
