package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// services is an application whose requests put messages for mules and a farm, and jobs. What has
// run of them leaves a line in a file.
const services = `
import os, time, uwsgi
from uwsgidecorators import timer

HERE = os.getcwd()

def ran(name):
    time.sleep(0.002)
    fd = os.open(os.path.join(HERE, "ran"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, name + b"\n")
    os.close(fd)

def spooler(args):
    ran(args[b"n"])
    return uwsgi.SPOOL_OK

uwsgi.spooler = spooler
uwsgi.mule_msg_hook = ran

@timer(1)
def tick(num):
    print("TICK", flush=True)

@timer(1, target="mule")
def mule_tick(num):
    print("MULE TICK", flush=True)

def application(environ, start_response):
    start_response("200 OK", [])
    what, name = environ["PATH_INFO"][1:].split("/")
    name = name.encode()
    try:
        done = {"any": lambda: uwsgi.mule_msg(name, 0), "one": lambda: uwsgi.mule_msg(name, 1),
            "farm": lambda: uwsgi.mule_msg(name, b"f"), "job": lambda: uwsgi.spool({b"n": name})}[what]()
    except ValueError as exc:
        done = False
    return [b"put" if done else b"refused"]
`

// processesOf are the ids that the statistics have of workers, mules and the spooler.
func (r *rig) processesOf() map[string][]int {
	var doc map[string]json.RawMessage
	found := map[string][]int{}
	c, err := net.Dial("unix", r.Path("stats.sock"))
	if err != nil {
		return nil
	}
	defer c.Close()
	if json.NewDecoder(c).Decode(&doc) != nil {
		return nil
	}
	for _, kind := range []string{"workers", "mules", "spoolers"} {
		var list []struct{ PID int }
		if json.Unmarshal(doc[kind], &list) != nil {
			return nil
		}
		for _, one := range list {
			if one.PID > 0 && harness.Alive(one.PID) {
				found[kind] = append(found[kind], one.PID)
			}
		}
	}
	return found
}

// TestServicesStorm: processes of every kind are killed, and all is reloaded again and again, while
// messages and jobs are put: what was acknowledged runs, twice only where a death can be why, and
// timers go on.
func TestServicesStorm(t *testing.T) {
	seed := rand.Uint64N(1 << 32)
	if text := os.Getenv("UWSGI_CHAOS_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	dice := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t)
	r.Write("app.py", services)
	for _, text := range []string{`DAMN !`, `OOOPS (mule|the spooler)`, `^the loader \(pid: \d+\) was killed by signal 9`,
		`cannot be forked`, `^reload failed: .*was killed by signal 9`} {
		r.Tolerate(text)
	}
	touched := []string{r.Write("t-mules", ""), r.Write("t-spoolers", ""), r.Write("t-workers", "")}
	r.Write("jobs/.keep", "")
	r.LooseFDs() // mules and the spooler's processes come after it is ready
	r.begin("-p", "2", "--threads", "2", "--mules", "3", "--farm", "f:2,3", "--spooler-processes",
		"2", "--spooler", "jobs",
		"--spooler-frequency", "1", "--spooler-quiet", "--forkbomb-delay", "0", "--min-worker-lifetime", "0", "--stats", r.Path("stats.sock"),
		"--touch-mules-reload", touched[0], "--touch-spoolers-reload", touched[1], "--touch-workers-reload", touched[2])
	r.fds = 0

	acknowledged, done, dead, sent := map[string]bool{}, []string{}, 0, 0
	put := func(what string) {
		sent++
		name := fmt.Sprintf("%s-%d", what, sent)
		tally.sent.Add(1)
		a, err := r.http().Try("GET", "/"+what+"/"+name, nil, "Connection: close")
		if err == nil && a.Body == "put" {
			acknowledged[name] = true
			note(200)
		} else {
			tally.onPurpose.Add(1)
		}
	}
	kill := func(kind string) {
		if pids := r.processesOf()[kind]; len(pids) > 0 {
			dead++
			_ = syscall.Kill(pids[dice.IntN(len(pids))], syscall.SIGKILL)
		}
	}
	storms := []struct {
		name string
		do   func()
	}{
		{"kill a worker", func() { kill("workers") }},
		{"kill a mule", func() { kill("mules") }},
		{"kill a mule", func() { kill("mules") }},
		{"kill one of the spooler", func() { kill("spoolers") }},
		{"kill one of the spooler", func() { kill("spoolers") }},
		{"kill the loader", func() {
			if pid := r.loader(); pid != 0 && len(r.children(pid)) > 0 {
				dead++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}},
		{"reload", func() { r.Signal(syscall.SIGHUP) }},
		{"touch", func() {
			now := time.Now()
			_ = os.Chtimes(touched[dice.IntN(len(touched))], now, now)
		}},
	}
	for range scale(25, 150) {
		for _, what := range []string{"any", "one", "farm", "job", "job"} {
			put(what)
		}
		f := storms[dice.IntN(len(storms))]
		done = append(done, f.name)
		f.do()
	}
	r.Reload()
	mark := r.Log.Mark()
	ran := func() map[string]int {
		times := map[string]int{}
		text, _ := os.ReadFile(r.Path("ran"))
		for _, name := range strings.Fields(string(text)) {
			times[name]++
		}
		return times
	}
	left := ""
	if !harness.Within(time.Minute, func() bool {
		times := ran()
		for name := range acknowledged {
			if times[name] == 0 {
				left = name
				return false
			}
		}
		return true
	}) {
		t.Errorf("what was acknowledged does not run, such as %s", left)
	}
	again := 0
	for _, n := range ran() {
		again += n - 1
	}
	if again > dead {
		t.Errorf("%d processes were killed, and %d ran twice", dead, again)
	}
	r.Log.WaitFrom(t, mark, `^TICK$`)
	r.Log.WaitFrom(t, mark, `^MULE TICK$`)
	if !soon(func() bool {
		now := r.processesOf()
		return len(now["workers"]) == 2 && len(now["mules"]) == 3 &&
			len(now["spoolers"]) == 2 && len(r.Processes()) == 9
	}) {
		t.Errorf("after the storm: %v of %v", r.processesOf(), r.Processes())
	}
	t.Logf("seed %d: %d were put, %d killed, %d ran twice", seed, len(acknowledged), dead, again)
	if t.Failed() {
		t.Logf("what happened: %s\n%s", strings.Join(done, ", "), r.Log)
	}
}
