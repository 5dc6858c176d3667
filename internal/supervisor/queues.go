package supervisor

import (
	"fmt"
	"log/slog"
)

// checkQueues warns, once a second, of a socket whose queue is full: the kernel lets further
// clients wait or turns them away.
func (s *Supervisor) checkQueues() {
	if s.phase != Running && s.phase != Reloading {
		return
	}
	for _, l := range s.cfg.Listeners {
		if l.Queue == nil {
			continue
		}
		if waiting, limit, err := l.Queue(); err == nil && waiting > 0 && waiting >= limit {
			s.log(slog.LevelWarn, "queue.full", fmt.Sprintf("*** uWSGI listen queue of socket %q (fd: %d) full !!! "+
				"(%d/%d) ***", l.Name, l.FD, waiting, limit))
		}
	}
}
