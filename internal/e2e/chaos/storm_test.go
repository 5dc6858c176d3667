package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// stormWorkers is how many slots a server in a storm has.
const stormWorkers = 3

// storm is a random series of faults, some of which last while the next ones come.
type storm struct {
	*rig
	dice    *rand.Rand
	trigger string // of touch-reload
	good    string // the application's code
	dead    casualties
	lasting sync.WaitGroup
	done    []string // what was done, and when
	begun   time.Time

	mu         sync.Mutex
	unanswered []failure // requests that a fault was made of
}

// Faults come together, in an order that a seed tells (UWSGI_CHAOS_SEED has one of them again):
// deaths of workers and loaders, reloads of good and of broken code, harakiri, recycling, processes
// that stand still. Afterwards every slot serves, nothing runs that should not, and no request
// failed but those that a death can have hit. The end comes in the middle of a reload, too.
func TestStorm(t *testing.T) {
	seeds := make([]uint64, scale(2, 12))
	for i := range seeds {
		seeds[i] = rand.Uint64N(1 << 32)
	}
	if s := os.Getenv("UWSGI_CHAOS_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed, seed}
	}
	for i, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d, end=%d", seed, i%2), func(t *testing.T) {
			s := newStorm(t, seed)
			s.blow(scale(40, 120))
			s.calm()
			if i%2 == 0 {
				s.endByTerm()
			} else {
				s.endByKill()
			}
		})
	}
}

func newStorm(t *testing.T, seed uint64) *storm {
	r := newRig(t)
	s := &storm{rig: r, dice: rand.New(rand.NewPCG(seed, 0)), trigger: r.Write("trigger", ""),
		good: readFile("testdata/app.py")}
	threads := 16 // more than there are clients: who has a connection is known
	if s.dead.busy = s.dice.IntN(2) == 0; s.dead.busy {
		threads = 2
	}
	args := []string{"-p", strconv.Itoa(stormWorkers), "--threads", strconv.Itoa(threads), "--harakiri", "60",
		"--max-requests", "200", "--min-worker-lifetime", "0",
		"--forkbomb-delay", "0", "--touch-reload", s.trigger, "--master-fifo", r.Path("fifo"), "--stats", r.Path("stats.sock"), "--reload-mercy", "20"}
	if s.dice.IntN(3) == 0 {
		args = append(args, "--lazy-apps")
	}
	r.begin(args...)
	for _, text := range []string{`DAMN !`, `HARAKIRI`, `Fatal Python error|Segmentation fault`, `Traceback[^$]*(ModuleNotFoundError|SystemExit)`, `reload failed`, `unable to load app`, `GAME OVER`,
		`cannot be forked`, `OOPS ! (failed loading app|cannot run)`, `^the loader \(pid: \d+\) was killed by signal 9`} {
		r.Tolerate(text)
	}
	return s
}

// fault is one thing that can happen, and how often it does beside the others.
type fault struct {
	weight int
	name   string
	do     func(*storm)
}

var faults = []fault{
	{4, "kill a worker", (*storm).killWorker},
	{2, "kill a loader", (*storm).killLoader},
	{4, "reload", func(s *storm) { s.Signal(syscall.SIGHUP) }},
	{2, "touch", (*storm).touch},
	{1, "uwsgi.reload()", func(s *storm) { s.ask("/reload", 200) }},
	{2, "chain reload", func(s *storm) { s.fifo("c") }},
	{2, "reload the workers", func(s *storm) { s.fifo("w") }},
	{3, "harakiri", func(s *storm) { s.ask("/deadlock?harakiri=1", 504) }},
	{2, "exit() in a view", func(s *storm) { s.ask("/exit?code=3", 500) }},
	{2, "os._exit() in a view", func(s *storm) { s.die("/_exit") }},
	{2, "SIGSEGV in a view", func(s *storm) { s.die("/segv") }},
	{2, "broken code", (*storm).brokenCode},
	{2, "stand still", (*storm).standStill},
	{2, "a client that vanishes", (*storm).vanish},
}

// toldToLeave reports whether a worker hands its connections on, though it may have requests to
// wait for.
func (s *storm) toldToLeave(pid int) bool {
	told := fmt.Sprintf("(pid: %d)...", pid)
	return slices.ContainsFunc(s.Log.Lines(0), func(line string) bool {
		return strings.HasPrefix(line, "Gracefully killing worker") && strings.HasSuffix(line, told)
	})
}

// blow makes so many faults happen while clients ask.
func (s *storm) blow(count int) {
	s.t.Helper()
	n := harness.StartNginx(s.t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+s.sock+"; }")
	n.Tolerate(dying)
	s.Tolerate(`uWSGI process \d+ got Segmentation Fault`)
	crowds := []*crowd{traffic(s.addr, "/sleep?s=0.002", "slept\n", 4, true),
		traffic(s.addr, "/sleep?s=0.002", "slept\n", 1, false),
		traffic(n.Addr, "/sleep?s=0.002", "slept\n", 1, true)}
	crowds[2].proxied = true
	for _, c := range crowds {
		c.excuse, c.leaving = s.dead.explain, s.toldToLeave
	}
	crowds[0].await(s.t, 100)
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	s.begun = time.Now()
	for range count {
		at := s.dice.IntN(total)
		for _, f := range faults {
			if at -= f.weight; at < 0 {
				s.done = append(s.done, fmt.Sprintf("%v %s", time.Since(s.begun).Round(time.Millisecond), f.name))
				f.do(s)
				break
			}
		}
		time.Sleep(time.Duration(s.dice.IntN(80)) * time.Millisecond) // why: the rhythm of the storm
	}
	s.judge()
	s.code(s.good)
	s.Reload()
	for _, c := range crowds {
		c.await(s.t, 200)
	}
	good, failed := 0, 0
	for _, c := range crowds {
		c.end(s.t)
		good, failed = good+c.good, failed+len(c.failed)
	}
	s.t.Logf("%d faults in %v, %d requests answered, %d hit by a death", count,
		time.Since(s.begun).Round(time.Millisecond), good, failed)
	if s.t.Failed() {
		s.t.Logf("what happened:\n%s\nthe deaths:\n%s\nand the whole log:\n%s",
			strings.Join(s.done, "\n"), &s.dead, s.Log)
	}
}

func (s *storm) pick(pids []int) int {
	if len(pids) == 0 {
		return 0
	}
	return pids[s.dice.IntN(len(pids))]
}

func (s *storm) note(format string, args ...any) {
	s.done = append(s.done, fmt.Sprintf("  "+format, args...))
}

func (s *storm) killWorker() {
	pid := s.pick(s.workers())
	s.note("pid %d", pid)
	if pid != 0 {
		s.dead.during(func() {
			syscall.Kill(pid, syscall.SIGKILL) // it may have ended just now
			soon(func() bool { return !harness.Alive(pid) })
		})
	}
}

func (s *storm) killLoader() {
	// one without workers may be a worker that was orphaned
	if pid := s.pick(s.children(s.PID)); pid != 0 && len(s.children(pid)) > 0 {
		s.note("pid %d", pid)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (s *storm) touch() {
	now := time.Now()
	if err := os.Chtimes(s.trigger, now, now); err != nil {
		s.t.Fatal(err)
	}
}

func (s *storm) fifo(command string) {
	if err := os.WriteFile(s.Path("fifo"), []byte(command), 0); err != nil {
		s.t.Fatal(err)
	}
}

// ask has a request answered with that status, however long it takes, unless a death hits it.
func (s *storm) ask(path string, want int) {
	s.lasting.Go(func() {
		f := failure{since: time.Now()}
		tally.sent.Add(1)
		a, err := s.http().Try("GET", path, nil, "Connection: close")
		f.at, f.err = time.Now(), err
		if err == nil && a.Status == want {
			note(want)
			return
		}
		if f.err = fmt.Errorf("%s: %w, want %d", path, err, want); err == nil {
			f.err, f.pid = fmt.Errorf("%s: %s, want %d", path, a.Line, want), os.Getpid() // no death explains that
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unanswered = append(s.unanswered, f)
	})
}

// judge waits for what lasts and looks at what was not answered.
func (s *storm) judge() {
	s.t.Helper()
	s.lasting.Wait()
	for _, f := range s.unanswered {
		if s.dead.explain(f) {
			tally.onPurpose.Add(1)
			continue
		}
		tally.lost.Add(1)
		s.t.Error(f)
	}
	s.unanswered = nil
}

// die asks for what ends the worker that runs it.
func (s *storm) die(path string) {
	s.lasting.Go(func() {
		s.dead.during(func() {
			tally.sent.Add(1)
			tally.onPurpose.Add(1)
			s.http().Try("GET", path, nil)
		})
	})
}

// brokenCode reloads what cannot be loaded, and the good code a moment later.
func (s *storm) brokenCode() {
	s.code("import nothing_of_that_name\n")
	s.Signal(syscall.SIGHUP)
	time.Sleep(time.Duration(s.dice.IntN(300)) * time.Millisecond) // why: how far the reload comes is chance
	s.code(s.good)
}

// standStill stops a worker or a loader for a moment, as a machine does that has too much to do.
func (s *storm) standStill() {
	pid := s.pick(append(s.children(s.PID), s.workers()...))
	if pid == 0 {
		return
	}
	s.note("pid %d", pid)
	syscall.Kill(pid, syscall.SIGSTOP)
	time.Sleep(time.Duration(s.dice.IntN(200)) * time.Millisecond) // why: so long it stands still
	syscall.Kill(pid, syscall.SIGCONT)
}

// vanish sends half a request and is gone.
func (s *storm) vanish() {
	if c, err := net.Dial("tcp", s.addr); err == nil {
		io.WriteString(c, "POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
		c.Close()
	}
}

// calm checks that the storm has left nothing: every slot serves, and nothing else runs.
func (s *storm) calm() {
	s.t.Helper()
	state := ""
	ok := soon(func() bool {
		ids := s.slots()
		state = fmt.Sprintf("slots and pids %v, workers %v, processes %v", ids, s.workers(), s.Processes())
		if len(ids) != stormWorkers || len(s.workers()) != stormWorkers || len(s.Processes()) != stormWorkers+2 {
			return false
		}
		for n := 1; n <= stormWorkers; n++ {
			if !harness.Alive(ids[n]) || harness.Parent(ids[n]) != s.loader() {
				return false
			}
		}
		return true
	})
	if !ok {
		s.t.Fatalf("after the storm: %s\nwhat happened:\n%s", state, strings.Join(s.done, "\n"))
	}
	s.serves()
}

// slots asks the server which process serves which slot.
func (s *storm) slots() map[int]int {
	var stats struct {
		Workers []struct{ ID, PID int }
	}
	c, err := net.Dial("unix", s.Path("stats.sock"))
	if err != nil {
		return nil
	}
	defer c.Close()
	if err := json.NewDecoder(c).Decode(&stats); err != nil {
		return nil
	}
	ids := map[int]int{}
	for _, w := range stats.Workers {
		if w.PID != 0 {
			ids[w.ID] = w.PID
		}
	}
	return ids
}

// last lets some faults come right before the end.
func (s *storm) last() {
	s.fds = 0
	s.ask("/deadlock?harakiri=1", 504)
	s.killWorker()
	s.Signal(syscall.SIGHUP)
	time.Sleep(time.Duration(s.dice.IntN(400)) * time.Millisecond) // why: how far they come is chance
}

// endByTerm stops the server in the middle of it all.
func (s *storm) endByTerm() {
	s.t.Helper()
	s.last()
	s.Signal(syscall.SIGTERM)
	if code := s.Exit(); code != 0 {
		s.t.Errorf("exit status %d", code)
	}
	s.judge()
	harness.Eventually(s.t, "the end of every process", func() bool { return len(s.Processes()) == 0 })
}

// endByKill kills the supervisor in the middle of it all.
func (s *storm) endByKill() {
	s.t.Helper()
	s.last()
	s.dead.during(func() {
		killSupervisor(s.t, s.rig, time.Second)
		s.Exit()
	})
	s.judge()
}
