package dataplane

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/boot"
	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
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

// fakeApp is App without an interpreter: handler is the application.
type fakeApp struct {
	handler  func(x *exchange) Outcome
	eng      *Engine
	current  []*exchange
	released atomic.Int64
	forked   atomic.Bool
}

// exchange is one call of the fake application.
type exchange struct {
	*Call
	core *Core
	resp Response
	sent bool
}

func (a *fakeApp) Call(core int, c *Call) Outcome {
	x := &exchange{Call: c, core: a.eng.Core(core)}
	x.resp.Length, x.resp.FileFD = -1, -1
	a.current[core] = x
	defer func() {
		if c.BodyFD >= 0 {
			unix.Close(c.BodyFD)
		}
	}()
	return a.handler(x)
}

func (a *fakeApp) Response(core int, r *Response) {
	x := a.current[core]
	*r = x.resp
	x.resp.Pinned = nil
}

func (a *fakeApp) Sent(core int)          { a.current[core].sent = true }
func (a *fakeApp) Serving(core, fd int)   {}
func (a *fakeApp) Release(unsafe.Pointer) { a.released.Add(1) }
func (a *fakeApp) Signals(core int) bool  { return true }
func (a *fakeApp) HasForked() bool        { return a.forked.Load() }

// start is start_response.
func (x *exchange) start(status string, headers ...string) {
	code, _ := strconv.Atoi(status[:3])
	x.resp = Response{HasHead: true, Status: code, Reason: []byte(status), Length: -1, FileFD: -1}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		switch strings.ToLower(name) {
		case "content-length":
			x.resp.Length, _ = strconv.ParseInt(value, 10, 64)
		case "connection":
			if value == "upgrade" {
				x.resp.Upgrade = true
			} else {
				x.resp.Close = value == "close"
				continue
			}
		case "transfer-encoding":
			x.resp.TE = true
		case "date":
			x.resp.HasDate = true
		}
		x.resp.Head = append(x.resp.Head, h+"\r\n"...)
		x.resp.Headers++
	}
}

// reply gives a body that is known whole.
func (x *exchange) reply(body string) Outcome {
	x.resp.Body = []byte(body)
	return Buffered
}

// replyPinned is reply for bytes that must be released afterwards.
func (x *exchange) replyPinned(body []byte) Outcome {
	x.resp.Body = body
	x.resp.Pinned = unsafe.Pointer(unsafe.SliceData(body))
	return Buffered
}

func (x *exchange) write(p string) int { return x.core.Write([]byte(p)) }

func (x *exchange) finish() Outcome {
	x.core.Finish()
	return Done
}

// sendfile is wsgi.file_wrapper; a descriptor of its own goes to the data plane.
func (x *exchange) sendfile(f *os.File, off, n int64) Outcome {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		panic(err)
	}
	x.resp.FileFD, x.resp.FileOff, x.resp.FileLen = fd, off, n
	x.core.File()
	return Done
}

// variable is environ[name].
func (x *exchange) variable(name string) string {
	span, ok := x.Request.Lookup(name)
	if !ok {
		return "-"
	}
	return string(x.Request.Bytes(span))
}

// body is wsgi.input.read().
func (x *exchange) body() []byte {
	if x.BodyFD < 0 {
		return x.Body
	}
	b, err := os.ReadFile(procFD(x.BodyFD))
	if err != nil {
		panic(err)
	}
	return b
}

// ok is the plainest application.
func ok(x *exchange) Outcome {
	x.start("200 OK", "Content-Type: text/plain")
	return x.reply("hello " + x.variable("PATH_INFO"))
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
	handler func(x *exchange) Outcome
	mounts  []string
	unix    bool            // unix sockets, not TCP
	listen  []string        // protocols; default http
	share   *server         // the listening sockets and the handoff pair are this server's
	handoff [2]int          // 0: none
	prepare func(e *Engine) // before its cores run
}

const patience = 20 * time.Second // after which a test that waits for an event fails

// checked names the test whose descriptors are being counted.
var checked string

// checkFDs fails the test if there are more descriptors when it has ended, and cleaned up, than now. Only its first call counts.
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
	b := boot.Boot{Settings: settings, HandoffFD: cfg.handoff[0], HandoffInFD: cfg.handoff[1]}
	var err error
	if s.board, err = scoreboard.New(4, settings.Threads); err != nil {
		t.Fatal(err)
	}
	b.ScoreboardFD = s.board.FD()
	if s.log, err = os.CreateTemp(t.TempDir(), "requests"); err != nil {
		t.Fatal(err)
	}
	b.RequestLog = boot.RequestLog{FD: int(s.log.Fd()), Kind: "stream"}
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
	s.app = &fakeApp{handler: cfg.handler, current: make([]*exchange, settings.Threads)}
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
	s.eng, err = New(s.app, memfd, pair[1], 1, 0, mounts)
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
	for i := range settings.Threads {
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

func (s *server) open(b *boot.Boot, cfg config) (files []*os.File) {
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
		b.Listeners = append(b.Listeners, boot.Listener{FD: int(f.Fd()), Name: s.addrs[p], Protocol: p})
	}
	return files
}

// hear waits for a message of the worker's.
func (s *server) hear(op string) message {
	s.t.Helper()
	tv := unix.NsecToTimeval(int64(patience))
	unix.SetsockoptTimeval(s.control, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	var buf [4096]byte
	n, err := unix.Read(s.control, buf[:])
	if err != nil {
		s.t.Fatalf("waiting for %q: %v", op, err)
	}
	var m message
	if err := json.Unmarshal(buf[:n], &m); err != nil || m.Op != op {
		s.t.Fatalf("heard %s, want %q", buf[:n], op)
	}
	return m
}

// say sends a message as the supervisor does.
func (s *server) say(m message) {
	s.t.Helper()
	b, _ := json.Marshal(m)
	if _, err := unix.Write(s.control, b); err != nil {
		s.t.Fatal(err)
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
		s.t.Fatalf("the cores did not leave: %d active, draining %v\n%s", s.eng.active.Load(), s.eng.draining.Load(), buf[:runtime.Stack(buf, true)])
	}
}

func (s *server) stop() {
	if s.stopped {
		return
	}
	s.stopped = true
	s.eng.Drain("test", false)
	s.wait()
	if n := s.eng.active.Load(); n != 0 {
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

// client is one connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *server) dial(protocol string) *client {
	s.t.Helper()
	network := "tcp"
	if strings.HasPrefix(s.addrs[protocol], "/") {
		network = "unix"
	}
	conn, err := net.Dial(network, s.addrs[protocol])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &client{s.t, conn, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// all reads until the server closes. A reset is an error: the client could have lost what it had not read yet.
func (c *client) all() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("after %q: %v", tail(b, 200), err)
	}
	return string(b)
}

// response reads one HTTP response; its body is read whole.
func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	req, _ := http.NewRequest(method, "/", nil)
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s: body: %v after %d bytes", resp.Status, err, len(body))
	}
	return resp, string(body)
}

// get sends a request on a kept connection and returns the body.
func (c *client) get(path string) string {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, body := c.response("GET")
	if resp.StatusCode != 200 {
		c.t.Fatalf("GET %s: %s %s", path, resp.Status, body)
	}
	return body
}

// expectClosed fails unless the server has closed the connection and sent nothing more.
func (c *client) expectClosed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("%q and %v, want the end of the connection", tail(b, 200), err)
	}
}

// exchange sends one raw request on a connection of its own and returns all that comes back.
func (s *server) exchange(protocol, raw string) string {
	s.t.Helper()
	c := s.dial(protocol)
	defer c.Close()
	c.send(raw)
	return c.all()
}

// packet makes a uwsgi packet of "NAME=value" pairs.
func packet(vars ...string) string {
	var b bytes.Buffer
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		b.Write([]byte{byte(len(name)), byte(len(name) >> 8)})
		b.WriteString(name)
		b.Write([]byte{byte(len(value)), byte(len(value) >> 8)})
		b.WriteString(value)
	}
	return string([]byte{0, byte(b.Len()), byte(b.Len() >> 8), 0}) + b.String()
}

// cgi gives the variables of a request as a gateway sends them.
func cgi(method, path string, more ...string) []string {
	return append([]string{"REQUEST_METHOD=" + method, "REQUEST_URI=" + path, "PATH_INFO=" + path, "SERVER_PROTOCOL=HTTP/1.1", "REMOTE_ADDR=192.0.2.1"}, more...)
}
