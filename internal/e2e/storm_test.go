package e2e

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// gale is an application whose requests raise many signals at once; each handler that ran has left
// a byte in a file.
const gale = `
import os, uwsgi

def ran(num):
    fd = os.open("ran%d" % num, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"x")
    os.close(fd)

uwsgi.register_signal(1, "", ran)
uwsgi.register_signal(2, "mule", ran)
uwsgi.register_signal(3, "workers", ran)

def application(environ, start_response):
    num, count = environ["PATH_INFO"][1:].split("/")
    for _ in range(int(count)):
        uwsgi.signal(int(num))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`

// TestAStormOfSignals: each that is raised runs once, more than anybody's queue holds, though
// workers and mules are replaced meanwhile.
func TestAStormOfSignals(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", gale)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "-p", "2", "--threads", "2", "--mules", "2")
	const many = 700
	for _, n := range []string{"1", "2", "3"} {
		if a := harness.HTTP(t, addr).Get(fmt.Sprintf("/%s/%d", n, many)); a.Status != 200 {
			t.Error(a.Line)
		}
		if n == "1" {
			s.Reload()
		}
	}
	for n, want := range map[int]int{1: many, 2: many, 3: 2 * many} {
		ran := func() int { return sizeOf(s.Path("ran" + strconv.Itoa(n))) }
		harness.Eventually(t, fmt.Sprintf("signal %d runs as often as it was raised", n),
			func() bool { return ran() >= want })
		if got := ran(); got != want {
			t.Errorf("signal %d was raised %d times and ran %d times", n, want, got)
		}
	}
}

// sizeOf is how many bytes a file has, 0 where there is none.
func sizeOf(path string) int {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int(st.Size())
}

// TestSignalsOfADeadMule: what a killed process had not begun runs in another one.
func TestSignalsOfADeadMule(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", gale+`
def held(num):
    print("HELD", uwsgi.mule_id(), os.getpid(), flush=True)
    if not os.path.exists("once"):
        open("once", "w").close()
        import time
        time.sleep(600)

uwsgi.register_signal(4, "mule1", held)
uwsgi.register_signal(5, "mule1", ran)
`)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--mules", "1")
	get := harness.HTTP(t, addr).Get
	get("/4/1")
	pid, err := strconv.Atoi(s.Log.Wait(t, `^HELD 1 (\d+)$`)[1])
	if err != nil {
		t.Fatal(err)
	}
	const many = 200
	get(fmt.Sprintf("/5/%d", many))
	s.Allow(`^OOOPS mule 1 .* killed by signal 9`)
	harness.Signal(t, pid, syscall.SIGKILL)
	ran := func() int { return sizeOf(s.Path("ran5")) }
	harness.Eventually(t, "the next process runs what was raised", func() bool { return ran() >= many })
	if n := s.Log.Count(`^HELD`); ran() != many || n != 1 {
		t.Errorf("%d of %d ran, and what had begun %d times", ran(), many, n)
	}
}
