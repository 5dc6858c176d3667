package app

import (
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// Processes and threads, which the kernel counts alike: those of the supervisor and a loader, and
// those of a worker beside one for each of its requests (uwsgi_limits.py, DATA_PLANE).
const (
	ownTasks    = 10
	workerTasks = 12
)

// tasksNote reports whether a limit on processes and threads is too low for the workers that are
// asked for, "" if it is not; hopeless: for this process, too. Go's runtime ends a process that
// gets no thread in the middle of a word, so this is said before.
func tasksNote(s *option.Settings) (note string, hopeless bool) {
	each := workerTasks + max(1, s.Threads)
	need := ownTasks + s.Processes*each
	short, room := "", groupRoom("/proc/self/cgroup", "/sys/fs/cgroup")
	if room < need {
		short = fmt.Sprintf("the pids limit of the control group leaves %d (TasksMax= of the unit, --pids-limit)",
			max(0, room))
	}
	var nproc unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &nproc); err == nil && nproc.Cur < uint64(need) &&
		(os.Geteuid() != 0 || s.UID != "") {
		short, room = fmt.Sprintf("RLIMIT_NPROC of the user is %d (ulimit -u, LimitNPROC=)", nproc.Cur),
			min(room, int(nproc.Cur))
	}
	if short == "" {
		return "", false
	}
	return fmt.Sprintf("too few processes and threads: %s, and %d workers of %d threads need some "+
		"%d with the supervisor's",
		short, s.Processes, each, need), room < ownTasks
}

// groupRoom is how many more processes and threads the control group, and those above it, let there
// be: cgroups(7), of both versions.
func groupRoom(self, root string) int {
	room := math.MaxInt
	text, err := os.ReadFile(self)
	if err != nil {
		return room
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 || f[1] != "" && f[1] != "pids" {
			continue
		}
		for dir := path.Clean(f[2]); ; dir = path.Dir(dir) {
			at := path.Join(root, f[1], dir)
			if most, err := readNumber(at + "/pids.max"); err == nil { // "max" is none
				if now, err := readNumber(at + "/pids.current"); err == nil {
					room = min(room, most-now)
				}
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return room
}

func readNumber(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
