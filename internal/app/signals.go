package app

import (
	"os"
	"os/signal"
	"syscall"
)

// handleSignals obeys the signals of cli-signals §3, but for SIGTERM, which stops gracefully. They are caught from the first moment
// on: one that comes while the application is imported is kept by the supervisor, not lost.
func (in *instance) handleSignals() (stop func()) {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGTSTP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sig := range ch {
			in.obey(sig)
		}
	}()
	return func() {
		signal.Stop(ch)
		close(ch)
		<-done
	}
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
		go in.reportStatus()
	case syscall.SIGTSTP:
		in.sup.TogglePause()
	}
}
