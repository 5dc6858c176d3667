package loadertest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Hygiene makes the test fail if it ends with a process or a descriptor more than it has now. Call
// it before anything else; what is cleaned up by t.Cleanup after this call is cleaned up before the
// check.
func Hygiene(t testing.TB) {
	t.Helper()
	processes := children()
	files := descriptors()
	t.Cleanup(func() {
		for _, pid := range children() {
			if slices.Contains(processes, pid) {
				continue
			}
			// A child of a child that was killed may still be on its way out; only what stays is a
			// stray.
			if !gone(pid) {
				cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline")
				t.Errorf("process %s is left: %q", pid, cmdline)
			}
		}
		for _, f := range descriptors() {
			if !slices.Contains(files, f) {
				t.Errorf("descriptor left: %s", f)
			}
		}
	})
}

// gone collects a child and reports whether it had ended, or did within a moment.
func gone(pid string) bool {
	n := 0
	for _, c := range pid {
		n = n*10 + int(c-'0')
	}
	fd, err := unix.PidfdOpen(n, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		ended, err := unix.Poll(set, int(5*time.Second/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err != nil || ended == 0 {
			return false
		}
		unix.Wait4(n, nil, unix.WNOHANG, nil)
		return true
	}
}

func children() []string {
	var out []string
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, path := range lists {
		body, _ := os.ReadFile(path)
		out = append(out, strings.Fields(string(body))...)
	}
	return out
}

// descriptors lists what is open, "number target"; what the Go runtime opens for itself when it
// first needs it is left out.
func descriptors() []string {
	var out []string
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.HasPrefix(target, "/proc/") || target == "anon_inode:[eventpoll]" ||
			target == "anon_inode:[eventfd]" {
			continue
		}
		out = append(out, e.Name()+" "+target)
	}
	return out
}
