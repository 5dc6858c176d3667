package dataplane

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fakeApp is App without an interpreter: handler is the application.
type fakeApp struct {
	handler  func(x *fakeCall) Outcome
	after    func(core int)
	eng      *Engine
	current  []*fakeCall
	released atomic.Int64
	streams  atomic.Int64 // calls of Streaming
	forked   atomic.Bool
	signals  func() // what core 0 does when it looks at signals
}

// fakeCall is one call of the fake application.
type fakeCall struct {
	*Call
	exchange *Exchange
	resp     Response
	sent     bool
}

func (a *fakeApp) Call(core int, c *Call) Outcome {
	x := &fakeCall{Call: c, exchange: a.eng.Exchange(core)}
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
	*r = Response{Length: -1, FileFD: -1}
	if x := a.current[core]; x != nil {
		*r = x.resp
		x.resp.Pinned = nil
	}
}

func (a *fakeApp) Sent(core int) {
	if x := a.current[core]; x != nil {
		x.sent = true
	}
}

func (a *fakeApp) Streaming(int, bool)    { a.streams.Add(1) } // its blocks all go through Exchange.Write
func (a *fakeApp) StopStreaming(int)      {}
func (a *fakeApp) Serving(core, fd int)   {}
func (a *fakeApp) Release(unsafe.Pointer) { a.released.Add(1) }
func (a *fakeApp) HasAfter() bool         { return a.after != nil }
func (a *fakeApp) AfterRequest(core int)  { a.after(core) }
func (a *fakeApp) HasForked() bool        { return a.forked.Load() }

func (a *fakeApp) Deliver(core, number int) {}

func (a *fakeApp) Signals(core int) bool {
	if a.signals != nil {
		a.signals()
	}
	return true
}

// start is start_response.
func (x *fakeCall) start(status string, headers ...string) {
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
func (x *fakeCall) reply(body string) Outcome {
	x.resp.Body = []byte(body)
	return Buffered
}

// replyPinned is reply for bytes that must be released afterwards.
func (x *fakeCall) replyPinned(body []byte) Outcome {
	x.resp.Body = body
	x.resp.Pinned = unsafe.Pointer(unsafe.SliceData(body))
	return Buffered
}

func (x *fakeCall) write(p string) int { return x.exchange.Write([]byte(p)) }

func (x *fakeCall) finish() Outcome {
	x.exchange.Finish()
	return Done
}

// sendfile is wsgi.file_wrapper; a descriptor of its own goes to the data plane.
func (x *fakeCall) sendfile(f *os.File, off, n int64) Outcome {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		panic(err)
	}
	x.resp.FileFD, x.resp.FileOff, x.resp.FileLen = fd, off, n
	x.exchange.File()
	return Done
}

// variable is environ[name].
func (x *fakeCall) variable(name string) string {
	span, ok := x.Request.Lookup(name)
	if !ok {
		return "-"
	}
	return string(x.Request.Bytes(span))
}

// body is wsgi.input.read().
func (x *fakeCall) body() []byte {
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
func ok(x *fakeCall) Outcome {
	x.start("200 OK", "Content-Type: text/plain")
	return x.reply("hello " + x.variable("PATH_INFO"))
}
