package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"uwsgi/internal/loader"
	"uwsgi/internal/scoreboard"
)

// oomWatch tells whether the kernel has killed for want of memory lately: how often it has done so,
// in all, a tick ago and the one before. A process that SIGKILL ended meanwhile is most likely the
// one: the kernel does not say which it was.
type oomWatch struct{ now, before int64 }

// sampleOOM takes the next sample.
func (s *Supervisor) sampleOOM() { s.oom.before, s.oom.now = s.oom.now, s.host.OOMKills() }

// outOfMemory reports whether a process that we have not killed was killed for want of memory.
func (s *Supervisor) outOfMemory(e loader.Exit) bool {
	return e.Signal() == syscall.SIGKILL && s.host.OOMKills() > s.oom.before
}

// inHand lists the requests that a process was in, "IP METHOD URI".
func (s *Supervisor) inHand(p *process) []string {
	var out []string
	for c := range p.gen.rows.board.Used(p.row) {
		if cell := p.gen.rows.board.Cell(p.row, c); cell.State.Load() == scoreboard.CellBusy {
			out = append(out, cell.GetSnap())
		}
	}
	return out
}

// killer is what to add to the line of a process that was killed, and to the fields of its entry:
// that the memory was short, and the requests that it was in.
func (s *Supervisor) killer(e loader.Exit, requests []string) (text string, attrs []slog.Attr) {
	if len(requests) > 0 {
		attrs = append(attrs, slog.String(KeyRequest, requests[0]))
	}
	if !s.outOfMemory(e) {
		return "", attrs
	}
	text = " out of memory: the kernel has killed it"
	if n := len(requests); n > 0 {
		text += ", in " + requests[0]
		if n > 1 {
			text += fmt.Sprintf(" and %d more", n-1)
		}
	}
	return text, append(attrs, slog.Bool(KeyOOM, true))
}

// oomCounter reads how often the kernel has killed in this process's memory cgroup: memory.events
// of cgroup v2, memory.oom_control of v1, both of the cgroup as it is seen from here (a container
// sees its own as the root). Without one it is /proc/vmstat, of the whole host. 0 where none of
// them tells.
func oomCounter() func() int64 {
	body, _ := os.ReadFile("/proc/self/cgroup")
	for _, path := range oomFiles(string(body), "/sys/fs/cgroup") {
		if _, ok := oomKills(path); ok {
			return func() int64 {
				n, _ := oomKills(path)
				return n
			}
		}
	}
	return func() int64 { return 0 }
}

// oomFiles are the files that may have the count, the closest one first.
func oomFiles(cgroups, root string) []string {
	var v1, v2 []string
	for line := range strings.Lines(cgroups) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(part) < 3:
		case slices.Contains(strings.Split(part[1], ","), "memory"):
			v1 = append(v1, filepath.Join(root, "memory", part[2], "memory.oom_control"),
				filepath.Join(root, "memory", "memory.oom_control"))
		case part[1] == "":
			v2 = append(v2, filepath.Join(root, part[2], "memory.events"), filepath.Join(root, "memory.events"))
		}
	}
	return append(append(v1, v2...), "/proc/vmstat")
}

// oomKills reads "oom_kill N" of a file.
func oomKills(path string) (int64, bool) {
	body, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(body)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			count, err := strconv.ParseInt(value, 10, 64)
			return count, err == nil
		}
	}
	return 0, false
}
