package e2e

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// churn works in a cache: each value says whose it is and how long, so that one of another key, or
// a torn one, is seen.
const churn = `
import random
import uwsgi

SHARED = uwsgi.cache_get.__self__

def value(key):
    n = random.randrange(1, 900)
    return (key + ":%d:" % n).encode() + key[-1].encode() * n

def whole(key, got):
    head, n, body = got.split(b":")
    return head == key.encode() and body == key[-1:].encode() * int(n)

def work():
    for _ in range(3000):
        key = "key%d" % random.randrange(60)
        what = random.randrange(10)
        if what < 4:
            uwsgi.cache_update(key, value(key), random.choice((0, 0, 1)))
        elif what == 4:
            uwsgi.cache_del(key)
        elif what == 5:
            uwsgi.cache_inc("count%d" % random.randrange(3))
        else:
            got = uwsgi.cache_get(key)
            if got is not None and not whole(key, got):
                return "torn: %s %r" % (key, got)
    return "whole"

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/sound":
        return [b"%d" % SHARED.cache_sound()]
    return [work().encode()]
`

// TestCacheAmongTheKilled: workers that are killed while they use a cache leave one that is sound,
// and nobody reads what is torn.
func TestCacheAmongTheKilled(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", churn)
	s.LooseFDs() // a worker may be missing in the end
	s.Tolerate(`^DAMN ! worker \d`)
	s.Start("--http-socket", addr, "--module", "app", "--master", "-p", "4", "--stats", "stats",
		"--cache2", "name=churn,items=40,blocksize=256,blocks=100,bitmap=1,purge_lru=1")
	var clients sync.WaitGroup
	var over atomic.Bool
	for range 4 {
		site := harness.HTTP(t, addr)
		clients.Go(func() {
			for !over.Load() {
				// the worker may be killed in the middle of it
				if a, err := site.Try("GET", "/", nil); err == nil && a.Status == 200 && a.Body != "whole" &&
					strings.HasPrefix(a.Body, "torn") {
					t.Error(a.Body)
					return
				}
			}
		})
	}
	for range 12 {
		workers := statsOf(t, s.Path("stats"))["workers"].([]any)
		if pid := int(workers[rand.IntN(len(workers))].(map[string]any)["pid"].(float64)); pid > 0 {
			syscall.Kill(pid, syscall.SIGKILL) // it may have ended by now
			harness.Eventually(t, "it is gone", func() bool { return syscall.Kill(pid, 0) != nil })
		}
	}
	over.Store(true)
	clients.Wait()
	harness.Eventually(t, "a worker that finds the cache sound", func() bool {
		a, err := harness.HTTP(t, addr).Try("GET", "/sound", nil)
		return err == nil && a.Body == "0"
	})
	t.Log(statsOf(t, s.Path("stats"))["caches"])
}

// TestMemoryThatCannotBe: what ends the start only when the memory is made names option, file and
// line, too.
func TestMemoryThatCannotBe(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"cache2 = name=x,items=5,store=/nowhere/store":    "x.ini:2: cache2 = name=x,items=5,store=/nowhere/store: open /nowhere/store: no such file",
		"cache2 = name=x,items=99999999999":               "x.ini:2: cache2 = name=x,items=99999999999: too large",
		"queue = 99999999999999":                          "x.ini:2: queue = 99999999999999: so many messages",
		"queue = 5\nqueue-store = /nowhere/queue":         "x.ini:3: queue-store = /nowhere/queue: open /nowhere/queue: no such file",
		"sharedarea = 999999999999":                       "x.ini:2: sharedarea = 999999999999: 4095999999995904 bytes",
		"sharedarea = size=8192,file=/nowhere/sharedarea": "x.ini:2: sharedarea = size=8192,file=/nowhere/sharedarea: /nowhere/sharedarea: No such file",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Write("app.py", cacheAPI)
			s.Write("x.ini", "[uwsgi]\n"+line+"\n")
			out, err := s.Command("--ini", "x.ini", "--http-socket", harness.Addr(t),
				"--module", "app").CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "Traceback") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
