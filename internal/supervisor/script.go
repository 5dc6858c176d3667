package supervisor

import (
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
	"uwsgi/internal/wire"
)

// scriptKind is the script of pyrun, which is worker 1 to itself and to uWSGI's signals: there is
// no other worker then.
var scriptKind = kind{
	name: wire.KindScript, key: KeyWorker, once: true,
	count: func(set *option.Settings) int {
		if set.Pyrun == "" {
			return 0
		}
		return 1
	},
	mercy:    (*option.Settings).Mercy,
	harakiri: func(*option.Settings) time.Duration { return 0 },
	spawned: func(p *attendant) string {
		return fmt.Sprintf("spawned uWSGI worker 1 (and the only) (pid: %d)", p.pid)
	},
	late: func(p *attendant) string { return fmt.Sprintf("*** HARAKIRI ON WORKER 1 (pid: %d) ***", p.pid) },
}

// signalStatus is what a shell adds to the number of the signal that killed a command.
const signalStatus = 128

// scriptEnded ends the instance with the status of its script.
func (s *Supervisor) scriptEnded(p *attendant, exit loader.Exit) {
	switch {
	case exit.Signal() != 0:
		s.code = signalStatus + int(exit.Signal())
		s.logAttendant(slog.LevelError, "script.died", fmt.Sprintf("the script %s was killed by signal %d",
			p.gen.cfg.Settings.Pyrun, int(exit.Signal())), p)
	case exit.Known:
		s.code = exit.Code()
	default:
		s.code = ExitFailed
	}
	if s.phase < Stopping {
		s.stop("the script has ended", true)
	}
}

// scriptErrands are those for a worker where the script of pyrun is the only one.
func scriptErrands(n, number int, nobody error) ([]errand, error) {
	if number > 1 {
		return nil, nobody
	}
	return []errand{{n, number}}, nil
}
