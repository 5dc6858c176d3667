package dataplane

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
	"uwsgi/internal/wire"
)

// stderrLog is where the data plane's own messages go during the tests.
var stderrLog *os.File

func TestMain(m *testing.M) {
	f, err := os.CreateTemp("", "dataplane-stderr-")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	stderrLog = f
	os.Stderr = f
	net.Dial("unix", "/nowhere") // the runtime's own epoll descriptor is there before anything is counted
	code := m.Run()
	if code != 0 {
		b, _ := os.ReadFile(procFD(int(f.Fd())))
		fmt.Printf("--- messages of the data plane ---\n%s", tail(b, 8192))
	}
	os.Exit(code)
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// messages gives what the data plane has said since mark.
func messages(t *testing.T, mark int64) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(stderrLog.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, st.Size-mark)
	stderrLog.ReadAt(b, mark)
	return string(b)
}

func mark(t *testing.T) int64 {
	t.Helper()
	st, err := stderrLog.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// server is one engine with its cores, on sockets of its own.
type server struct {
	t       *testing.T
	eng     *Engine
	app     *fakeApp
	board   *scoreboard.Board
	control int // the supervisor's end
	log     *os.File
	addrs   map[string]string // protocol → address
	cores   sync.WaitGroup
	codes   chan int
	stopped bool
}

// config is what a test changes of the defaults.
type config struct {
	set     func(s *option.Settings)
	handler func(x *fakeCall) Outcome
	mounts  []string
	serving Serving             // default: threads
	run     func(s *server) int // serves where there is a loop
	unix    bool                // unix sockets, not TCP
	listen  []string            // protocols; default http
	share   *server             // the listening sockets and the handoff pair are this server's
	handoff [2]int              // 0: none
	prepare func(e *Engine)     // before its cores run
	starts  bool                // the supervisor has not told it to serve
}

const patience = 20 * time.Second // after which a test that waits for an event fails

// checked names the test whose descriptors are being counted.
var checked string

// checkFDs fails the test if there are more descriptors when it has ended, and cleaned up, than
// now. Only its first call counts.
func checkFDs(t *testing.T) {
	t.Helper()
	if checked == t.Name() {
		return
	}
	outer := checked
	checked = t.Name()
	before := countFDs(t)
	t.Cleanup(func() {
		checked = outer
		if after := countFDs(t); after != before {
			t.Errorf("%d descriptors before, %d after: %v", before, after, descriptors())
		}
	})
}

func countFDs(t *testing.T) int {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}

// serve starts an engine; it is stopped, and its descriptors are counted, when the test ends.
func serve(t *testing.T, cfg config) *server {
	t.Helper()
	checkFDs(t)
	s := &server{t: t, addrs: map[string]string{}, codes: make(chan int, 64)}
	settings := option.Default()
	settings.LogFormat = "%(method) %(uri) %(status) %(rsize)"
	if cfg.set != nil {
		cfg.set(settings)
	}
	b := wire.Boot{Settings: settings, HandoffFD: cfg.handoff[0], HandoffInFD: cfg.handoff[1]}
	var err error
	if s.board, err = scoreboard.New(4, max(settings.Threads, cfg.serving.Exchanges)); err != nil {
		t.Fatal(err)
	}
	b.ScoreboardFD = s.board.FD()
	if s.log, err = os.CreateTemp(t.TempDir(), "requests"); err != nil {
		t.Fatal(err)
	}
	b.RequestLog = wire.RequestLog{FD: int(s.log.Fd()), Kind: "stream"}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.control = pair[0]
	var sockets []*os.File
	if cfg.share != nil {
		b.Listeners = cfg.share.eng.boot.Listeners
		s.addrs = cfg.share.addrs
	} else {
		sockets = s.open(&b, cfg)
	}
	s.app = &fakeApp{handler: cfg.handler, current: make([]*fakeCall, s.board.Cells())}
	if s.app.handler == nil {
		s.app.handler = ok
	}
	memfd, err := unix.MemfdCreate("boot", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(memfd, text); err != nil {
		t.Fatal(err)
	}
	mounts := cfg.mounts
	if mounts == nil {
		mounts = []string{""}
	}
	s.eng, err = New(s.app, memfd, pair[1], 1, 0, mounts, cfg.serving)
	unix.Close(memfd)
	if err != nil {
		t.Fatal(err)
	}
	s.app.eng = s.eng
	if cfg.prepare != nil {
		cfg.prepare(s.eng)
	}
	s.eng.Ready()
	s.hear("ready")
	if !cfg.starts {
		s.say(message{Op: "serve"})
		s.serving()
	}
	if cfg.run != nil {
		s.cores.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			s.codes <- cfg.run(s)
		})
	}
	for i := range settings.Threads {
		if cfg.run != nil {
			break
		}
		s.cores.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			s.codes <- s.eng.Core(i).Run()
		})
	}
	t.Cleanup(func() {
		s.stop()
		for _, f := range sockets {
			f.Close()
		}
		s.log.Close()
		unix.Close(pair[0])
		unix.Close(pair[1])
		unix.Close(s.board.FD())
	})
	return s
}

func descriptors() (names []string) {
	dir, _ := os.ReadDir("/proc/self/fd")
	for _, d := range dir {
		to, _ := os.Readlink("/proc/self/fd/" + d.Name())
		names = append(names, d.Name()+"="+to)
	}
	return names
}

func (s *server) open(b *wire.Boot, cfg config) (files []*os.File) {
	protocols := cfg.listen
	if protocols == nil {
		protocols = []string{"http"}
	}
	for _, p := range protocols {
		var l net.Listener
		var f *os.File
		var err error
		if cfg.unix {
			// Not t.TempDir: a unix socket's path is short.
			dir, derr := os.MkdirTemp("", "dp")
			if derr != nil {
				s.t.Fatal(derr)
			}
			s.t.Cleanup(func() { os.RemoveAll(dir) })
			if l, err = net.Listen("unix", filepath.Join(dir, "s")); err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				f, err = l.(*net.UnixListener).File()
			}
		} else {
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
				f, err = l.(*net.TCPListener).File()
			}
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.addrs[p] = l.Addr().String()
		l.Close()
		files = append(files, f)
		b.Listeners = append(b.Listeners, wire.Listener{FD: int(f.Fd()), Name: s.addrs[p], Protocol: p})
	}
	return files
}

// message is what the supervisor says.
type message = wire.Order

// hear waits for a message of the worker's.
func (s *server) hear(op string) wire.Report {
	s.t.Helper()
	tv := unix.NsecToTimeval(int64(patience))
	unix.SetsockoptTimeval(s.control, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	var buf [4096]byte
	n, err := unix.Read(s.control, buf[:])
	if err != nil {
		s.t.Fatalf("waiting for %q: %v", op, err)
	}
	var m wire.Report
	if err := json.Unmarshal(buf[:n], &m); err != nil || m.Op != op {
		s.t.Fatalf("heard %s, want %q", buf[:n], op)
	}
	return m
}

// harakiri says that the request which a core runs now is past its deadline.
func (s *server) harakiri(core int) {
	s.t.Helper()
	s.say(message{Op: "harakiri", Core: core, Started: s.eng.exchanges[core].cell.Started.Load()})
}

// say sends a message as the supervisor does.
func (s *server) say(m message) {
	s.t.Helper()
	b, _ := json.Marshal(m)
	if _, err := unix.Write(s.control, b); err != nil {
		s.t.Fatal(err)
	}
}

// serving waits until it takes connections.
func (s *server) serving() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.eng.phase() < serving; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			s.t.Fatal("it does not begin to serve")
		}
	}
}

// within has a subtest's failures be its own; call the result when it ends.
func (s *server) within(t *testing.T) (back func()) {
	parent := s.t
	s.t = t
	return func() { s.t = parent }
}

// wait waits until the cores have left.
func (s *server) wait() {
	s.t.Helper()
	done := make(chan struct{})
	go func() { s.cores.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		buf := make([]byte, 64<<10)
		s.t.Fatalf("the cores did not leave: %d active, %s\n%s", s.eng.active.Load(), s.eng.phase(),
			buf[:runtime.Stack(buf, true)])
	}
}

func (s *server) stop() {
	if s.stopped {
		return
	}
	s.stopped = true
	s.eng.Drain("test", false)
	s.wait()
	if n := s.eng.active.Load(); n != 0 && n != over {
		s.t.Errorf("%d connections count as active after the end", n)
	}
	s.eng.Close()
	if n := s.eng.row.Conns.Load(); n != 0 {
		s.t.Errorf("%d connections count as open after the end", n)
	}
}

// requests gives the request log once it holds n lines.
func (s *server) requests(n int) []string {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		b, err := os.ReadFile(s.log.Name())
		if err != nil {
			s.t.Fatal(err)
		}
		if lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"); len(lines) >= n && len(b) > 0 {
			return lines
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the request log has not %d lines:\n%s", n, b)
		}
		runtime.Gosched()
	}
}

// expectRequests waits until n requests have been counted, and sees that there are no more.
func (s *server) expectRequests(n int64) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.eng.row.Requests.Load() < n && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if got := s.eng.row.Requests.Load(); got != n {
		s.t.Errorf("%d requests, want %d", got, n)
	}
}
