package chaos

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clock makes the wall clock of a server jump. Where UWSGI_CHAOS_CLOCK says that the machine is ours, it is the machine's own; else that
// of the interpreter and the application: Go reads its clock without the C library.
func clock(t *testing.T, r *rig) (jump func(seconds int64)) {
	t.Helper()
	if os.Getenv("UWSGI_CHAOS_CLOCK") != "" {
		total := int64(0)
		set := func(by int64) {
			var ts unix.Timespec
			unix.ClockGettime(unix.CLOCK_REALTIME, &ts)
			ts.Sec += by
			if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
				t.Fatal(err)
			}
			total += by
		}
		t.Cleanup(func() { set(-total) })
		return func(seconds int64) { set(seconds - total) }
	}
	lib, file := r.Path("clock.so"), r.Write("offset", "\x00\x00\x00\x00\x00\x00\x00\x00")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-o", lib, "testdata/clock.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.Setenv("LD_PRELOAD="+lib, "CHAOS_CLOCK="+file)
	return func(seconds int64) {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Write(binary.NativeEndian.AppendUint64(nil, uint64(seconds)))
	}
}

// The wall clock jumps by a year, forth and back: no deadline comes early or late, nothing is lost, reloads and harakiri go on.
func TestClockJumps(t *testing.T) {
	r := newRig(t)
	jump := clock(t, r)
	r.begin("-p", "2", "--threads", "2", "--harakiri", "2", "--max-worker-lifetime", "3600")
	r.Allow(`HARAKIRI`, `died, killed by signal 9`)
	c := traffic(r.addr, "/sleep?s=0.01", "slept\n", 4, true)
	c.await(t, 100)
	const year = 365 * 24 * 3600
	jumps := []int64{year, -year, 3600, 0}
	for _, by := range jumps[:scale(2, 4)] {
		jump(by)
		now, _ := strconv.ParseFloat(strings.TrimSpace(r.expect(200, "/time", "").Body), 64)
		if off := int64(now) - time.Now().Unix() - by; os.Getenv("UWSGI_CHAOS_CLOCK") == "" && (off < -5 || off > 5) {
			t.Fatalf("the application's clock is off by %d s, not by %d", off+by, by)
		}
		c.await(t, 100)
		begun := time.Now()
		r.answers("/deadlock", 504)
		if took := time.Since(begun); took < 1900*time.Millisecond || took > 10*time.Second {
			t.Errorf("harakiri of 2 s came after %v", took)
		}
		r.Reload()
		c.await(t, 100)
	}
	c.end(t)
	if n := strings.Count(fmt.Sprint(r.Log.Lines(0)), "lifetime reached"); n > 0 {
		t.Errorf("%d lifetimes of an hour were over", n)
	}
}
