package app

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"uwsgi/internal/crash"
)

// signals obeys the signals of cli-signals §3, but for SIGTERM, which stops gracefully. They are caught from the moment the instance is
// made: one that comes while the application is imported is kept by the supervisor, not lost.
type signals struct {
	ch   chan os.Signal
	done chan struct{}

	mu   sync.Mutex // guards tied
	tied map[os.Signal]func()
}

// keepHangups has a SIGHUP that comes while the configuration is read wait for its turn; it would end the process. What asks for an end may.
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
	case syscall.SIGINT, syscall.SIGTERM:
		in.sup.Stop(sig.String(), true)
	case syscall.SIGQUIT:
		in.sup.Stop(sig.String(), false)
	case syscall.SIGUSR1:
		crash.Go(in.reportStatus)
	case syscall.SIGTSTP:
		in.sup.TogglePause()
	}
}
