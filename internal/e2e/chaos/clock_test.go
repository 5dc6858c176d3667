package chaos

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// The wall clock jumps by a year, forth and back, for the supervisor, the loader and the workers,
// for what is Go in them and what is Python: no deadline comes early or never, nothing is lost,
// reloads, harakiri and timeouts go on.
func TestClockJumps(t *testing.T) {
	r := start(t, "-p", "2", "--threads", "2", "--harakiri", "2", "--max-worker-lifetime", "3600",
		"--http-headers-timeout", "2")
	r.Allow(`HARAKIRI`, `died, killed by signal 9`)
	c := traffic(r.addr, "/sleep?s=0.01", "slept\n", 4, true)
	c.await(t, 100)
	const year = 365 * 24 * 3600
	for _, by := range []int64{year, -year, 3600, 0}[:scale(2, 4)] {
		harness.Eventually(t, "nothing but one generation", func() bool { return len(r.Processes()) == 4 })
		begun := harness.Dial(t, r.addr)
		begun.Write([]byte("GET / HTTP/1.1\r\n"))
		mark := r.Log.Mark()
		for _, pid := range r.Processes() {
			jump(t, pid, by)
		}
		off := func(what string, now int64) {
			t.Helper()
			if by := now - time.Now().Unix() - by; by < -5 || by > 5 {
				t.Errorf("the clock of %s is %d s beside the one that it was set to", what, by)
			}
		}
		now, _ := strconv.ParseFloat(strings.TrimSpace(r.expect(200, "/time", "").Body), 64)
		off("the application", int64(now))
		c.await(t, 200) // the data plane looks at the clock ten times a second
		date, _ := time.Parse(time.RFC1123, r.expect(200, "/", "").Header.Get("Date"))
		off("the data plane", date.Unix())
		asked := time.Now()
		r.answers("/deadlock", 504)
		if took := time.Since(asked); took < 1900*time.Millisecond {
			t.Errorf("harakiri of 2 s came after %v", took)
		}
		date, _ = time.ParseInLocation(time.ANSIC, r.Log.WaitFrom(t, mark, `^(.*) - \*\*\* HARAKIRI`)[1], time.Local)
		off("the supervisor", date.Unix())
		if a := harness.Parse(t, begun, "GET"); a.Status != 408 {
			t.Errorf("half a request was answered %s", a.Line)
		}
		tally.sent.Add(1)
		tally.onPurpose.Add(1)
		r.Reload()
		c.await(t, 100)
	}
	c.end(t)
	if n := strings.Count(r.Log.String(), "lifetime reached"); n > 0 {
		t.Errorf("%d lifetimes of an hour were over", n)
	}
}
