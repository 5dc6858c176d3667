package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// cacheAPI answers with what each call gives, a line each.
const cacheAPI = `
import uwsgi
first = uwsgi.cache_set("import", b"early")

def ask(*expressions):
    said = []
    for text in expressions:
        try:
            said.append("%s: %r" % (text, eval(text)))
        except Exception as exc:
            said.append("%s: %s: %s" % (text, type(exc).__name__, "" if isinstance(exc, TypeError) else exc))
    return said

calls = ("first", "uwsgi.cache_get('import')", "uwsgi.cache_get('none')", "uwsgi.cache_set('a', b'1')", "uwsgi.cache_set('a', b'2')", "uwsgi.cache_get('a')",
    "uwsgi.cache_get(b'a')", "uwsgi.cache_update('a', 'text')", "uwsgi.cache_get('a')", "uwsgi.cache_exists('a')", "uwsgi.cache_exists('none')",
    "uwsgi.cache_set('empty', b'')", "uwsgi.cache_get('empty')", "uwsgi.cache_set('large', b'x' * 65537)", "uwsgi.cache_set('block', b'x' * 65536)",
    "len(uwsgi.cache_get('block'))", "uwsgi.cache_set('k' * 3000, b'1')", "uwsgi.cache_del('a')", "uwsgi.cache_del('a')", "uwsgi.cache_get('a')",
    "uwsgi.cache_inc('n')", "uwsgi.cache_num('n')", "uwsgi.cache_inc('n', 41)", "uwsgi.cache_num('n')", "uwsgi.cache_get('n')", "uwsgi.cache_dec('n', 2)",
    "uwsgi.cache_mul('n')", "uwsgi.cache_num('n')", "uwsgi.cache_mul('n', 3)", "uwsgi.cache_div('n')", "uwsgi.cache_num('n')", "uwsgi.cache_div('n', 7)",
    "uwsgi.cache_num('n')", "uwsgi.cache_dec('down')", "uwsgi.cache_num('down')", "uwsgi.cache_num('nothing')", "uwsgi.cache_num('import')",
    "uwsgi.cache_set('b', b'2', 100)", "uwsgi.cache_get('b')", "uwsgi.cache_set('c', b'3', 0, 'other')", "uwsgi.cache_get('c')",
    "uwsgi.cache_get('c', 'other')", "uwsgi.cache_exists('c', 'other')", "uwsgi.cache_get('c', 'nobody')", "uwsgi.cache_set('c', b'3', 0, 'nobody')",
    "uwsgi.cache_keys('other')", "sorted(uwsgi.cache_keys())", "uwsgi.cache_keys('nobody')", "uwsgi.cache_clear('other')", "uwsgi.cache_keys('other')",
    "uwsgi.cache_clear('nobody')", "uwsgi.cache_set()", "uwsgi.cache_get()", "uwsgi.cache_get(5)", "uwsgi.cache_set('a', 5)", "uwsgi.cache_set('a', None)",
    "uwsgi.cache_set('a', True)", "uwsgi.cache_get(None)", "uwsgi.cache_set('z', b'1', 'x')", "uwsgi.cache_set('y', b'1', True)", "uwsgi.cache_set('', b'1')",
    "uwsgi.cache_get('')", "uwsgi.cache_exists('')", "uwsgi.cache_inc('m', 2, 0, 'from')", "uwsgi.cache_num('m', 'from')",
    "uwsgi.cache_inc('m', 2, 0, 'from')", "uwsgi.cache_num('m', 'from')", "uwsgi.cache_mul('p', 3, 0, 'from')",
    "uwsgi.cache_num('p', 'from')", "uwsgi.cache_dec('q', 3, 0, 'from')", "uwsgi.cache_num('q', 'from')", "uwsgi.cache_get('a', 5)",
    "[uwsgi.cache_set(str(i), b'x', 0, 'small') for i in range(3)]", "uwsgi.cache_clear('small')", "uwsgi.cache_set('k', b'x' * 21, 0, 'small')",
    "uwsgi.cache_set('k' * 11, b'x', 0, 'small')", "uwsgi.cache_set('k' * 10, b'x' * 20, 0, 'small')",
    "uwsgi.cache_set('k', b'x' * 18, 0, 'bits')", "uwsgi.cache_set('k', b'x' * 17, 0, 'bits')", "uwsgi.cache_inc('n', 1, 0, 'bits')")

def application(environ, start_response):
    start_response("200 OK", [])
    path, value = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/calls":
        return ["\n".join(ask(*calls)).encode()]
    if path == "/set":
        return [repr(uwsgi.cache_update(value, value.encode())).encode()]
    if path == "/inc":
        return [repr(uwsgi.cache_inc(value)).encode()]
    if path == "/num":
        return [repr(uwsgi.cache_num(value)).encode()]
    return [repr((uwsgi.worker_id(), uwsgi.cache_get(value))).encode()]
`

// TestCacheAnswers: every call answers as uWSGI's, which is asked the same.
func TestCacheAnswers(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", cacheAPI)
	caches := []string{"--cache2", "name=main,items=100", "--cache2", "name=other,items=10",
		"--cache2", "name=from,max_items=10,hash_size=128,key_size=64,math_initial=40,lru=1",
		"--cache2", "name=small,items=3,blocksize=20,keysize=10", "--cache2", "name=bits,items=5,blocks=17,blocksize=1,bitmap=1"}
	s.Start(append([]string{"--http-socket", addr, "--module", "app", "--master", "-p", "1"}, caches...)...)
	ours := harness.HTTP(t, addr).Get("/calls").Body
	if !strings.Contains(ours, "uwsgi.cache_get('import'): b'early'") {
		t.Error(ours)
	}
	if _, err := exec.LookPath("uwsgi-core"); err != nil {
		t.Skip(err)
	}
	addr = harness.Addr(t)
	runOracle(t, s.Dir, append([]string{"--master", "--http-socket", addr, "--module", "app", "-p", "1"}, caches...))
	harness.Eventually(t, "the real uWSGI answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	theirs := harness.HTTP(t, addr).Get("/calls").Body
	differ := strings.Split(theirs, "\n")
	for i, line := range strings.Split(ours, "\n") {
		if i >= len(differ) || line != differ[i] {
			t.Errorf("ours  %s\nuWSGI %s", line, differ[min(i, len(differ)-1)])
		}
	}
}

// TestCacheIsShared: what one worker puts in all have, and a reload leaves it there; counters lose
// nothing, whoever counts.
func TestCacheIsShared(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		t.Run(fmt.Sprintf("lazy=%t", lazy), func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", cacheAPI)
			args := []string{"--http-socket", addr, "--module", "app", "--master", "-p", "4",
				"--cache2", "name=main,items=100"}
			if lazy {
				args = append(args, "--lazy-apps")
			}
			s.Start(args...)
			site := harness.HTTP(t, addr)
			if a := site.Get("/set?key"); a.Body != "True" {
				t.Fatal(a.Body)
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 50 {
						site.Get("/inc?count")
					}
				})
			}
			all.Wait()
			if a := site.Get("/num?count"); a.Body != "400" {
				t.Errorf("400 times counted: %s", a.Body)
			}
			s.Reload()
			if a := site.Get("/?key"); !strings.HasSuffix(a.Body, ", b'key')") {
				t.Errorf("after a reload: %s", a.Body)
			}
			if a := site.Get("/num?count"); a.Body != "400" {
				t.Errorf("after a reload the count is %s", a.Body)
			}
		})
	}
}

// TestCacheStore: a cache with a file is there after the next start.
func TestCacheStore(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", cacheAPI)
	args := []string{"--http-socket", addr, "--module", "app", "--master", "-p", "2", "--cache2",
		"name=main,items=100,store=" + s.Path("store")}
	s.Start(args...)
	harness.HTTP(t, addr).Get("/set?kept")
	s.Stop()
	again := harness.New(t)
	again.Write("app.py", cacheAPI)
	again.Start(args...)
	if a := harness.HTTP(t, addr).Get("/?kept"); !strings.HasSuffix(a.Body, ", b'kept')") {
		t.Errorf("after a restart: %s", a.Body)
	}
}
