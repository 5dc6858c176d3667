package chaos

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// group is a control group of our own.
type group struct {
	t            *testing.T
	dir          string
	limit, usage string // files
}

// newGroup makes one for a controller; a server is started in it.
func newGroup(r *rig, controller string) *group {
	r.t.Helper()
	g := &group{t: r.t, dir: fmt.Sprintf("/sys/fs/cgroup/%s/uwsgi-chaos-%d", controller, os.Getpid()),
		limit: controller + ".max", usage: controller + ".current"}
	switch {
	case harness.Exists("/sys/fs/cgroup/cgroup.controllers"): // the unified hierarchy
		g.dir = fmt.Sprintf("/sys/fs/cgroup/uwsgi-chaos-%d", os.Getpid())
		os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+"+controller), 0o644)
	case controller == "memory":
		g.limit, g.usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if !soon(func() bool { err := syscall.Rmdir(g.dir); return err == nil }) {
			r.t.Errorf("%s cannot be removed", g.dir)
		}
	})
	r.Under("/bin/sh", "-c", `echo $$ >`+g.dir+`/cgroup.procs && exec "$0" "$@"`)
	return g
}

// set limits what the group may have.
func (g *group) set(limit string) {
	g.t.Helper()
	if err := os.WriteFile(g.dir+"/"+g.limit, []byte(limit), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// now is what it has.
func (g *group) now() string { return strings.TrimSpace(readFile(g.dir + "/" + g.usage)) }

// The unit has as many tasks as it may (TasksMax=), the supervisor's own threads among them: a
// reload fails and says why, what serves serves on, and the next reload works once there is room.
func TestNoTasksLeft(t *testing.T) {
	r := newRig(t)
	g := newGroup(r, "pids")
	r.begin("-p", "2", "--threads", "2")
	r.Allow(`reload failed: .*[Rr]esource temporarily unavailable.*; the old generation serves on`)
	r.Tolerate(`worker \d cannot be forked: fork: Resource temporarily unavailable`) // where the loader itself still found room
	crowds := []*crowd{traffic(r.addr, "/", "hello\n", 2, true), traffic(r.addr, "/", "hello\n", 1, false)}
	crowds[0].await(t, 100)
	for range scale(3, 20) {
		g.set(g.now())
		mark := r.Log.Mark()
		r.Signal(syscall.SIGHUP)
		r.Log.WaitFrom(t, mark, `^reload failed`)
		crowds[0].await(t, 200)
		if status := r.upload(3 << 20); status != 200 {
			t.Errorf("a large body: %d", status)
		}
		note(200)
		g.set("max")
		r.Reload()
		harness.Eventually(t, "the end of the old generation", func() bool { return len(r.Processes()) == 4 })
	}
	for _, c := range crowds {
		c.await(t, 100)
		c.end(t)
	}
}
