package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// room is more threads than disturb has clients: no connection changes its worker while both live.
const room = "8"

// disturb does something to a server under load. The requests that the deaths hit which it brings
// about may fail, all others may not.
func disturb(t *testing.T, r *rig, fault func(dead *casualties)) {
	t.Helper()
	var dead casualties
	n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+"; }")
	n.Tolerate(dying)
	crowds := []*crowd{traffic(r.addr, "/sleep?s=0.002", "slept\n", 4, true),
		traffic(r.addr, "/sleep?s=0.002", "slept\n", 1, false),
		traffic(n.Addr, "/sleep?s=0.002", "slept\n", 1, true)}
	crowds[2].proxied = true
	for _, c := range crowds {
		c.excuse = dead.explain
	}
	crowds[0].await(t, 100)
	fault(&dead)
	crowds[0].await(t, 500)
	for _, c := range crowds {
		c.end(t)
	}
	if t.Failed() {
		t.Logf("the deaths:\n%s\nand the whole log:\n%s", &dead, r.Log)
	}
}

// dying is what nginx says of workers that die; the crowd tells whether anything else does.
const dying = `upstream prematurely closed connection|Connection reset by peer|Broken pipe`

// kill -9 of a worker in the middle of requests: those it was running are lost, which nothing can
// change, and no other.
func TestKillWorker(t *testing.T) {
	r := start(t, "-p", "2", "--threads", room, "--forkbomb-delay", "0")
	r.Allow(`DAMN ! worker \d+ \(pid: \d+\) died, killed by signal 9`)
	disturb(t, r, func(dead *casualties) {
		for range scale(3, 20) {
			harness.Eventually(t, "two workers", func() bool { return len(r.workers()) == 2 })
			mark := r.Log.Mark()
			victim := r.workers()[0]
			dead.during(func() {
				kill(t, victim)
				harness.Eventually(t, "its end", func() bool { return !harness.Alive(victim) })
			})
			r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
			r.serving(2)
		}
	})
}

// kill -9 of the loader: not one request is lost, a new generation takes over.
func TestKillLoader(t *testing.T) {
	r := start(t, "-p", "2", "--threads", room)
	r.Allow(`^the loader \(pid: \d+\) was killed by signal 9; its workers serve on, a new`)
	disturb(t, r, func(*casualties) {
		for range scale(2, 10) {
			mark := r.Log.Mark()
			kill(t, r.loader())
			r.Log.WaitFrom(t, mark, `^the loader \(pid: \d+\) was killed by signal 9; its workers serve on`)
			r.Log.WaitFrom(t, mark, `^gracefully \(RE\)spawned uWSGI master process`)
		}
	})
}

// kill -9 of the supervisor, whatever its workers are doing: a second later nothing of it runs, and
// what was running has been answered if that took no longer.
func TestKillSupervisor(t *testing.T) {
	for name, c := range map[string]struct {
		busy  string
		args  []string
		allow string
	}{
		"idle":           {"", nil, ""},
		"serving":        {"/sleep?s=0.3", nil, ""},
		"GIL held":       {"/gil", nil, ""},
		"deadlock":       {"/deadlock", nil, ""},
		"with children":  {"/forkbomb?s=3", []string{"--uid", fmt.Sprint(user(0)), "--gid", fmt.Sprint(user(0)), "--limit-nproc", "60"}, ""},
		"lazy-apps":      {"/deadlock", []string{"--lazy-apps"}, ""},
		"cheap, no-work": {"", []string{"--cheap"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, append([]string{"-p", "2", "--threads", "2"}, c.args...)...)
			r.fds = 0
			var asked sync.WaitGroup
			if c.busy != "" {
				running := r.http()
				asked.Go(func() {
					tally.sent.Add(1)
					if a, err := running.Try("GET", c.busy, nil); err == nil && a.Status == 200 {
						tally.right.Add(1)
						return
					}
					tally.onPurpose.Add(1)
					if name == "serving" {
						t.Error("a request of 0.3 s was not answered")
					}
				})
				harness.Eventually(t, "a request under way", func() bool { return connections(r) > 0 })
			}
			if name == "with children" {
				harness.Eventually(t, "children", func() bool { return len(r.Processes()) > 20 })
			}
			lifetime := time.Second
			if name == "with children" {
				lifetime += 3 * time.Second // they are the application's own, and live that long
			}
			killSupervisor(t, r, lifetime)
			asked.Wait()
			r.Exit()
		})
	}
}

// killSupervisor kills the supervisor and waits until nothing of the instance runs, which may last
// no longer than a Python process that is started at the same moment and sleeps for lifetime: a
// loaded machine delays both.
func killSupervisor(t *testing.T, r *rig, lifetime time.Duration) {
	t.Helper()
	peer := exec.Command("/usr/bin/python3", "-c",
		fmt.Sprintf("import socket, time; time.sleep(%v)", lifetime.Seconds()))
	kill(t, r.PID)
	begun := time.Now()
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan time.Duration, 1)
	go func() {
		if err := peer.Wait(); err != nil {
			t.Errorf("the peer: %v", err)
		}
		ended <- time.Since(begun)
	}()
	harness.Eventually(t, "the end of every process", func() bool { return len(r.Processes()) == 0 })
	took, limit := time.Since(begun), <-ended
	t.Logf("everything ended %v later, its peer after %v", took.Round(time.Millisecond), limit.Round(time.Millisecond))
	if took > limit {
		t.Errorf("orphans lived for %v, longer than a process that sleeps for %v, which took %v", took, lifetime, limit)
	}
}

// connections counts what the workers hold open beyond what they began with.
func connections(r *rig) (n int) {
	for _, pid := range r.workers() {
		if more := sockets(pid); more > 0 {
			n += more
		}
	}
	return n
}

// sockets counts the established TCP connections among a process's descriptors.
func sockets(pid int) (n int) {
	inodes := map[string]bool{}
	for _, line := range strings.Split(readFile(fmt.Sprintf("/proc/%d/net/tcp", pid)), "\n") {
		if f := strings.Fields(line); len(f) > 9 && f[3] == "01" {
			inodes["socket:["+f[9]+"]"] = true
		}
	}
	for _, line := range strings.Split(describe(pid), "\n") {
		if _, to, ok := strings.Cut(line, " -> "); ok && inodes[to] {
			n++
		}
	}
	return n
}

func readFile(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// kill -9 of the supervisor while the application is being imported: that loader reads no message,
// and must end all the same.
func TestKillSupervisorDuringImport(t *testing.T) {
	for name, code := range map[string]string{
		"asleep":     "import time\ntime.sleep(3600)\n",
		"GIL held":   "import ctypes\nm = ctypes.create_string_buffer(64)\nfor _ in range(2): ctypes.PyDLL(None).pthread_mutex_lock(m)\n",
		"lazy-apps":  "import time\ntime.sleep(3600)\n",
		"busy":       "while True: pass\n",
		"SIG_IGN":    "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(3600)\n",
		"own thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\ntime.sleep(3600)\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Write("app.py", "open('importing', 'w').close()\n"+code)
			args := []string{"-p", "1"}
			if name == "lazy-apps" {
				args = append(args, "--lazy-apps")
			}
			r.Launch(r.args(args...)...)
			harness.Eventually(t, "the import", func() bool {
				_,
					err := os.Stat(r.Path("importing"))
				return err == nil
			})
			killSupervisor(t, r, time.Second)
			r.Exit()
		})
	}
}

// What kills a worker from inside, while the others serve.
func TestCrashes(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		allow []string
	}{
		"SIGSEGV in an extension":   {"/segv", []string{`DAMN ! worker \d \(pid: \d+\) died, killed by signal 11`, `Fatal Python error: Segmentation fault`, `!!! uWSGI process \d+ got Segmentation Fault !!!`}},
		"os._exit in a view":        {"/_exit", []string{`DAMN ! worker \d \(pid: \d+\) died :\(`}},
		"recursion through C":       {"/recurse-c", []string{`DAMN ! worker \d \(pid: \d+\) died, killed by signal 11`, `Fatal Python error: Segmentation fault`, `!!! uWSGI process \d+ got Segmentation Fault !!!`}},
		"closes every descriptor":   {"/closeall", []string{`DAMN ! worker \d \(pid: \d+\) died`}},
		"exit in a view":            {"/exit", []string{`DAMN ! worker \d \(pid: \d+\) died :\(`}},
		"exit in a view, with code": {"/exit?code=3", []string{`DAMN ! worker \d \(pid: \d+\) died :\(`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "-p", "2", "--threads", room, "--forkbomb-delay", "0")
			r.Allow(c.allow...)
			says := `DAMN !`
			if c.path == "/closeall" {
				says = `the application has closed descriptors that are not its own \(os.closerange\?\), this worker ends`
				r.Tolerate(`^(Fatal Python error: Aborted|fatal error: runtime: netpoll failed)`) // where the Go runtime notices first
			}
			disturb(t, r, func(dead *casualties) {
				for range scale(2, 10) {
					mark := r.Log.Mark()
					dead.during(func() {
						tally.sent.Add(1)
						if a, err := r.http().Try("GET", c.path, nil); err == nil && a.Status != 500 {
							t.Errorf("%s is answered %s", c.path, a.Line)
						}
						tally.onPurpose.Add(1)
						r.Log.WaitFrom(t, mark, says)
						r.Log.WaitFrom(t, mark, `DAMN !`)
					})
					r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
					r.serving(2)
				}
			})
		})
	}
}

// The kernel's OOM killer takes a worker out of a control group that is full.
func TestOutOfMemory(t *testing.T) {
	r := newRig(t)
	newGroup(r, "memory").set(fmt.Sprint(256 << 20))
	r.begin("-p", "2", "--threads", room, "--forkbomb-delay", "0")
	r.Allow(`DAMN ! worker \d \(pid: \d+\) died, killed by signal 9`)
	disturb(t, r, func(dead *casualties) {
		for range scale(2, 10) {
			mark := r.Log.Mark()
			dead.during(func() {
				r.breaks("/memory?n=400")
				r.Log.WaitFrom(t, mark, `DAMN !`)
			})
			r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
		}
	})
	r.serves()
}
