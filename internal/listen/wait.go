package listen

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
)

// Wait returns when a connection is waiting on one of the sockets, or ctx is done: what `cheap` and `idle` sleep on. Nothing is accepted.
func (s *Set) Wait(ctx context.Context) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("wait for a connection: eventfd: %w", err)
	}
	defer unix.Close(wake)
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, crash.Guarded(func() {
		defer close(told)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}))
	defer func() {
		if !stop() { // it runs: wake must outlive it
			<-told
		}
	}()
	fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}
	for _, k := range s.Sockets {
		fds = append(fds, unix.PollFd{Fd: int32(k.FD()), Events: unix.POLLIN})
	}
	for {
		_, err := unix.Poll(fds, -1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for a connection: poll: %w", err)
		}
		return nil
	}
}
