package alarm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// watch are the descriptors of alarm-fd, which somebody else made and shares: their mode is left
// alone, so a thread of its own polls them.
type watch struct {
	fds  []watched
	wake *os.File // an eventfd: the end
}

type watched struct {
	option.AlarmFD
	fd int // a copy
}

func (w *watch) open(list []option.AlarmFD) error {
	if len(list) == 0 {
		return nil
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	w.wake = os.NewFile(uintptr(stop), "end of alarm-fd")
	for _, o := range list {
		fd, err := unix.FcntlInt(uintptr(o.FD), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			w.release()
			return option.Wrong("alarm-fd", fmt.Sprintf("%s %d", o.Alarm, o.FD),
				fmt.Errorf("descriptor %d: %w", o.FD, err))
		}
		w.fds = append(w.fds, watched{o, fd})
	}
	return nil
}

// run raises an alarm each time one of them can be read, until close.
func (w *watch) run(raise func(name, message string), say func(string)) {
	defer w.release()
	set := []unix.PollFd{{Fd: int32(w.wake.Fd()), Events: unix.POLLIN}}
	for _, d := range w.fds {
		set = append(set, unix.PollFd{Fd: int32(d.fd), Events: unix.POLLIN})
	}
	for {
		if _, err := unix.Poll(set, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			say("alarm-fd: poll: " + err.Error())
			return
		}
		if set[0].Revents != 0 {
			return
		}
		for i, d := range w.fds {
			if set[i+1].Revents == 0 {
				continue
			}
			n, err := unix.Read(d.fd, make([]byte, d.Bytes))
			switch {
			case err == unix.EAGAIN || err == unix.EINTR: // another one has read it
			case err != nil || n == 0:
				why := "end of file"
				if err != nil {
					why = err.Error()
				}
				say(fmt.Sprintf("alarm-fd: descriptor %d is not watched any more: %s", d.FD, why))
				set[i+1].Fd = -1
			default:
				raise(d.Alarm, d.Message)
			}
		}
	}
}

// close ends run, where that was called.
func (w *watch) close(runs bool) {
	switch {
	case w.wake == nil:
	case runs:
		w.wake.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	default:
		w.release()
	}
}

func (w *watch) release() {
	w.wake.Close()
	for _, d := range w.fds {
		unix.Close(d.fd)
	}
}
