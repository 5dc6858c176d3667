package dataplane

import (
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// With reaper the children that the application left behind are collected once its request is
// answered; without, they are its own affair.
func TestReaper(t *testing.T) {
	for _, on := range []bool{true, false} {
		var forked atomic.Int64
		s := serve(t, config{
			set: func(s *option.Settings) { s.Reaper = on },
			handler: func(x *fakeCall) Outcome {
				if forked.Load() == 0 {
					child, err := syscall.ForkExec("/bin/true", nil, &syscall.ProcAttr{})
					if err != nil {
						t.Error(err)
					}
					forked.Store(int64(child))
					var info unix.Siginfo
					unix.Waitid(unix.P_PID, child, &info, unix.WEXITED|unix.WNOWAIT, nil) // it has ended
				}
				x.start("200 OK")
				return x.reply("ok")
			},
		})
		c := s.dial("http")
		c.get("/")
		c.get("/") // the first is over
		if _, err := unix.Wait4(int(forked.Load()), nil, 0, nil); (err == unix.ECHILD) != on {
			t.Errorf("reaper is %v, wait says %v", on, err)
		}
	}
}
