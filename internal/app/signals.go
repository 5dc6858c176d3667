package app

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
)

// signals obeys the signals of cli-signals §3, but for SIGTERM, which stops gracefully. They are
// caught from the moment the instance is made: one that comes while the application is imported is
// kept by the supervisor, not lost.
type signals struct {
	ch   chan os.Signal
	done chan struct{}

	mu   sync.Mutex // guards tied
	tied map[os.Signal]func()
}

// keepHangups queues a SIGHUP that arrives while the configuration is read; its default action
// would end the process. SIGTERM and SIGINT keep theirs.
func keepHangups() chan os.Signal {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, syscall.SIGHUP)
	return ch
}

// handleSignals makes them; ch has those that came before. Nothing is obeyed before serve.
func handleSignals(ch chan os.Signal) *signals {
	s := &signals{ch: ch, done: make(chan struct{}), tied: map[os.Signal]func(){}}
	signal.Notify(s.ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGTSTP)
	signal.Ignore(syscall.SIGPIPE)
	return s
}

// tie has a signal do something else from now on.
func (s *signals) tie(sig os.Signal, act func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tied[sig] = act
	signal.Notify(s.ch, sig)
}

// serve obeys until stop, those that came before too.
func (s *signals) serve(act func(os.Signal)) {
	defer close(s.done)
	for sig := range s.ch {
		s.mu.Lock()
		tied := s.tied[sig]
		s.mu.Unlock()
		if tied != nil {
			tied()
			continue
		}
		act(sig)
	}
}

func (s *signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
	<-s.done
}

func (in *instance) obey(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		in.reload("SIGHUP")()
	case syscall.SIGINT:
		if terminal(in.std.In) { // ^C: who sits there does not wait for a load balancer
			in.sup.Stop(sig.String(), true)
			return
		}
		in.sup.Shutdown(sig.String()) // uwsgi --stop
	case syscall.SIGTERM:
		in.sup.Shutdown(sig.String())
	case syscall.SIGQUIT:
		in.sup.Stop(sig.String(), false)
	case syscall.SIGUSR1:
		crash.Go(in.reportStatus)
	case syscall.SIGTSTP:
		in.sup.TogglePause()
	}
}

// containerStop is how long a stop may take in a container: `docker stop` sends SIGKILL after ten
// seconds, where nobody said otherwise.
const containerStop = 10 * time.Second

// stopWithin is after how long a stop kills what it still waits for: what graceful-timeout says or,
// as PID 1 without a terminal and where no mercy was chosen, what a container has; 0 = nothing but
// the mercy.
func stopWithin(s *option.Settings, pid int, terminal bool) time.Duration {
	chosen := s.ReloadMercy > 0 || s.WorkerReloadMercy != option.Default().WorkerReloadMercy
	if s.GracefulTimeout == 0 && pid == 1 && !terminal && !chosen {
		return containerStop
	}
	return s.GracefulTimeout
}

// terminal reports whether somebody can type ^C there.
func terminal(f *os.File) bool {
	if f == nil {
		return false
	}
	raw, err := f.SyscallConn() // not f.Fd: that may change the mode of a socket that others share
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) { _, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	return err == nil
}
