package sd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// Inherited is one descriptor that systemd passed: sd_listen_fds_with_names(3).
type Inherited struct {
	File *os.File // close-on-exec
	Name string   // FileDescriptorName= of the socket unit; "" where systemd gave none
}

// maxActivation bounds LISTEN_FDS: no socket unit passes more descriptors than a process may hold
// by default.
const maxActivation = 1024

// Activation returns the descriptors that systemd passed to this process and takes LISTEN_PID,
// LISTEN_FDS and LISTEN_FDNAMES out of the environment. Nothing passed, or passed to another
// process (LISTEN_PID): no descriptors and no error. Variables that do not parse are an error,
// because the sockets they stand for would be lost in silence.
func Activation() ([]Inherited, error) {
	names, err := parseActivation(os.Getenv, os.Getpid())
	if err != nil {
		return nil, err
	}
	if names == nil {
		for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			os.Unsetenv(v)
		}
		return nil, nil
	}
	for i := range names {
		if _, err := fcntl(3+i, syscall.F_GETFD); err != nil {
			return nil, fmt.Errorf("LISTEN_FDS=%d: descriptor %d: %w", len(names), 3+i, err)
		}
		// A nonblocking descriptor would join the runtime's poller and wake this process for each
		// connection.
		if err := syscall.SetNonblock(3+i, false); err != nil {
			return nil, fmt.Errorf("LISTEN_FDS=%d: descriptor %d: %w", len(names), 3+i, err)
		}
	}
	files := activation.Files(true)
	if len(files) != len(names) {
		return nil, fmt.Errorf("LISTEN_FDS=%d but %d descriptors taken", len(names), len(files))
	}
	in := make([]Inherited, len(files))
	for i, f := range files {
		in[i] = Inherited{File: f, Name: names[i]}
	}
	return in, nil
}

// parseActivation returns one name a descriptor, nil when nothing was passed to process pid.
func parseActivation(getenv func(string) string, pid int) ([]string, error) {
	count := getenv("LISTEN_FDS")
	if count == "" {
		return nil, nil
	}
	owner, err := strconv.Atoi(getenv("LISTEN_PID"))
	if err != nil || owner <= 0 {
		return nil, fmt.Errorf("LISTEN_PID=%q is not a process id", getenv("LISTEN_PID"))
	}
	if owner != pid {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxActivation {
		return nil, fmt.Errorf("LISTEN_FDS=%q is not a number of descriptors", count)
	}
	if n == 0 {
		return nil, nil
	}
	names := make([]string, n)
	given := getenv("LISTEN_FDNAMES")
	if given == "" {
		return names, nil
	}
	parts := strings.Split(given, ":")
	if len(parts) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES=%q names %d descriptors, LISTEN_FDS=%d", given, len(parts), n)
	}
	for i, p := range parts {
		if p != "unknown" { // what systemd writes for "no name": sd_listen_fds(3)
			names[i] = p
		}
	}
	return names, nil
}

func fcntl(fd, cmd int) (int, error) {
	r, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), uintptr(cmd), 0)
	if e != 0 {
		return 0, e
	}
	return int(r), nil
}
