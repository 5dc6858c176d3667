// Package sys is what several packages ask of the kernel in the same way: the clock that all
// processes of an instance share, a process's memory and CPU time, the descriptors beside a
// message, memory to share, threads to have.
package sys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Go's reading of CLOCK_MONOTONIC, which takes no system call, counts from an origin of its own.
// The order of the two makes Monotonic late by an instant, never early.
var (
	clockOrigin = func() int64 {
		var ts unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		return ts.Nano()
	}()
	clockStart = time.Now()
)

// Monotonic is CLOCK_MONOTONIC in ns: the scoreboard's clock, and systemd's in MONOTONIC_USEC=.
func Monotonic() int64 { return clockOrigin + int64(time.Since(clockStart)) }

// Memory is the resident size and the address space of a process in bytes (proc(5), statm); pid 0
// is this one.
func Memory(pid int) (rss, vsz int64, err error) {
	path := "/proc/self/statm"
	if pid != 0 {
		path = "/proc/" + strconv.Itoa(pid) + "/statm"
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var buf [128]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, 0, &os.PathError{Op: "read", Path: path, Err: err}
	}
	pages, ok := statm(buf[:n])
	if !ok {
		return 0, 0, fmt.Errorf("read %s: %q", path, buf[:n])
	}
	size := int64(os.Getpagesize())
	return pages[1] * size, pages[0] * size, nil
}

// statm reads the first two numbers of a line: pages of the address space, and of what is resident.
func statm(line []byte) (pages [2]int64, ok bool) {
	field, digits := 0, 0
	for _, b := range line {
		switch {
		case b >= '0' && b <= '9':
			pages[field] = pages[field]*10 + int64(b-'0')
			digits++
		case b == ' ' && digits > 0 && field == 0:
			field, digits = 1, 0
		default:
			return pages, b == ' ' && digits > 0
		}
	}
	return pages, field == 1 && digits > 0
}

// tick is the unit of times in proc(5): USER_HZ is 100 on every architecture that Go has.
const tick = 10 * time.Millisecond

// MainThread is how long a process's first thread was on a CPU, to 10 ms (proc(5), stat).
func MainThread(pid int) (time.Duration, error) {
	name := strconv.Itoa(pid)
	path := "/proc/" + name + "/task/" + name + "/stat"
	line, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(line[bytes.LastIndexByte(line, ')')+1:]), " ")
	f := strings.Fields(rest) // from the third field on
	if len(f) < 13 {
		return 0, fmt.Errorf("read %s: %q", path, line)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return time.Duration(user+system) * tick, nil
}

// Descriptors are those that came beside a message (SCM_RIGHTS).
func Descriptors(oob []byte) []int {
	var all []int
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for i := range msgs {
		fds, _ := unix.ParseUnixRights(&msgs[i])
		all = append(all, fds...)
	}
	return all
}
