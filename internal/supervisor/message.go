package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Errors of Reload.
var (
	ErrStopping = errors.New("the instance is stopping")
	ErrStopped  = errors.New("the instance has ended")
)

// Reload brings up a new generation and takes the old one out of service. It returns nil once the
// new one serves, or why it does not; the old one serves on then. Requests during a reload are
// answered by the one that follows it. If ctx ends first the reload goes on.
func (s *Supervisor) Reload(ctx context.Context, reason string) error {
	return s.reloadAndWait(ctx, reason, false)
}

// BrutalReload is Reload, but the old workers are killed in the middle of what they do once the new
// ones serve.
func (s *Supervisor) BrutalReload(ctx context.Context, reason string) error {
	return s.reloadAndWait(ctx, reason, true)
}

func (s *Supervisor) reloadAndWait(ctx context.Context, reason string, brutal bool) error {
	reply := make(chan error, 1)
	if !s.post(func() { s.reload(reason, brutal, reply) }) {
		return ErrStopped
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		select {
		case err := <-reply:
			return err
		default:
			return ErrStopped // by a panic
		}
	}
}

// Stop ends the instance: gracefully, requests may finish within the mercy, else at once. Any Stop
// after the first one is at once.
func (s *Supervisor) Stop(reason string, graceful bool) {
	s.post(func() { s.stop(reason, graceful) })
}

// Shutdown is a graceful Stop after shutdown-delay: up to then the instance serves on, but counts
// as stopping and asks its clients to go. The next Shutdown or Stop ends the delay.
func (s *Supervisor) Shutdown(reason string) {
	s.post(func() {
		if !s.close(reason) {
			s.stop(reason, true)
		}
	})
}

// ReloadWorkers replaces all workers by fresh forks of the same loader; the application is imported
// again only with lazy-apps. Not graceful: the old ones are killed first.
func (s *Supervisor) ReloadWorkers(reason string, graceful bool) {
	s.post(func() { s.restartWorkers(reason, graceful) })
}

// Tick has the schedule looked at now: there is something new in it.
func (s *Supervisor) Tick() { s.post(s.tickSchedule) }

// ReloadMules replaces all mules by fresh forks of the same loader, each once it is done with its
// message.
func (s *Supervisor) ReloadMules(reason string) { s.post(func() { s.reloadKind(&muleKind, reason) }) }

// ReloadSpoolers replaces the processes of the spooler, each once it is done with its job.
func (s *Supervisor) ReloadSpoolers(reason string) {
	s.post(func() { s.reloadKind(&spoolerKind, reason) })
}

// ChainReload replaces the workers one after another.
func (s *Supervisor) ChainReload(reason string) { s.post(func() { s.chainReload(reason) }) }

// TogglePause pauses all workers, or resumes them.
func (s *Supervisor) TogglePause() { s.post(s.togglePause) }

// Cheaper adds one worker (+1) or takes one away (-1), within cheaper and processes.
func (s *Supervisor) Cheaper(delta int) { s.post(func() { s.adjust(delta) }) }

// Sleep stops all workers until the next connection, as cheap does at start.
func (s *Supervisor) Sleep(reason string) { s.post(func() { s.sleep(reason) }) }

// ReopenRequestLog makes all workers, and those to come, write request lines to f, which stays the
// caller's and may be closed afterwards; nil makes them reopen what they write to.
func (s *Supervisor) ReopenRequestLog(f *os.File) error {
	ours, err := duplicate(f)
	if err != nil {
		return fmt.Errorf("reopen the request log: %w", err)
	}
	if !s.call(func() { s.reopenRequestLog(ours) }) && ours != nil {
		ours.Close()
	}
	return nil
}

// Snapshot is the state of the instance.
func (s *Supervisor) Snapshot() Status {
	var st Status
	if s.call(func() { st = s.snapshot() }) {
		return st
	}
	<-s.done
	return s.last
}

// call has the loop do something and waits for it.
func (s *Supervisor) call(do func()) bool {
	finished := make(chan struct{})
	if !s.post(func() { do(); close(finished) }) {
		return false
	}
	select {
	case <-finished:
		return true
	case <-s.closed: // it panicked, or whoever came after it did
		select {
		case <-finished:
			return true
		default:
			return false
		}
	}
}
