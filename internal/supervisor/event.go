package supervisor

import (
	"log/slog"
	"strings"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/wire"
)

// sameRequest is how close together several workers' wishes for a reload mean the same: each of
// them saw what it is about. py-autoreload names the change.
const sameRequest = 2 * time.Second

// handle handles what a loader or a worker did.
func (s *Supervisor) handle(e loader.Event) {
	if len(s.attendants.procs) > 0 && s.ofAttendant(e) {
		return
	}
	switch e := e.(type) {
	case loader.Loaded:
		s.imported(e)
	case loader.Failed:
		s.unloadable(e)
	case loader.LoaderGone:
		s.loaderGone(e)
	case loader.Forked:
		s.forked(e)
	case loader.ForkFailed:
		s.notForked(e)
	case loader.WorkerReady:
		s.ready(e)
	case loader.WorkerLoaded:
		s.workerImported(e)
	case loader.WorkerFailed:
		s.incapable(e)
	case loader.WorkerRecycle:
		if p := s.procs[e.Worker]; p != nil {
			s.recycleProcess(p, e.Reason)
		}
	case loader.WorkerAsks:
		s.asked(e)
	case loader.WorkerDeadline:
		s.harakiriSoon()
	case loader.WorkerAnswered:
		if p := s.procs[e.Worker]; p != nil {
			s.answered(p)
		}
	case loader.WorkerGone:
		s.gone(e)
	case loader.Told:
		s.told(e)
	case loader.Log:
		s.relay(e)
	}
}

// asked obeys uwsgi.reload() and uwsgi.stop(). Ignored from a worker that is being retired. Not
// from one that still starts: it may already serve, and py-autoreload reports a change only once.
func (s *Supervisor) asked(e loader.WorkerAsks) {
	if p := s.procs[e.Worker]; p != nil && p.state <= serving {
		s.askedBy(p.gen, e)
	}
}

// askedBy is asked for a process of that generation.
func (s *Supervisor) askedBy(g *generation, e loader.WorkerAsks) {
	coming := s.rollout != nil && s.rollout.gen == g
	if g != s.gen && !coming {
		return
	}
	if e.What == wire.OpStop {
		s.stop("uwsgi.stop()", true)
		return
	}
	reason := e.Reason
	if change := strings.HasPrefix(reason, "py-autoreload: "); change && reason == s.change {
		return
	} else if change {
		s.change = reason
	} else if reason = "uwsgi.reload()"; s.rollout != nil && !coming && time.Since(s.rollout.began) < sameRequest {
		return
	}
	s.reload(reason, false, nil)
}

// relay writes a line of a loader or worker to the server log.
func (s *Supervisor) relay(e loader.Log) {
	level := levelOf(e.Level)
	if p := s.procs[e.Worker]; p != nil {
		s.logProcess(level, "worker.log", e.Message, p)
		return
	}
	s.log(level, "loader.log", e.Message, slog.Int(KeyGeneration, e.Loader.Generation))
}

func levelOf(word string) slog.Level {
	switch word {
	case "debug":
		return slog.LevelDebug
	case "warning":
		return slog.LevelWarn
	case "error", "critical":
		return slog.LevelError
	}
	return slog.LevelInfo
}
