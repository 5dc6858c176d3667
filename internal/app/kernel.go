package app

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// kernelFits says what is missing of the system calls that nothing can be started without:
// processes are watched, signalled and reaped by their pidfds.
func kernelFits() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return unfit("pidfd_open", err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, 0, nil, 0); err != nil {
		return unfit("pidfd_send_signal", err)
	}
	err = unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil)
	if err != nil && err != unix.ECHILD { // we are no child of our own
		return unfit("waitid(P_PIDFD)", err)
	}
	return nil
}

func unfit(call string, err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return fmt.Errorf("%s: %w", call, err)
	}
	return fmt.Errorf("%s: %w: Linux 5.4 or newer is needed, and a sandbox that lets this through (a seccomp profile "+
		"of Docker 20.10 or newer does)", call, err)
}
