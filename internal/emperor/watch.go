package emperor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
)

// watch tells of changes in the folders of the sources: inotify(7). The zero watch tells nothing.
type watch struct {
	changes <-chan struct{}
	dirs    []string
	file    *os.File
}

// settle is how long a change may take: an editor writes, renames and removes in one go.
const settle = 50 * time.Millisecond

func newWatch(sources []string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return &watch{}, fmt.Errorf("inotify: %w", err)
	}
	w := &watch{file: os.NewFile(uintptr(fd), "inotify")}
	for _, s := range sources {
		dir, err := filepath.Abs(strings.TrimPrefix(strings.TrimPrefix(s, "dir://"), "glob://"))
		if err != nil {
			continue
		}
		if strings.ContainsAny(filepath.Base(dir), "*?[") {
			dir = filepath.Dir(dir)
		}
		w.dirs = append(w.dirs, dir)
	}
	w.refresh()
	changes := make(chan struct{}, 1)
	w.changes = changes
	crash.Go(func() { w.read(changes) })
	return w, nil
}

// refresh watches folders that were not there before; one that is watched stays so.
func (w *watch) refresh() {
	if w.file == nil {
		return
	}
	conn, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) {
		for _, d := range w.dirs {
			_, _ = unix.InotifyAddWatch(int(fd), d,
				unix.IN_CLOSE_WRITE|unix.IN_ATTRIB|unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_FROM|
					unix.IN_MOVED_TO|unix.IN_ONLYDIR)
		}
	})
}

// read ends when the file is closed.
func (w *watch) read(changes chan<- struct{}) {
	buf := make([]byte, 16<<10)
	for {
		if _, err := w.file.Read(buf); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return
		}
		time.Sleep(settle)
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}

func (w *watch) close() {
	if w.file != nil {
		w.file.Close()
	}
}
