package chaos

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// hosts are two machines' instances of one spooler and one cluster in Redis.
const hosts = `
import fcntl, os, time, uwsgi

HERE = os.environ["HERE"]

def note(text):
    fd = os.open(os.path.join(HERE, "ran"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, text.encode() + b"\n")
    os.close(fd)

def spooler(args):
    name = args[b"n"].decode()
    with open(os.path.join(HERE, "lock-" + name), "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("TWICE " + name)
        note("begun " + name)
        time.sleep(10 if name.startswith("long") else 0.05)
        note("ended " + name)
    return uwsgi.SPOOL_OK

uwsgi.spooler = spooler

def application(environ, start_response):
    start_response("200 OK", [])
    try:
        uwsgi.spool({b"n": environ["PATH_INFO"].strip("/").encode()})
    except ValueError as exc:
        return [str(exc).encode()]
    return [b"put"]
`

var spawned = regexp.MustCompile(`spawned the uWSGI spooler .*\(?pid:? (\d+)`)

// TestRedisPartition: processes, agents and Redis are killed, and one of two hosts is cut off, in
// the middle of jobs: none is lost, and none runs on both at once.
func TestRedisPartition(t *testing.T) {
	if !full {
		t.Skip("it takes a minute: UWSGI_CHAOS=full")
	}
	needs.Root(t)
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	id := os.Getpid() % 60000
	ns, near, far := fmt.Sprint("uwsgi-", id), fmt.Sprint("uwa", id), fmt.Sprint("uwb", id)
	subnet := fmt.Sprintf("10.213.%d.", id%250)
	ip("netns", "add", ns)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", ns)
	ip("address", "add", subnet+"1/24", "dev", near)
	ip("link", "set", near, "up")
	for _, args := range []string{"address add " + subnet + "2/24 dev " + far,
		"link set " + far + " up", "link set lo up"} {
		ip(append([]string{"-n", ns}, strings.Fields(args)...)...)
	}
	_, port, _ := net.SplitHostPort(harness.Addr(t))
	redis := harness.StartRedis(t, "--bind", subnet+"1", "--port", port, "--protected-mode", "no")
	here := t.TempDir()
	url := "redis://" + net.JoinHostPort(subnet+"1", port) + "?lease=5s"
	host := func(under ...string) (*harness.Server, string) {
		s, addr := harness.New(t), harness.Addr(t)
		s.Setenv("HERE=" + here)
		s.Write("app.py", hosts)
		s.Under(under...)
		s.LooseFDs()
		s.Tolerate("OOOPS the spooler") // those that the test kills
		s.Start("--http", addr, "--module", "app", "--spooler-processes", "4", "--spooler", url,
			"--spooler-frequency", "1",
			"--spooler-quiet")
		return s, addr
	}
	a, addr := host()
	b, _ := host("ip", "netns", "exec", ns)
	site := harness.HTTP(t, addr)
	put := map[string]bool{}
	jobs := func(round int) {
		for n := range 8 {
			name := fmt.Sprintf("job-%d-%d", round, n)
			if n < 3 {
				name = "long-" + name
			}
			if site.Get("/"+name).Body == "put" {
				put[name] = true
			}
		}
	}
	agents := func(s *harness.Server) (found []int) {
		for _, pid := range s.Processes() {
			if harness.Comm(pid) == "uwsgi-redis" {
				found = append(found, pid)
			}
		}
		return found
	}
	spoolers := func(s *harness.Server) (found []int) {
		for _, line := range s.Log.Lines(0) {
			if m := spawned.FindStringSubmatch(line); m != nil {
				if pid, _ := strconv.Atoi(m[1]); slices.Contains(s.Processes(), pid) {
					found = append(found, pid)
				}
			}
		}
		return found
	}
	kill := func(pids []int) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	cut := func(d time.Duration) {
		ip("link", "set", near, "down")
		time.Sleep(d) // why: that is how long the fault lasts
		ip("link", "set", near, "up")
	}
	faults := []func(){
		func() { kill(agents(b)) },
		func() { cut(9 * time.Second) },
		func() { kill(spoolers(a)) },
		func() { redis.Kill(); redis.Start() },
		func() { cut(2 * time.Second) },
		func() { kill(append(agents(a), spoolers(b)...)) },
	}
	for round, fault := range faults {
		jobs(round)
		time.Sleep(time.Second) // why: jobs are under way
		fault()
	}
	count := func(word string) map[string]int {
		found := map[string]int{}
		text, _ := os.ReadFile(here + "/ran")
		for line := range strings.Lines(string(text)) {
			if first, name, _ := strings.Cut(strings.TrimSpace(line), " "); first == word {
				found[name]++
			}
		}
		return found
	}
	left := ""
	if !harness.Within(3*time.Minute, func() bool {
		ended := count("ended")
		for name := range put {
			if ended[name] == 0 {
				left = name
				return false
			}
		}
		return redis.Do("zcard", "uwsgi:{spool:uwsgi}:all") == "0"
	}) {
		t.Errorf("jobs are left, such as %s", left)
	}
	for name := range count("TWICE") {
		t.Errorf("%s ran twice at once", name)
	}
	runs := 0
	for _, n := range count("begun") {
		runs += n
	}
	t.Logf("%d jobs were begun %d times", len(put), runs)
}
