package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// once puts jobs that run once each, none beside itself.
const once = spoolerApp + `
@spool
def once(args):
    n = args["n"]
    os.mkdir(os.path.join(HERE, "at " + n))
    note("%s once %s pid %d" % (WHO, n, os.getpid()))
    os.rmdir(os.path.join(HERE, "at " + n))

def put(count):
    for n in range(int(count)):
        once(n=str(n))

@spoolraw
def slow(args):
    uwsgi.set_user_harakiri(1)
    note("slow")
    while not os.path.exists(os.path.join(HERE, "free")):
        time.sleep(0.01)
    uwsgi.set_user_harakiri(0)
    return uwsgi.SPOOL_OK
`

// onceSite is a server that puts n of those jobs at /N.
func onceSite(t *testing.T, args ...string) (s *harness.Server, site *harness.Client) {
	t.Helper()
	s = spoolerSite(t)
	s.Write("app.py", strings.Replace(once, `globals()[what]()`, `put(what) if what.isdigit() else globals()[what]()`, 1))
	addr := harness.Addr(t)
	s.Start(append([]string{"--http", addr, "--module", "app", "--master"}, args...)...)
	return s, harness.HTTP(t, addr)
}

func ask(t *testing.T, site *harness.Client, path string) {
	t.Helper()
	if a := site.Get(path); a.Status != http.StatusOK || a.Body != "put" {
		t.Fatalf("%s: %s %q", path, a.Line, a.Body)
	}
}

// ranOnce waits until n jobs have run; who ran them, and in which processes.
func ranOnce(t *testing.T, s *harness.Server, n int) (who, pids []string) {
	t.Helper()
	noJobs(t, s)
	seen := map[string]int{}
	for _, line := range ranJobs(s) {
		var by, number, pid string
		if _, err := fmt.Sscanf(line, "%s once %s pid %s", &by, &number, &pid); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen[number]++
		who, pids = append(who, by), append(pids, pid)
	}
	for i := range n {
		if seen[strconv.Itoa(i)] != 1 {
			t.Errorf("job %d has run %d times", i, seen[strconv.Itoa(i)])
		}
	}
	slices.Sort(who)
	slices.Sort(pids)
	return slices.Compact(who), slices.Compact(pids)
}

// TestSpoolerRecycles: a process is replaced after so many jobs, and that is no death.
func TestSpoolerRecycles(t *testing.T) {
	t.Parallel()
	s, site := onceSite(t, "--spooler", "jobs", "--spooler-max-tasks", "3", "--spooler-frequency", "3600")
	ask(t, site, "/7")
	if _, pids := ranOnce(t, s, 7); len(pids) < 3 {
		t.Errorf("they ran in %q", pids)
	}
	s.Log.Wait(t, `maximum number of tasks reached \(3\) recycling`)
	s.Log.Wait(t, `^spooler 1 \(pid: \d+\) buried after \d+ seconds$`)
}

// TestSpoolerStorm: reload after reload while jobs are put and run loses none and runs none twice.
func TestSpoolerStorm(t *testing.T) {
	t.Parallel()
	s, site := onceSite(t, "--spooler-processes", "2", "--spooler", "jobs", "--spooler-frequency", "1")
	ask(t, site, "/40")
	for range 4 {
		s.Signal(syscall.SIGHUP)
	}
	s.Reload()
	ranOnce(t, s, 40)
}

// TestSpoolerShared: two instances and an uWSGI drain one folder; each job runs once.
func TestSpoolerShared(t *testing.T) {
	t.Parallel()
	s, site := onceSite(t, "--spooler-external", "jobs")
	ask(t, site, "/60")
	other := harness.New(t)
	other.LooseFDs()
	other.Launch("--http", harness.Addr(t), "--master", "--chdir", s.Dir, "--module", "app",
		"--spooler", s.Path("jobs"),
		"--spooler-frequency", "1")
	realUWSGI(t, s, harness.Addr(t), "--spooler", s.Path("jobs"), "--spooler-frequency", "1")
	who, _ := ranOnce(t, s, 60)
	t.Logf("run by %q", who)
	other.Log.Wait(t, `ready: 1 of 1`)
}

// TestSpoolerStats: the statistics say what a process has done and does; a deadline of the job's
// own ends it, and is told.
func TestSpoolerStats(t *testing.T) {
	t.Parallel()
	s, site := onceSite(t, "--spooler", "jobs", "--spooler-external", ".", "--spooler-frequency",
		"1", "--stats", "stats")
	s.Allow(`HARAKIRI ON THE SPOOLER`, `OOOPS the spooler`)
	of := func() []any { return statsOf(t, s.Path("stats"))["spoolers"].([]any) }
	ask(t, site, "/2")
	harness.Eventually(t, "two tasks are done", func() bool {
		x := of()[0].(map[string]any)
		return x["tasks"] == 2. && x["running"] == 0. && x["status"] == "running" && x["pid"].(float64) > 0 &&
			x["dir"] == s.Path("jobs") && x["respawns"] == 0.
	})
	if x := of()[1].(map[string]any); x["dir"] != s.Dir || x["status"] != "external" || x["pid"] != 0. {
		t.Errorf("%v", x)
	}
	ask(t, site, "/slow")
	waitRan(t, s, "slow", 2)
	if err := os.WriteFile(s.Path("free"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	noJobs(t, s)
	harness.Eventually(t, "one respawn", func() bool {
		x := of()[0].(map[string]any)
		return x["respawns"].(float64) >= 1 && x["harakiri_count"].(float64) >= 1
	})
}
