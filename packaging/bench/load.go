package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// load is one kind of traffic: conns clients, each with one request under way at a time.
type load struct {
	network, addr string // unix or tcp
	conns         int
	request       []byte // what is sent for each request
	keep          bool   // the next request goes over the same connection while the server lets it
	want          answer
	untilEnd      bool // a response ends with its connection, whatever its length says
	once          int  // stop after so many answers, 0 = by time
	// frame is sent on and on once the request has made a WebSocket of the connection; want is the
	// frame that answers it. nil: no WebSocket is asked for.
	frame []byte
}

// answer is what every response must be.
type answer struct {
	status int
	body   []byte // the pattern that the body repeats from its start
	length int64  // of the body
}

// hello is the answer of the smallest application.
var hello = answer{200, []byte("Hello, World!\n"), 14}

// check compares the part of the body that stands at off.
func (a *answer) check(off int64, p []byte) bool {
	if off+int64(len(p)) > a.length {
		return false
	}
	for len(p) > 0 {
		at := int(off % int64(len(a.body)))
		n := min(len(p), len(a.body)-at)
		if !bytes.Equal(p[:n], a.body[at:at+n]) {
			return false
		}
		p, off = p[n:], off+int64(n)
	}
	return true
}

// outcome is what one measured stretch of load saw.
type outcome struct {
	Answers   int64
	Wrong     int64
	Connects  int64
	Bytes     int64
	Seconds   float64
	Latency   histogram
	FirstFail string
}

// client is one connection of the generator.
type client struct {
	fd      int
	sent    int // bytes of the request that went out
	started int64
	head    []byte
	parsed  bool
	framing framing
	got     int64 // body bytes
	retry   bool
	socket  bool // a WebSocket is open
}

type framing struct {
	left   int64 // Content-Length still to come, -1 until the connection ends, -2 chunked
	close  bool
	status int
	// chunked: bytes left of the chunk, -1 in a size line, -2 in the line end after one, -3 after
	// the last
	chunk   int64
	line    []byte
	trailer bool
}

// generator runs a load in one thread.
type generator struct {
	load
	epfd     int
	sa       unix.Sockaddr
	family   int
	clients  []client
	waiting  []int // clients that could not connect yet
	buf      []byte
	out      outcome
	counting bool
	stop     bool
	now      int64
}

func newGenerator(l load) (*generator, error) {
	g := &generator{load: l, buf: make([]byte, 256<<10), clients: make([]client, l.conns)}
	var err error
	if g.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.network == "unix" {
		g.family, g.sa = unix.AF_UNIX, &unix.SockaddrUnix{Name: l.addr}
		return g, nil
	}
	a, err := net.ResolveTCPAddr("tcp4", l.addr)
	if err != nil {
		return nil, err
	}
	g.family = unix.AF_INET
	g.sa = &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
	return g, nil
}

func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// run drives the load for warm, then for d while it counts. begin and end are called at the edges
// of the counted stretch.
func (g *generator) run(warm, d time.Duration, begin, end func()) outcome {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer g.closeAll()
	g.now = monotonic()
	for i := range g.clients {
		g.clients[i].fd = -1
		g.connect(i)
	}
	if warm == 0 {
		g.counting = true
		begin()
	}
	start := monotonic()
	edge, last := start+int64(warm), start+int64(warm+d)
	if g.counting {
		edge = start
	}
	var events [64]unix.EpollEvent
	quiet := g.now
	for !g.stop {
		timeout := 50
		if len(g.waiting) > 0 {
			timeout = 1
		}
		n, err := unix.EpollWait(g.epfd, events[:], timeout)
		if err != nil && err != unix.EINTR {
			g.fail("epoll_wait: " + err.Error())
			break
		}
		g.now = monotonic()
		for i := range max(n, 0) {
			ev := &events[i]
			g.event(int(ev.Fd), ev.Events)
		}
		if n > 0 {
			quiet = g.now
		} else if g.now-quiet > int64(30*time.Second) {
			g.fail("no answer for 30 seconds")
			break
		}
		if len(g.waiting) > 0 {
			again := g.waiting
			g.waiting = nil
			for _, i := range again {
				g.connect(i)
			}
		}
		if !g.counting && g.now >= edge {
			g.counting, g.out = true, outcome{FirstFail: g.out.FirstFail, Wrong: g.out.Wrong}
			begin()
			g.now = monotonic()
			edge = g.now
			last = edge + int64(d)
		}
		if g.once > 0 && g.out.Answers+g.out.Wrong >= int64(g.once) || g.once == 0 && g.counting && g.now >= last {
			break
		}
	}
	g.now = monotonic()
	if g.counting {
		end()
	}
	if !g.counting {
		return outcome{Wrong: g.out.Wrong, FirstFail: g.out.FirstFail}
	}
	g.out.Seconds = float64(g.now-edge) / 1e9
	return g.out
}

func (g *generator) closeAll() {
	for i := range g.clients {
		if g.clients[i].fd >= 0 {
			unix.Close(g.clients[i].fd)
		}
	}
	unix.Close(g.epfd)
}

func (g *generator) fail(text string) {
	if g.out.FirstFail == "" {
		g.out.FirstFail = text
	}
	g.out.Wrong++
}

// connect opens client i and sends its request at once where that works, as it does on one machine.
func (g *generator) connect(i int) {
	c := &g.clients[i]
	fd, err := unix.Socket(g.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		g.fail("socket: " + err.Error())
		g.stop = true
		return
	}
	if !c.retry {
		c.started = g.now
	}
	c.retry = false
	err = unix.Connect(fd, g.sa)
	if err == unix.EAGAIN || err == unix.ECONNREFUSED { // the queue is full
		unix.Close(fd)
		c.retry = true
		g.waiting = append(g.waiting, i)
		return
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		g.fail("connect: " + err.Error())
		c.retry = true
		g.waiting = append(g.waiting, i)
		return
	}
	if g.family == unix.AF_INET {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	g.out.Connects++
	c.fd, c.sent, c.socket = fd, 0, false
	c.reset()
	g.send(c)
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(i)}
	if c.sent < len(g.outgoing(c)) {
		ev.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(g.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		g.fail("epoll_ctl: " + err.Error())
		g.stop = true
	}
}

func (c *client) reset() {
	c.head, c.parsed, c.got = c.head[:0], false, 0
	c.framing = framing{line: c.framing.line[:0]}
}

// outgoing is what client c sends next.
func (g *generator) outgoing(c *client) []byte {
	if c.socket {
		return g.frame
	}
	return g.request
}

// again sends the next request of client i over its connection.
func (g *generator) again(i int) {
	c := &g.clients[i]
	c.sent = 0
	c.reset()
	c.started = g.now
	g.send(c)
	if c.sent < len(g.outgoing(c)) {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP, Fd: int32(i)}
		unix.EpollCtl(g.epfd, unix.EPOLL_CTL_MOD, c.fd, &ev)
	}
}

func (g *generator) send(c *client) {
	out := g.outgoing(c)
	for c.sent < len(out) {
		p := out[c.sent:]
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
			unix.MSG_NOSIGNAL, 0, 0)
		if errno != 0 {
			return // EAGAIN, ENOTCONN while connecting; anything else shows when it is read
		}
		c.sent += int(n)
	}
}

func (g *generator) event(i int, events uint32) {
	c := &g.clients[i]
	if c.fd < 0 {
		return
	}
	if events&unix.EPOLLOUT != 0 && c.sent < len(g.outgoing(c)) {
		g.send(c)
		if c.sent == len(g.outgoing(c)) {
			ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(i)}
			unix.EpollCtl(g.epfd, unix.EPOLL_CTL_MOD, c.fd, &ev)
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(c.fd),
			uintptr(unsafe.Pointer(&g.buf[0])), uintptr(len(g.buf)))
		if errno == unix.EAGAIN {
			return
		}
		if errno != 0 {
			g.over(i, "read: "+errno.Error())
			return
		}
		if n == 0 {
			g.ended(i)
			return
		}
		g.out.Bytes += int64(n)
		done, bad := g.feed(c, g.buf[:n])
		if bad != "" {
			g.over(i, bad)
			return
		}
		if done && g.frame != nil && !c.socket { // the handshake, which is no answer
			c.socket = true
			g.again(i)
			return
		}
		if done && !g.keep && !c.framing.close && !g.untilEnd {
			g.answered(c) // the server has not said that it will close
			g.over(i, "")
			return
		}
		if done && g.keep && !c.framing.close {
			g.answered(c)
			g.again(i)
			return
		}
		// The whole of what the server sent is read when it has shut its side and less came than
		// there was room for.
		if int(n) < len(g.buf) {
			if events&(unix.EPOLLRDHUP|unix.EPOLLHUP) == 0 {
				return
			}
			g.ended(i)
			return
		}
	}
}

// ended judges a response by the end of its connection.
func (g *generator) ended(i int) {
	c := &g.clients[i]
	switch {
	case c.socket:
		g.over(i, "the server closed a WebSocket")
	case !c.parsed && len(c.head) == 0 && g.keep && g.counting:
		g.over(i, "") // an idle connection that the server closed: not an answer, and not wrong
	case !c.parsed:
		g.over(i, "the connection ended in the head")
	case c.framing.left == -1 && c.got == g.want.length || c.framing.left == 0 || c.framing.chunk == -3:
		g.answered(c)
		g.over(i, "")
	default:
		g.over(i, fmt.Sprintf("the connection ended after %d bytes of the body", c.got))
	}
}

// over closes client i and connects it anew.
func (g *generator) over(i int, bad string) {
	if bad != "" {
		g.fail(bad)
		if g.out.Wrong > 1000 {
			g.stop = true
		}
	}
	unix.Close(g.clients[i].fd)
	g.clients[i].fd = -1
	g.connect(i)
}

func (g *generator) answered(c *client) {
	g.out.Answers++
	if g.counting {
		g.out.Latency.add(g.now - c.started)
	}
}

// feed takes bytes of a response. done: it is whole and the connection may go on.
func (g *generator) feed(c *client, p []byte) (done bool, bad string) {
	if c.socket {
		if !g.want.check(c.got, p) {
			return false, fmt.Sprintf("a frame that is not the one expected, at %d", c.got)
		}
		c.got += int64(len(p))
		return c.got == g.want.length, ""
	}
	if !c.parsed {
		if len(c.head) == 0 {
			if end := bytes.Index(p, headEnd); end >= 0 {
				if bad = c.framing.read(p[:end+2]); bad != "" {
					return false, bad
				}
				c.parsed = true
				p = p[end+4:]
			}
		}
		if !c.parsed {
			c.head = append(c.head, p...)
			end := bytes.Index(c.head, headEnd)
			if end < 0 {
				return false, ""
			}
			if bad = c.framing.read(c.head[:end+2]); bad != "" {
				return false, bad
			}
			c.parsed = true
			p = c.head[end+4:]
		}
		if g.frame != nil && c.framing.status == 101 && len(p) == 0 {
			return true, ""
		}
		if c.framing.status != g.want.status {
			return false, fmt.Sprintf("status %d, not %d", c.framing.status, g.want.status)
		}
		if c.framing.left >= 0 && c.framing.left != g.want.length {
			return false, fmt.Sprintf("Content-Length %d, not %d", c.framing.left, g.want.length)
		}
	}
	f := &c.framing
	switch {
	case f.left == -2:
		return g.chunks(c, p)
	case f.left == -1:
	case int64(len(p)) > f.left:
		return false, "more bytes than Content-Length"
	default:
		f.left -= int64(len(p))
	}
	if !g.want.check(c.got, p) {
		return false, fmt.Sprintf("wrong content at %d", c.got)
	}
	c.got += int64(len(p))
	return f.left == 0, ""
}

var headEnd = []byte("\r\n\r\n")

// read takes what matters of a response's head.
func (f *framing) read(head []byte) string {
	line, rest, _ := bytes.Cut(head, headEnd[:2])
	sp := bytes.IndexByte(line, ' ')
	if sp < 0 || len(line) < sp+4 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return fmt.Sprintf("status line %.40q", line)
	}
	status, err := strconv.Atoi(string(line[sp+1 : sp+4]))
	if err != nil {
		return fmt.Sprintf("status line %.40q", line)
	}
	f.status, f.left = status, -1
	f.close = line[7] == '0'
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, headEnd[:2])
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return fmt.Sprintf("header line %.40q", line)
		}
		name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("content-length")):
			if f.left, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return "Content-Length " + string(value)
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("transfer-encoding")):
			f.left, f.chunk = -2, -1
		case len(name) == 10 && bytes.EqualFold(name, []byte("connection")):
			f.close = !bytes.EqualFold(value, []byte("keep-alive"))
		}
	}
	return ""
}

// chunks decodes a chunked body (RFC 9112 §7.1).
func (g *generator) chunks(c *client, p []byte) (done bool, bad string) {
	f := &c.framing
	for len(p) > 0 {
		if f.chunk > 0 {
			n := min(int64(len(p)), f.chunk)
			if !g.want.check(c.got, p[:n]) {
				return false, fmt.Sprintf("wrong content at %d", c.got)
			}
			c.got += n
			p = p[n:]
			if f.chunk -= n; f.chunk == 0 {
				f.chunk = -2
			}
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			f.line = append(f.line, p...)
			return false, ""
		}
		line := append(f.line, p[:end]...)
		p, f.line = p[end+1:], f.line[:0]
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return false, "a chunk line that does not end in CR LF"
		}
		line = line[:len(line)-1]
		switch {
		case f.chunk == -2:
			if len(line) > 0 {
				return false, "a chunk is longer than its size"
			}
			f.chunk = -1
		case f.trailer:
			if len(line) == 0 {
				f.chunk = -3
				if c.got != g.want.length {
					return false, fmt.Sprintf("a body of %d bytes, not %d", c.got, g.want.length)
				}
				return true, ""
			}
		default:
			n, err := strconv.ParseInt(string(line), 16, 64)
			if err != nil {
				return false, "chunk size " + string(line)
			}
			if f.chunk = n; n == 0 {
				f.trailer = true
			}
		}
	}
	return false, ""
}

// httpRequest is a request over HTTP/1.1.
func httpRequest(method, target string, keep bool, headers []string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: bench\r\n", method, target)
	if !keep {
		b.WriteString("Connection: close\r\n")
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\nContent-Type: application/octet-stream\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// uwsgiRequest is the packet that nginx makes of a request with its stock uwsgi_params.
func uwsgiRequest(method, target string, headers []string, body []byte) []byte {
	path, query, _ := bytes.Cut([]byte(target), []byte("?"))
	var vars []byte
	add := func(k, v string) {
		vars = binary.LittleEndian.AppendUint16(vars, uint16(len(k)))
		vars = append(vars, k...)
		vars = binary.LittleEndian.AppendUint16(vars, uint16(len(v)))
		vars = append(vars, v...)
	}
	add("QUERY_STRING", string(query))
	add("REQUEST_METHOD", method)
	kind, length := "", ""
	if len(body) > 0 {
		kind, length = "application/octet-stream", strconv.Itoa(len(body))
	}
	add("CONTENT_TYPE", kind)
	add("CONTENT_LENGTH", length)
	add("REQUEST_URI", target)
	add("PATH_INFO", string(path))
	add("DOCUMENT_ROOT", "/usr/share/nginx/html")
	add("SERVER_PROTOCOL", "HTTP/1.1")
	add("REQUEST_SCHEME", "http")
	add("REMOTE_ADDR", "127.0.0.1")
	add("REMOTE_PORT", "51234")
	add("SERVER_PORT", "80")
	add("SERVER_NAME", "localhost")
	add("HTTP_HOST", "localhost:8000")
	add("HTTP_USER_AGENT", "bench")
	for _, h := range headers {
		name, value, _ := bytes.Cut([]byte(h), []byte(": "))
		name = bytes.ReplaceAll(bytes.ToUpper(name), []byte("-"), []byte("_"))
		add("HTTP_"+string(name), string(value))
	}
	out := []byte{0, byte(len(vars)), byte(len(vars) >> 8), 0}
	return append(append(out, vars...), body...)
}
