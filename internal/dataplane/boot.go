package dataplane

import (
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/wire"
)

// warmUp makes the Go runtime open its epoll set and timers now. Later there may be no descriptor
// left, and the runtime would abort the worker.
func warmUp() error {
	if err := room(2); err != nil {
		return err
	}
	time.AfterFunc(time.Hour, func() {}).Stop() // timers wait on an epoll set and an eventfd of the runtime's own
	_, _ = time.Now().Zone()                    // the time zone's file
	return nil
}

// room returns an error unless so many descriptors can be had.
func room(descriptors int) error {
	for range descriptors {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("eventfd: %w (max-fd, or LimitNOFILE= of the unit)", err)
		}
		defer unix.Close(fd)
	}
	return nil
}

func readBoot(fd int) (*wire.Boot, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("boot: fstat: %w", err)
	}
	buf := make([]byte, st.Size)
	if n, err := unix.Pread(fd, buf, 0); err != nil || n != len(buf) {
		return nil, fmt.Errorf("boot: read %d of %d bytes: %w", n, len(buf), err)
	}
	b := &wire.Boot{}
	if err := json.Unmarshal(buf, b); err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	if b.Settings == nil {
		return nil, fmt.Errorf("boot: no settings")
	}
	return b, nil
}
