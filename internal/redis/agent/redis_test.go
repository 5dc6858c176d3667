package agent

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/redis"
	"uwsgi/internal/testlog"
)

// server of a test: the real thing, on a unix socket.
type real struct {
	t      *testing.T
	socket string
	args   []string
	cmd    *exec.Cmd
}

func startRedis(t *testing.T, args ...string) *real {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server (apt-get install redis-server)")
	}
	dir := testlog.ShortDir(t)
	r := &real{t: t, socket: filepath.Join(dir, "s")}
	r.args = append([]string{"--port", "0", "--unixsocket", r.socket, "--dir", dir, "--save", "",
		"--loglevel", "warning"}, args...)
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *real) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", r.args...)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	within(r.t, "redis-server answers", func() bool {
		conn, err := net.Dial("unix", r.socket)
		if err != nil {
			return false
		}
		defer conn.Close()
		fmt.Fprint(conn, "PING\r\n")
		b := make([]byte, 5)
		n, _ := conn.Read(b)
		return string(b[:n]) == "+PONG"
	})
}

func (r *real) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *real) url() string { return "redis+unix://" + r.socket + "?lease=1s" }

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond) // why: Redis tells nobody
	}
	t.Fatal("it never was so: " + what)
}

// instance is an agent of a host of its own, in this process.
func instance(t *testing.T, owner string) (*agent, *redis.Door) {
	t.Helper()
	door, err := redis.NewDoor()
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent(owner, func(net.Conn) int { return -1 })
	go a.admit(door.Out)
	t.Cleanup(func() { door.In.Close() })
	return a, door
}

func dial(t *testing.T, d *redis.Door) net.Conn {
	t.Helper()
	conn, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func ask(t *testing.T, conn net.Conn, request ...string) []string {
	t.Helper()
	if err := redis.WriteFrame(conn, request...); err != nil {
		t.Fatal(err)
	}
	got, err := redis.ReadFrame(conn)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// claim asks until there is a job.
func claim(t *testing.T, conn net.Conn, url, consumer string) (got []string) {
	t.Helper()
	within(t, "a job for "+consumer, func() bool {
		got = ask(t, conn, "claim", url, consumer)
		return len(got) == 9
	})
	return got
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{"redis://h:1/2": true, "valkey://:pw@h": true, "rediss://h": true,
		"redis+unix:///s?db=3": true, "redis://h?name=a&lease=3s": true, "redis://h?nonsense=1": false,
		"redis://h?lease=1": false, "http://h": false, "redis://h?name={a}": false} {
		if _, _, err := options(address); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestJobs: a job goes one way, through all that can become of it.
func TestJobs(t *testing.T) {
	url := startRedis(t).url()
	_, door := instance(t, "a")
	conn, other := dial(t, door), dial(t, door)
	for _, job := range [][]string{{"last", "", "9"}, {"first", "", "1"}, {"plain", "", ""}} {
		ask(t, conn, "put", url, job[0], "vars", "body", "0", job[2])
		ask(t, conn, "put", url, job[0], "vars", "body", "0", job[2]) // asked again: once all the same
	}
	if got := ask(t, conn, "jobs", url); len(got) != 4 {
		t.Fatal(got)
	}
	for _, want := range []string{"first", "last", "plain"} {
		if got := claim(t, conn, url, "c"); got[1] != want || got[3] != "vars" || got[4] != "body" ||
			got[5] != "0" || got[6] != "0" {
			t.Fatalf("%q, not %s", got, want)
		}
		if got := ask(t, other, "end", url, want, "done", "0", ""); got[0] != "-" {
			t.Fatal("ended by somebody else", got)
		}
		ask(t, conn, "begin", url, want, "1")
	}
	if got := ask(t, other, "claim", url, "d"); len(got) != 2 {
		t.Fatal("one is had twice", got)
	}
	if got := ask(t, other, "drop", url, "first"); got[0] != "-" {
		t.Error("dropped while it runs", got)
	}
	ask(t, conn, "end", url, "first", "done", "0", "")
	ask(t, conn, "end", url, "last", "later", "1", "oops")
	ask(t, conn, "end", url, "plain", "bury", "0", "too often")
	if got := claim(t, conn, url, "c"); got[1] != "last" || got[5] != "1" || got[6] != "0" || got[7] != "oops" {
		t.Errorf("%q", got)
	}
	ask(t, conn, "end", url, "last", "done", "0", "")
	if got := ask(t, conn, "job", url, "plain"); got[1] != "failed" || got[5] != "too often" {
		t.Errorf("%q", got)
	}
	ask(t, conn, "retry", url, "plain")
	if got := claim(t, conn, url, "c"); got[1] != "plain" || got[5] != "0" {
		t.Errorf("%q", got)
	}
	ask(t, conn, "end", url, "plain", "done", "0", "")
	if got := ask(t, conn, "jobs", url); len(got) != 1 {
		t.Error(got)
	}
}

// TestJobOfADeadHost: what a host had in hand that is not there any more is another's.
func TestJobOfADeadHost(t *testing.T) {
	url := startRedis(t).url()
	a, _ := instance(t, "a")
	_, door := instance(t, "b")
	conn := dial(t, door)
	ask(t, conn, "put", url, "job", "v", "b", "0", "")
	// the host: an agent that does not renew, of a process that nobody kills
	c := &client{agent: a, pidfd: -1, held: map[string]*hold{}}
	s, err := a.server(url)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	within(t, "a job", func() bool {
		got, err = claimJob(context.Background(), c, s, []string{"dead"})
		return len(got) == 8
	})
	s.away.Store(true) // it is cut off
	s.Client.Close()
	if got := claim(t, conn, url, "alive"); got[1] != "job" {
		t.Errorf("%q", got)
	}
}

// TestStrangersAreNotKilled: the number of a process that has ended may be another's.
func TestStrangersAreNotKilled(t *testing.T) {
	door, err := redis.NewDoor()
	if err != nil {
		t.Fatal(err)
	}
	defer door.In.Close()
	near, err := door.Dial()
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 2)
	a := newAgent("a", func(conn net.Conn) int { conns <- conn; return peer(conn) })
	go a.admit(door.Out)
	conn := <-conns
	if pidfd := peer(conn); ended(pidfd) {
		t.Error("this process has not ended")
	} else {
		_ = unix.Close(pidfd)
	}
	near.Close()
	if pidfd := peer(conn); pidfd >= 0 {
		t.Error("nobody is at the other end, and yet a process is")
	}
}

// TestNoneIsRunTwice: many take, each job is had once, and each is done.
func TestNoneIsRunTwice(t *testing.T) {
	url := startRedis(t).url()
	const jobs, hosts = 200, 4
	_, first := instance(t, "first")
	conn := dial(t, first)
	for i := range jobs {
		ask(t, conn, "put", url, fmt.Sprint("job", i), "", "", "0", "")
	}
	var mu sync.Mutex
	ran := map[string]int{}
	var wg sync.WaitGroup
	for h := range hosts {
		_, door := instance(t, fmt.Sprint("host", h))
		conn := dial(t, door)
		wg.Go(func() {
			for {
				mu.Lock()
				left := len(ran) < jobs
				mu.Unlock()
				if !left {
					return
				}
				if redis.WriteFrame(conn, "claim", url, fmt.Sprint("c", h)) != nil {
					return
				}
				got, err := redis.ReadFrame(conn)
				if err != nil {
					t.Error(err)
					return
				}
				if len(got) != 9 {
					continue
				}
				mu.Lock()
				ran[got[1]]++
				mu.Unlock()
				_ = redis.WriteFrame(conn, "end", url, got[1], "done", "0", "")
				if got, err := redis.ReadFrame(conn); err != nil || got[0] != "+" {
					t.Error(got, err)
				}
			}
		})
	}
	wg.Wait()
	for name, n := range ran {
		if n != 1 {
			t.Errorf("%s ran %d times", name, n)
		}
	}
}

// TestJobsSurviveRedis: it is killed and comes back with what it had.
func TestJobsSurviveRedis(t *testing.T) {
	r := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	_, door := instance(t, "a")
	conn := dial(t, door)
	for i := range 10 {
		if got := ask(t, conn, "put", r.url(), fmt.Sprint("job", i), "", "", "0", ""); got[0] != "+" {
			t.Fatal(got)
		}
	}
	r.kill()
	if got := ask(t, conn, "put", r.url(), "none", "", "", "0", ""); got[0] != "-" {
		t.Fatal("kept without Redis", got)
	}
	r.start()
	within(t, "it is back", func() bool { return ask(t, conn, "ping", r.url())[0] == "+" })
	seen := map[string]bool{}
	for range 10 {
		got := claim(t, conn, r.url(), "c")
		seen[got[1]] = true
		ask(t, conn, "end", r.url(), got[1], "done", "0", "")
	}
	if len(seen) != 10 {
		t.Error(seen)
	}
}

// TestLeases: one of two holds a name, the other one after it, and never both: not when Redis is
// killed and has forgotten everything, either.
func TestLeases(t *testing.T) {
	r := startRedis(t)
	var conns []net.Conn
	var agents []*agent
	for _, owner := range []string{"a", "b"} {
		a, door := instance(t, owner)
		agents = append(agents, a)
		conns = append(conns, dial(t, door))
	}
	holders := func() (n int, last int) {
		last = -1
		for i, a := range agents {
			a.mu.Lock()
			for _, l := range a.leases {
				if until, _, _ := l.state(); until > redis.Uptime() {
					n, last = n+1, i
				}
			}
			a.mu.Unlock()
		}
		if n > 1 {
			t.Error("both hold it")
		}
		return n, last
	}
	for _, c := range conns {
		ask(t, c, "lord", r.url(), "x")
	}
	within(t, "one holds it", func() bool { n, _ := holders(); return n == 1 })
	for range 2 {
		r.kill()
		within(t, "nobody holds what cannot be renewed", func() bool { n, _ := holders(); return n == 0 })
		r.start()
		within(t, "one holds it again", func() bool { n, _ := holders(); return n == 1 })
		r.kill() // and at once, while it is held
		r.start()
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			holders()
			time.Sleep(time.Millisecond) // why: at no moment of a lease there are two
		}
		within(t, "one holds it at last", func() bool { n, _ := holders(); return n == 1 })
	}
}

// TestCacheAnswers: as uWSGI's, counters in 64 bits.
func TestCacheAnswers(t *testing.T) {
	url := startRedis(t).url()
	_, door := instance(t, "a")
	conn := dial(t, door)
	num := func(n int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	const cache = "we*rd"
	ask(t, conn, "update", url, "weird", "k", "another cache's", "0")
	for _, c := range []struct {
		request []string
		want    []string
	}{
		{[]string{"get", "k"}, nil},
		{[]string{"set", "k", "v\x00", "0"}, []string{"1"}},
		{[]string{"set", "k", "w", "0"}, nil},
		{[]string{"get", "k"}, []string{"v\x00"}},
		{[]string{"exists", "k"}, []string{"1"}},
		{[]string{"arith", "k", "inc", "1", "0"}, nil},
		{[]string{"update", "k", "", "0"}, []string{"1"}},
		{[]string{"get", "k"}, []string{""}},
		{[]string{"arith", "n", "inc", "9007199254740993", "0"}, []string{"1"}},
		{[]string{"arith", "n", "inc", "2", "0"}, []string{"1"}},
		{[]string{"get", "n"}, []string{num(9007199254740995)}},
		{[]string{"arith", "n", "dec", "9007199254740998", "0"}, []string{"1"}},
		{[]string{"arith", "n", "mul", "7", "0"}, []string{"1"}},
		{[]string{"arith", "n", "div", "2", "0"}, []string{"1"}},
		{[]string{"get", "n"}, []string{num(-10)}},
		{[]string{"del", "k"}, []string{"1"}},
		{[]string{"del", "k"}, nil},
		{[]string{"keys"}, []string{"n"}},
		{[]string{"clear"}, []string{"1"}},
		{[]string{"keys"}, nil},
	} {
		got := ask(t, conn, slices.Concat([]string{c.request[0], url, cache}, c.request[1:])...)
		if got[0] != "+" || !slices.Equal(got[1:], c.want) && len(got)+len(c.want) != 1 {
			t.Errorf("%q: %q", c.request, got)
		}
	}
	if got := ask(t, conn, "get", url, "weird", "k"); len(got) != 2 {
		t.Error("another cache was cleared, too", got)
	}
	// an item's lifetime
	ask(t, conn, "set", url, cache, "short", "v", "1")
	within(t, "it expires", func() bool { return len(ask(t, conn, "get", url, cache, "short")) == 1 })
}

// TestAgentIsStartedAgain: what is asked meanwhile waits at the door.
func TestAgentIsStartedAgain(t *testing.T) {
	r := startRedis(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asAgent, "1")
	log := testlog.New()
	a, err := redis.Start(self, nil, log.Add)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	for range 3 {
		conn := dial(t, a.Door)
		if got := ask(t, conn, "ping", r.url()); got[0] != "+" {
			t.Fatal(got)
		}
		a.Kill()
		if _, err := redis.ReadFrame(conn); err == nil {
			t.Fatal("an answer of a dead one")
		}
	}
}

const asAgent = "UWSGI_TEST_AS_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		os.Exit(Serve(os.Args[1:]))
	}
	os.Exit(m.Run())
}
