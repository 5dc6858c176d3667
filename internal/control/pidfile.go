package control

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// WritePidfile writes a process id and a newline, mode 0666 less the umask, over what is there.
func WritePidfile(path string, pid int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, werr := fmt.Fprintf(f, "%d\n", pid)
	return errors.Join(werr, f.Close())
}

// ReadPidfile returns the process id in a file. An empty file is an error: taken as 0 it would name every process of the caller's group.
func ReadPidfile(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("pidfile: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return 0, fmt.Errorf("pidfile %s is empty", path)
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("pidfile %s: %.40q is not a process id", path, text)
	}
	return pid, nil
}

// RemovePidfile removes a pidfile that still names pid, and says whether it did.
func RemovePidfile(path string, pid int) bool {
	if have, err := ReadPidfile(path); err != nil || have != pid {
		return false
	}
	return os.Remove(path) == nil
}
