package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"uwsgi/internal/loader"
)

// A worker that the kernel has killed for want of memory is told as such, with what it did; one
// that somebody else has killed is not.
func TestOutOfMemory(t *testing.T) {
	r := newRig(t, 1)
	r.set.Threads = 3
	var kills atomic.Int64
	kills.Store(7) // of before
	r.cfg.Host.OOMKills = kills.Load
	r.up()
	r.busy(1, 0, 0)
	r.busy(1, 2, 0)
	r.do(func() { r.sup.sampleOOM(); kills.Add(1) })
	w := func() (w *loader.Worker) { r.do(func() { w = r.sup.gen.slots[0].cur.w }); return }
	w().Kill()
	e := r.wait("worker.died", "killed by signal 9 :( trying respawn ... out of memory: the kernel has killed it, in "+
		"127.0.0.1 GET /sleep and 1 more")
	if !e.attrs[KeyOOM].Bool() || e.attrs[KeyRequest].String() != "127.0.0.1 GET /sleep" {
		t.Errorf("fields %v", e.attrs)
	}
	r.wait("worker.ready", "")
	r.do(func() { r.sup.sampleOOM(); r.sup.sampleOOM() }) // that was a while ago
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV} {
		w().Signal(sig)
		e := r.wait("worker.died", "")
		if _, said := e.attrs[KeyOOM]; said || e.text[len(e.text)-3:] != "..." {
			t.Errorf("%s: %v", e.text, e.attrs)
		}
		r.wait("worker.ready", "")
	}
	r.stop()
}

// Where the count stands: the memory controller of cgroup v1, cgroup v2, as a container sees them,
// too.
func TestOOMFiles(t *testing.T) {
	for name, c := range map[string]struct {
		cgroups string
		files   map[string]string
		want    string
	}{
		"v2": {"0::/system.slice/x.service\n", map[string]string{"system.slice/x.service/memory.events": "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"},
			"system.slice/x.service/memory.events"},
		"container": {"0::/../../x\n", map[string]string{"memory.events": "oom_kill 3\n"}, "memory.events"},
		"v1": {"9:cpu,cpuacct:/\n4:memory:/docker/1\n0::/\n", map[string]string{
			"memory/docker/1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "memory.events": "oom_kill 9\n"},
			"memory/docker/1/memory.oom_control"},
		"v1 in a container": {"4:memory:/docker/1\n", map[string]string{"memory/memory.oom_control": "oom_kill 3\n"}, "memory/memory.oom_control"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			files := oomFiles(c.cgroups, root)
			i := slices.IndexFunc(files, func(path string) bool { _, ok := oomKills(path); return ok })
			if n, _ := oomKills(files[i]); files[i] != filepath.Join(root, c.want) || n != 3 {
				t.Errorf("%d of %s", n, files[i])
			}
		})
	}
}
