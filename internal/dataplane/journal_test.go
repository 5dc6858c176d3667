package dataplane

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/wire"
)

// journald listens at path as systemd-journald does.
func journald(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// nextEntry reads one entry whose fields hold no newline.
func nextEntry(t *testing.T, conn *net.UnixConn) map[string]string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	e := map[string]string{}
	for line := range strings.Lines(string(buf[:n])) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		e[name] = value
	}
	return e
}

// Requests are entries with fields; what the journal does not take is counted, and a journal whose
// socket was made anew is found again.
func TestRequestJournal(t *testing.T) {
	dir, err := os.MkdirTemp("", "j")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	checkFDs(t)
	first := journald(t, path)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, config{listen: []string{"http", "uwsgi"}, prepare: func(e *Engine) {
		e.boot.RequestLog, e.boot.Instance = wire.RequestLog{FD: fd, Kind: "journal"}, "shop"
		e.log.open(e)
	}})
	s.exchange("uwsgi", packet("REQUEST_METHOD=GET", "REQUEST_URI=/\nPRIORITY=0", "PATH_INFO=/",
		"REMOTE_ADDR=192.0.2.7"))
	e := nextEntry(t, first)
	for field, want := range map[string]string{"SYSLOG_IDENTIFIER": "uwsgi", "UWSGI_APP": "shop", "UWSGI_WORKER": "1",
		"PRIORITY": "6", "STATUS": "200",
		"REQUEST_METHOD": "GET", "REQUEST_URI": "/?PRIORITY=0", "REMOTE_ADDR": "192.0.2.7", "MESSAGE": `GET /\x0aPRIORITY=0 200 7`} {
		if e[field] != want {
			t.Errorf("%s=%q, want %q", field, e[field], want)
		}
	}
	first.Close()
	s.dial("http").get("/lost")
	s.expectRequests(2)
	for deadline := time.Now().Add(patience); s.eng.row.LogLost.Load() == 0 && time.Now().Before(deadline); {
		unix.Poll(nil, 1)
	}
	os.Remove(path)
	second := journald(t, path)
	s.dial("http").get("/again")
	if e := nextEntry(t, second); e["REQUEST_URI"] != "/again" {
		t.Errorf("%q", e)
	}
	if n := s.eng.row.LogLost.Load(); n != 1 {
		t.Errorf("%d are lost", n)
	}
}

// A journal that is stuck is waited for a few times, and then no more until it takes entries again.
func TestRequestJournalStuck(t *testing.T) {
	dir, err := os.MkdirTemp("", "j")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := journald(t, filepath.Join(dir, "socket"))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, "socket")}); err != nil {
		t.Fatal(err)
	}
	const wait = 20 * time.Millisecond
	tv := unix.NsecToTimeval(int64(wait))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	l := &requestLog{}
	sent := 0
	for l.send(fd, []byte("MESSAGE=x\n")) {
		sent++
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin, slept := time.Now(), sleeps(t)
	for range 10 * vainWaits {
		if l.send(fd, []byte("MESSAGE=x\n")) {
			t.Fatal("a full socket took an entry")
		}
	}
	if took, n := time.Since(begin), sleeps(t)-slept; took < (vainWaits-1)*wait || n > 5*vainWaits {
		t.Errorf("it waited %v, %d times", took, n)
	}
	for range sent {
		nextEntry(t, d)
	}
	if !l.send(fd, []byte("MESSAGE=y\n")) || l.vain.Load() != 0 {
		t.Error("an empty socket took nothing")
	}
}

// Where a log file stands beside the journal the supervisor gets the entry, line and fields, and
// hands it on.
func TestRequestEntry(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	s := serve(t, config{listen: []string{"http"}, prepare: func(e *Engine) {
		e.boot.RequestLog, e.boot.Instance = wire.RequestLog{FD: fds[1], Kind: "entry"}, "shop"
		e.log.open(e)
	}})
	for _, path := range []string{"/one", "/two"} { // the buffers are used again
		s.dial("http").get(path)
		buf := make([]byte, 64<<10)
		n, err := unix.Read(fds[0], buf)
		if err != nil {
			t.Fatal(err)
		}
		got := string(buf[:n])
		for _, want := range []string{"\nMESSAGE=GET " + path + " 200 ", "\nSTATUS=200\n",
			"\nREQUEST_URI=" + path + "\n", "UWSGI_APP=shop\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q lacks %q", got, want)
			}
		}
	}
}

// sleeps is how often this thread has waited for anything.
func sleeps(t *testing.T) int64 {
	t.Helper()
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &use); err != nil {
		t.Fatal(err)
	}
	return use.Nvcsw
}
