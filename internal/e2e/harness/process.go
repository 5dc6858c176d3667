package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Eventually waits for a condition that nothing announces, such as the end of a process that is not
// our child.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !Within(Patience, cond) {
		t.Fatalf("not within %v: %s", Patience, what)
	}
}

// Within waits for a condition that nothing announces, at most d, and reports whether it came.
func Within(d time.Duration, cond func() bool) bool {
	for end := time.Now().Add(d); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return cond()
		}
	}
	return true
}

// Exists reports whether there is something at a path.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Alive reports whether a process exists and is no zombie.
func Alive(pid int) bool {
	state := ""
	if f := stat(pid); len(f) > 0 {
		state = f[0]
	}
	return state != "" && state != "Z" && state != "X"
}

// Parent is the process's parent.
func Parent(pid int) int {
	if f := stat(pid); len(f) > 1 {
		n, _ := strconv.Atoi(f[1])
		return n
	}
	return 0
}

// stat is /proc/PID/stat from the state on.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// Comm is the name that ps and pkill know a process by.
func Comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

// Memory gives the kilobytes of one line of /proc/PID/status or smaps_rollup, such as VmHWM or Pss.
func Memory(pid int, line string) int {
	for _, file := range []string{"status", "smaps_rollup"} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		for _, l := range strings.Split(string(b), "\n") {
			if rest, ok := strings.CutPrefix(l, line+":"); ok {
				n, _ := strconv.Atoi(strings.Fields(rest)[0])
				return n
			}
		}
	}
	return 0
}

func descriptors(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		to, _ := os.Readlink(dir + "/" + e.Name())
		out = append(out, e.Name()+" -> "+to)
	}
	return out
}

// marked finds the living processes whose environment holds an entry.
func marked(entry string) []int {
	var out []int
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || !d.IsDir() {
			continue
		}
		b, err := os.ReadFile("/proc/" + d.Name() + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, b...), []byte("\x00"+entry+"\x00")) && Alive(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// describe is what ps would say of some processes.
func describe(pids []int) string {
	var b strings.Builder
	for _, pid := range pids {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		fmt.Fprintf(&b, "%d (parent %d, %s): %s\n", pid, Parent(pid), Comm(pid),
			bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
	}
	return b.String()
}

// Signal sends a signal to a process.
func Signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %d to process %d: %v", sig, pid, err)
	}
}
