package e2e

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// redisSpooling notes what it runs, in a folder of all instances of a test, and whether another
// process runs the same at this moment.
const redisSpooling = `
import fcntl, os, time, uwsgi

HERE = os.environ["HERE"]

def note(text):
    fd = os.open(os.path.join(HERE, "ran"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, text.encode() + b"\n")
    os.close(fd)

def wait(name):
    while not os.path.exists(os.path.join(HERE, "go-" + name)):
        time.sleep(0.01)

def spooler(args):
    name = args[b"n"].decode()
    with open(os.path.join(HERE, "lock-" + name), "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("TWICE " + name)
        if name.startswith("slow"):
            note("begun-%s %d" % (name, os.getpid()))
            wait(name)
        if name.startswith("fork"):  # a child that has all its parent has, and lives on
            if not os.fork():
                f.close()
                wait(name)
                os._exit(0)
            note("begun-%s %d" % (name, os.getpid()))
            wait(name)
        note(name)
    return uwsgi.SPOOL_OK

uwsgi.spooler = spooler

def application(environ, start_response):
    start_response("200 OK", [])
    try:
        uwsgi.spool({b"n": environ["PATH_INFO"].strip("/").encode(), b"body": b"x" * 200000})
    except ValueError:
        return [b"refused"]
    return [b"put"]
`

// spooling is an instance whose jobs are in Redis.
type spooling struct {
	*harness.Server
	t    *testing.T
	site *harness.Client
	here string
	// jobs that a machine which stood still refused, and perhaps kept all the same
	doubtful map[string]bool
}

func startSpooling(t *testing.T, url, here string, args ...string) *spooling {
	t.Helper()
	s, addr := harness.New(t), harness.Addr(t)
	s.Tolerate("OOOPS the spooler") // those that the test kills
	s.Setenv("HERE=" + here)
	s.Write("app.py", redisSpooling)
	s.LooseFDs() // the spooler's processes come after it is ready
	s.Start(append([]string{"--http", addr, "--module", "app", "--spooler", url, "--spooler-frequency", "1"},
		args...)...)
	return &spooling{Server: s, t: t, site: harness.HTTP(t, addr), here: here, doubtful: map[string]bool{}}
}

func (s *spooling) try(n string) string { return s.site.Get("/" + n).Body }

// put puts a job.
func (s *spooling) put(n string) {
	s.t.Helper()
	harness.Eventually(s.t, n+" is put", func() bool {
		if s.try(n) == "put" {
			return true
		}
		s.doubtful[n] = true
		return false
	})
}

// noted is how often a line was noted, and what the last of them has after its first word.
func (s *spooling) noted(word string) (times int, rest string) {
	b, _ := os.ReadFile(s.here + "/ran")
	for line := range strings.Lines(string(b)) {
		if first, after, _ := strings.Cut(strings.TrimSpace(line), " "); first == word {
			times, rest = times+1, after
		}
	}
	return times, rest
}

func (s *spooling) waitNoted(word string, times int) string {
	s.t.Helper()
	harness.Eventually(s.t, word+" is noted", func() bool { n, _ := s.noted(word); return n >= times })
	_, rest := s.noted(word)
	return rest
}

// waitBegun is the process that a job's run so many is begun in.
func (s *spooling) waitBegun(name string, times int) int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.waitNoted("begun-"+name, times))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// release has a slow job end.
func (s *spooling) release(name string) {
	s.t.Helper()
	if err := os.WriteFile(s.here+"/go-"+name, nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *spooling) once(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if n, _ := s.noted(name); n != 1 && !s.doubtful[name] {
			s.t.Errorf("%s ran %d times", name, n)
		}
	}
	if n, which := s.noted("TWICE"); n > 0 {
		s.t.Errorf("%s ran twice at once", which)
	}
}

// agent is the process of an instance that talks to Redis.
func (s *spooling) agent() int {
	for _, pid := range s.Processes() {
		if harness.Comm(pid) == "uwsgi-redis" {
			return pid
		}
	}
	return 0
}

// TestSpoolerInRedis: two instances have the jobs of one spooler; those of a process that dies at
// once are another's, also where a child of it lives on.
func TestSpoolerInRedis(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	url, here := redis.URL(""), t.TempDir()
	a, b := startSpooling(t, url, here), startSpooling(t, url, here)
	a.put("one")
	a.waitNoted("one", 1)
	for _, name := range []string{"slow", "fork"} {
		a.put(name)
		pid := a.waitBegun(name, 1)
		harness.Signal(t, pid, syscall.SIGKILL)
		if again := a.waitBegun(name, 2); again == pid {
			t.Errorf("%s runs in the same process", name)
		}
		a.release(name)
		a.waitNoted(name, 1)
	}
	b.put("last")
	a.waitNoted("last", 1)
	harness.Eventually(t, "no job is left", func() bool { return redis.Do("zcard", "uwsgi:{spool:uwsgi}:all") == "0" })
	a.once("one", "slow", "fork", "last")
}

// TestSpoolerWithoutRedis: another agent takes over what one had in hand that dies. Without Redis
// what cannot be put is refused, and what runs goes on; all of it is done when Redis is back.
func TestSpoolerWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	s := startSpooling(t, redis.URL("lease=1m"), t.TempDir())
	s.put("slow1")
	s.waitBegun("slow1", 1)
	mark := s.Log.Mark()
	harness.Signal(t, s.agent(), syscall.SIGKILL)
	s.Log.WaitFrom(t, mark, `uwsgi-redis is started again in 0s: signal: killed`)
	s.release("slow1")
	s.waitNoted("slow1", 1)
	s.put("slow2")
	s.waitBegun("slow2", 1)
	redis.Kill()
	harness.Eventually(t, "a job is refused", func() bool { return s.try("none") == "refused" })
	s.release("slow2") // it ends while nobody can be told
	s.waitNoted("slow2", 1)
	redis.Start()
	s.put("back")
	s.waitNoted("back", 1)
	s.once("slow1", "slow2")
	saidOnce(t, s.Server)
}

// saidOnce: each time that Redis went away there is one line, and one when it is back.
func saidOnce(t *testing.T, s *harness.Server) {
	t.Helper()
	harness.Eventually(t, "Redis is back", func() bool { return s.Log.Count(`cannot be reached`) == s.Log.Count(`is back`) })
	if n := s.Log.Count(`cannot be reached`); n == 0 {
		t.Error("nobody says that Redis was away")
	}
}

// TestRedisIsMissed: what cannot work is said at the start.
func TestRedisIsMissed(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://h?nonsense=1": "unexpected option: nonsense", "redis://h?lease=1": "lease= is a time", "http://h": "neither a folder nor Redis"} {
		s := harness.New(t)
		s.Write("app.py", redisSpooling)
		out, err := s.Command("--http", harness.Addr(t), "--module", "app", "--spooler", url).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v:\n%s", url, err, out)
		}
	}
}

// TestCacheInRedis: every call answers as on a cache in shared memory, also where one is beside it.
// Nothing is there while Redis is away.
func TestCacheInRedis(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	start := func(main, other string) *harness.Client {
		s, addr := harness.New(t), harness.Addr(t)
		s.Write("app.py", cacheAPI)
		s.Start("--http-socket", addr, "--module", "app", "--queue", "5", "--cache2", "name=main,"+main,
			"--cache2", "name=other,"+other)
		return harness.HTTP(t, addr)
	}
	const memory = "items=100"
	want := strings.Split(start(memory, memory).Get("/calls").Body, "\n")
	both := start("url="+redis.URL("name=1"), "url="+redis.URL("name=1"))
	beside := start("url="+redis.URL("name=2"), memory)
	for name, site := range map[string]*harness.Client{"both": both, "beside": beside} {
		got := strings.Split(site.Get("/calls").Body, "\n")
		for i, line := range want {
			if i >= len(got) || got[i] != line {
				t.Errorf("%s: Redis  %s\nmemory %s", name, got[min(i, len(got)-1)], line)
			}
		}
	}
	if got := redis.Do("--raw", "get", "uwsgi:cache:1:main:import"); got != "early" {
		t.Errorf("at the import main was given %q", got)
	}
	redis.Kill()
	for path, want := range map[string]string{"/?b": "(1, None)", "/set?key": "None", "/inc?n": "None", "/num?n": "0"} {
		if got := both.Get(path).Body; got != want {
			t.Errorf("%s without Redis: %s", path, got)
		}
	}
	redis.Start()
	harness.Eventually(t, "it is there again", func() bool { return both.Get("/set?key").Body == "True" })
	if got := both.Get("/?b").Body; got != "(1, b'2')" {
		t.Error(got)
	}
}

// TestRedisRefusesACache: what Redis will not do is None, and said once; statistics count it, and
// outlive the process that talks to Redis.
func TestRedisRefusesACache(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	start := func(url string) (*harness.Server, *harness.Client) {
		s, addr := harness.New(t), harness.Addr(t)
		s.Write("app.py", cacheAPI)
		s.LooseFDs() // the agent's are opened later
		s.Start("--http-socket", addr, "--module", "app", "--stats", "stats", "--cache2", "name=main,url="+url)
		return s, harness.HTTP(t, addr)
	}
	want := func(site *harness.Client, path, want string) {
		t.Helper()
		if got := site.Get(path).Body; got != want {
			t.Errorf("%s: %s, not %s", path, got, want)
		}
	}
	s, site := start(redis.URL(""))
	redis.Do("lpush", "uwsgi:cache:uwsgi:main:list", "x")
	for range 2 {
		want(site, "/?list", "(1, None)")
		want(site, "/inc?list", "None")
	}
	want(site, "/set?list", "True") // whatever was there
	want(site, "/?list", "(1, b'list')")
	want(site, "/?none", "(1, None)")
	redis.Do("config", "set", "maxmemory", "1")
	want(site, "/set?key", "None")
	redis.Do("config", "set", "maxmemory", "0")
	want(site, "/set?key", "True")
	for _, word := range []string{"WRONGTYPE", "OOM"} {
		s.Log.Wait(t, `\[redis\] unix:.* refuses: `+word)
	}
	if n := s.Log.Count("refuses: "); n != 2 {
		t.Errorf("%d refusals are told", n)
	}
	figures := func() map[string]any {
		return statsOf(t, s.Path("stats"))["caches"].([]any)[0].(map[string]any)
	}
	for range 2 {
		got := figures()
		for key, want := range map[string]any{"name": "main", "hits": 1., "miss": 1., "full": 1., "failed": 5.,
			"url": redis.URL("")} {
			if got[key] != want {
				t.Errorf("%s is %v: %v", key, got[key], got)
			}
		}
		for _, pid := range s.Processes() {
			if harness.Comm(pid) == "uwsgi-redis" {
				harness.Signal(t, pid, syscall.SIGKILL)
			}
		}
	}
	redis.Do("config", "set", "requirepass", "another")
	s, site = start(strings.Replace(redis.URL(""), "://", "://:tooSecret@", 1))
	want(site, "/set?key", "None")
	s.Log.Wait(t, `\[redis\] unix:.* refuses: WRONGPASS`)
	if url := figures()["url"]; s.Log.Count("tooSecret") > 0 || strings.Contains(url.(string), "tooSecret") {
		t.Error("the password is told", url)
	}
}

const clustered = `
import os, uwsgi
from uwsgidecorators import cron

@cron(-1, -1, -1, -1, -1, unique=True)
def tick(number):
    fd = os.open(os.path.join(os.environ["HERE"], "ticks"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"tick\n")
    os.close(fd)

def application(environ, start_response):
    start_response("200 OK", [])
    return [repr(uwsgi.i_am_the_lord("web")).encode()]
`

// TestCluster: of two instances one has a name, the other one after it, whether it stops or dies;
// what is unique is run by one. Without Redis nobody has anything, and the rest goes on.
func TestCluster(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	here := t.TempDir()
	lines := func(name string) []string {
		b, _ := os.ReadFile(here + "/" + name)
		return strings.Fields(string(b))
	}
	first := time.Now().Unix() / 60
	start := func(name string) (*harness.Server, func() string) {
		s, addr := harness.New(t), harness.Addr(t)
		s.Setenv("HERE=" + here)
		s.Write("app.py", clustered)
		s.LooseFDs() // the agent's are opened later
		s.Start("--http", addr, "--module", "app", "--cluster", redis.URL("lease=3s"),
			"--hook-lord", "web exec:echo lord-"+name+" >> "+here+"/hooks",
			"--hook-unlord", "web exec:echo unlord-"+name+" >> "+here+"/hooks",
			"--unique-cron", "-1 -1 -1 -1 -1 echo run >> "+here+"/runs")
		site := harness.HTTP(t, addr)
		return s, func() string { return site.Get("/").Body }
	}
	told := func(word string) bool { return slices.Contains(lines("hooks"), word) }
	a, lordA := start("a")
	harness.Eventually(t, "a is the lord", func() bool { return lordA() == "True" && told("lord-a") })
	b, lordB := start("b")
	harness.Eventually(t, "a is the lord still", func() bool { return lordB() == "False" && lordA() == "True" })
	harness.Eventually(t, "the crons have run", func() bool {
		return len(lines("runs")) > 0 &&
			len(lines("ticks")) > 0
	})
	a.Stop()
	if !told("unlord-a") {
		t.Error("a has stopped, and its hook has not run")
	}
	harness.Eventually(t, "b is the lord", func() bool { return lordB() == "True" && told("lord-b") })
	redis.Kill()
	harness.Eventually(t, "nobody is the lord", func() bool { return lordB() == "False" && told("unlord-b") })
	redis.Start()
	harness.Eventually(t, "b is the lord again", func() bool { return lordB() == "True" })
	most := int(time.Now().Unix()/60 - first + 1)
	for _, name := range []string{"runs", "ticks"} {
		if n := len(lines(name)); n > most {
			t.Errorf("%d %s in %d minutes", n, name, most)
		}
	}
	saidOnce(t, b)
}
