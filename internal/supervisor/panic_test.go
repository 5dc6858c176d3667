package supervisor

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
)

// A panic of the loop is told with its stack, kills the loader and the workers, and lets nobody
// wait: not Run, and not those who ask.
func TestPanicOfTheLoop(t *testing.T) {
	for name, cause := range map[string]func(r *rig, armed *atomic.Bool){
		"timer": func(r *rig, armed *atomic.Bool) { armed.Store(true) },
		"message": func(r *rig, _ *atomic.Bool) {
			if r.sup.call(func() { panic("injected") }) {
				r.Error("a call that panicked was carried out")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, "ignores-drain")
			var armed atomic.Bool
			now := r.cfg.Host.Monotonic
			r.cfg.Host.Monotonic = func() int64 {
				if armed.Load() {
					panic("injected")
				}
				return now()
			}
			doomed := make(chan string, 1)
			r.cfg.Host.Crash = func(text string) { doomed <- text }
			r.up()
			var watched []int
			for _, pid := range append(r.pids(), r.sup.Snapshot().LoaderPID) {
				fd, err := unix.PidfdOpen(pid, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fd)
				watched = append(watched, fd)
			}
			cause(r, &armed)
			r.exit(crash.Status)
			if text := <-doomed; !strings.Contains(text, "injected") {
				t.Errorf("the end is for %q", text)
			}
			if i := r.logged("panic", "panic: injected"); i < 0 ||
				!strings.Contains(r.seen[i].text, "supervisor.(*Supervisor).Run") {
				t.Error("no panic with its stack in the log")
			}
			for _, fd := range watched {
				for {
					n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}},
						int(patience.Milliseconds()))
					if err == unix.EINTR {
						continue
					}
					if n != 1 {
						t.Errorf("a process lives: %v", err)
					}
					break
				}
			}
			if st := r.sup.Snapshot(); st.Phase != Stopped {
				t.Errorf("phase %s", st.Phase)
			}
			if err := r.sup.Reload(context.Background(), "test"); !errors.Is(err, ErrStopped) {
				t.Errorf("reload: %v", err)
			}
			r.sup.Stop("test", true)
			for _, g := range r.sup.gens { // what the end of the process does
				g.ld.Wait()
			}
			r.sup.closeShared()
		})
	}
}
