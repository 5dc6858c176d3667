package loader

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errForged marks a process that is not the loader's to name.
var errForged = errors.New("it is not")

// openWorker opens the process that the loader says it has forked. Only under a pidfd of our own is
// it certain which process a number means: what was read of it before the pidfd says that it has
// not been reaped is its own.
func (l *Loader) openWorker(pid int) (*process, error) {
	p, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return endedProcess(pid), nil // its exit is on the way
	}
	if err != nil {
		return nil, err
	}
	err = l.identify(pid)
	if p.reaped() {
		p.close()
		return endedProcess(pid), nil
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// identify makes sure that a process is a child of the loader's with the application's user.
func (l *Loader) identify(pid int) error {
	parent, uids, err := status(pid)
	if err != nil {
		if os.Geteuid() != 0 {
			return nil // hidepid: what we may not even look at is beyond us as it is beyond the application
		}
		return err
	}
	if parent != l.process.pid && (parent != os.Getpid() || !l.process.ended()) { // children of a dead loader are ours
		return fmt.Errorf("%w: its parent is process %d", errForged, parent)
	}
	if c := l.credential; c != nil && slices.ContainsFunc(uids, func(uid uint32) bool { return uid != c.Uid }) {
		return fmt.Errorf("%w: its uids are %d", errForged, uids)
	}
	return nil
}

// status reads a process's parent and its uids: real, effective, saved and that of files (proc(5)).
func status(pid int) (parent int, uids []uint32, err error) {
	path := "/proc/" + strconv.Itoa(pid) + "/status"
	body, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "PPid":
			parent, err = strconv.Atoi(strings.TrimSpace(value))
		case "Uid":
			for _, word := range strings.Fields(value) {
				var uid uint64
				if uid, err = strconv.ParseUint(word, 10, 32); err == nil {
					uids = append(uids, uint32(uid))
				}
			}
		}
		if err != nil {
			return 0, nil, fmt.Errorf("read %s: %q: %w", path, line, err)
		}
	}
	if parent == 0 && uids == nil {
		return 0, nil, fmt.Errorf("read %s: no PPid and no Uid", path)
	}
	return parent, uids, nil
}
