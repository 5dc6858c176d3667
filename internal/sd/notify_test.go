package sd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// notifySocket is a fake service manager.
func notifySocket(t *testing.T, name string) (string, func() string) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return name, func() string {
		t.Helper()
		buf := make([]byte, 4096)
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwsgi-sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(shortDir(t), "notify"),
		fmt.Sprintf("@uwsgi-notify-test-%d", os.Getpid())} {
		socket, next := notifySocket(t, name)
		n, err := NewNotifier(socket)
		if err != nil {
			t.Fatal(err)
		}
		n.now = func() uint64 { return 123456 }
		for _, c := range []struct {
			do   func() error
			want string
		}{
			{func() error { return n.Ready("2 idle\nREADY=0\x00") }, "READY=1\nSTATUS=2 idle READY=0 "},
			{func() error { return n.Ready("") }, "READY=1"},
			{func() error { return n.Reloading("reload") }, "RELOADING=1\nMONOTONIC_USEC=123456\nSTATUS=reload"},
			{func() error { return n.Stopping("bye") }, "STOPPING=1\nSTATUS=bye"},
			{func() error { return n.Status("x") }, "STATUS=x"},
			{func() error { return n.Failed("no app", 2) }, "STATUS=no app\nERRNO=2"},
			{n.Watchdog, "WATCHDOG=1"},
			{func() error { return n.ExtendTimeout(1500 * time.Millisecond) }, "EXTEND_TIMEOUT_USEC=1500000"},
		} {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			if got := next(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Status("after the end"); err != nil {
			t.Error(err)
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	n, err := NewNotifier("")
	if err != nil || n.Enabled() || n.Ready("x") != nil || n.Reloading("x") != nil || n.Close() != nil {
		t.Error("a notifier without a socket is not silent", err)
	}
	var none *Notifier
	if none.Enabled() || none.Watchdog() != nil || none.Close() != nil {
		t.Error("a nil notifier is not silent")
	}
	if _, err := NewNotifier("vsock:1:2"); err == nil {
		t.Error("vsock: no error")
	}
	if _, err := NewNotifier("/no/such/socket"); err == nil ||
		!strings.Contains(err.Error(), "NOTIFY_SOCKET=/no/such/socket") {
		t.Error(err)
	}
}

func TestNotifySocketMadeAnew(t *testing.T) {
	name := filepath.Join(shortDir(t), "n")
	first, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNotifier(name)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	first.Close()
	os.Remove(name)
	_, next := notifySocket(t, name)
	if err := n.Watchdog(); err != nil || next() != "WATCHDOG=1" {
		t.Error(err)
	}
}

func TestMonotonic(t *testing.T) {
	a := monotonicUsec()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	if b := uint64(ts.Nano()) / 1000; a == 0 || b < a || b-a > 10e6 {
		t.Error(a, b)
	}
}

func FuzzNotifyField(f *testing.F) {
	f.Add("a\nREADY=1")
	f.Fuzz(func(t *testing.T, value string) {
		got := field("STATUS", value)
		if (got == "") != (value == "") || strings.ContainsAny(got, "\n\x00\r") {
			t.Errorf("%q", got)
		}
	})
}

func TestWatchdogInterval(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		err       bool
	}{
		{"", "", 0, false}, {"", "7", 0, false}, {"30000000", "", 15 * time.Second, false}, {"30000000", "7", 15 * time.Second, false},
		{"30000000", "8", 0, false}, {"0", "", 0, true}, {"-1", "", 0, true}, {"x", "", 0, true}, {"1", "x", 0, true},
		{"99999999999999999999", "", 0, true}, {"9223372036854775807", "", 0, true},
	} {
		env := map[string]string{"WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}
		got, err := WatchdogInterval(func(k string) string { return env[k] }, 7)
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestJournalStream(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var st unix.Stat_t
	if err := unix.Fstat(fds[1], &st); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for value, want := range map[string]bool{own: true, "": false, "1:2": false, "x:y": false,
		fmt.Sprintf("%d", st.Dev): false} {
		if got := JournalStream(value, fds[1]); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if JournalStream(own, 999) {
		t.Error("a closed descriptor is the journal's")
	}
}

func TestUnit(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/system-uwsgi.slice/uwsgi@mysite.service\n":            "uwsgi@mysite.service",
		"0::/system.slice/uwsgi.service/workers\n":                              "uwsgi.service",
		"12:pids:/x\n1:name=systemd:/user.slice/user-0.slice/session-2.scope\n": "session-2.scope",
		"0::/\n": "",
		"4:memory:/system.slice/other.service\n0::/user.slice\n": "",
		"": "",
	} {
		if got := Unit(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
