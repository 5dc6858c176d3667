package supervisor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// reapOrphans collects the children that came to us as the reaper of orphans: what an application's
// children leave behind, and workers that a dying loader could not announce. A child that ended is
// ours to collect only if it was there, ended, a tick ago too: whoever started it here (a hook, a
// daemon) waits for it and has long done so by then.
func (s *Supervisor) reapOrphans() {
	known := map[int]bool{}
	for _, g := range s.gens {
		if g.state != dead {
			known[g.ld.PID()] = true
		}
	}
	for _, p := range s.procs {
		known[p.pid] = true
	}
	for _, p := range s.attendants.procs {
		known[p.pid] = true
	}
	seen := map[int]bool{}
	for _, pid := range s.host.Zombies() {
		switch {
		case known[pid]:
		case s.orphans[pid]:
			s.host.Reap(pid)
		default:
			seen[pid] = true
		}
	}
	s.orphans = seen
}

// zombies lists our children that have ended and were not waited for.
func zombies() []int {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil ||
		info.Signo == 0 {
		return nil // the usual case costs one call
	}
	var pids []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, path := range lists {
		body, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(body)) {
			if pid, err := strconv.Atoi(word); err == nil && isZombie(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func isZombie(pid int) bool {
	body, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	text := string(body)
	_, rest, ok := strings.Cut(text[strings.LastIndexByte(text, ')')+1:], " ")
	return ok && strings.HasPrefix(rest, "Z")
}

func reap(pid int) { unix.Wait4(pid, nil, unix.WNOHANG, nil) }
