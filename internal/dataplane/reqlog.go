package dataplane

import (
	"bytes"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/accesslog"
	"uwsgi/internal/sys"
)

// requestLog is where this worker's request lines go.
type requestLog struct {
	format *accesslog.Logger
	fd     atomic.Int32
	kind   string // as wire.RequestLog.Kind
	pid    int
	fixed  []byte        // journal, entry: the fields that every entry has
	peer   unix.Sockaddr // journal: where it listens
	vain   atomic.Int32  // journal: how many waits in a row for room in its socket were in vain
	cut    atomic.Bool   // stream: the last line that was written lacks its end
}

// vainWaits is after how many timeouts in a row of its socket a journal counts as stuck: until it
// takes an entry again nobody waits for it, since it must not slow requests down.
const vainWaits = 20

func (l *requestLog) open(e *Engine) {
	l.pid, l.kind = os.Getpid(), e.boot.RequestLog.Kind
	l.fd.Store(int32(e.boot.RequestLog.FD))
	switch l.kind {
	case "entry":
		l.fixed = journalFixed(e)
	case "journal":
		l.fixed = journalFixed(e)
		l.peer, _ = unix.Getpeername(e.boot.RequestLog.FD) // gone this very moment: lines are lost and counted
	}
	l.format = accesslog.Compile(&e.settings.LogSettings)
}

// replace sends the lines to fd from now on. The old descriptor keeps its number, so that a core in
// the middle of a write is not disturbed.
func (l *requestLog) replace(fd int) {
	l.cut.Store(false)
	if old := int(l.fd.Load()); old > 2 {
		unix.Dup3(fd, old, unix.O_CLOEXEC)
		unix.Close(fd)
		return
	}
	l.fd.Store(int32(fd))
}

// scratch is memory for one line.
type scratch struct {
	entry  accesslog.Entry
	line   []byte
	record []byte // the journal's form of line
}

// write logs the request that x has just been.
func (l *requestLog) write(x *Exchange, app int, end int64) {
	if l.fd.Load() < 0 {
		return
	}
	s := &x.core.scratch
	l.describe(s, x, app, end)
	s.entry.Status, s.entry.Body, s.entry.Head, s.entry.Headers = x.loggedStatus(), x.bodyBytes, x.headBytes, x.headers
	s.entry.Switches, s.entry.Via = x.resp.Switches, x.via
	s.entry.LogVars, s.entry.Forced, s.entry.WriteErrors = x.logVars, x.forced, x.writeErrs
	l.put(x.eng, s)
}

// writeFor logs the request that x is still at, whose application was given up, and answered with
// that status in its place. Nothing is read that its thread may write: on a loop the request is
// moved before it is in flight, and a thread that has several applications does not say which it
// calls.
func (l *requestLog) writeFor(s *scratch, x *Exchange, status int) {
	if l.fd.Load() < 0 || x.loop != nil && !x.cn.inFlight.Load() {
		return
	}
	app := -1
	switch e := x.eng; {
	case e.loop != nil:
		app = x.cn.app
	case len(e.mounts) == 1:
		app = e.mounts[0].app
	}
	l.describe(s, x, app, monotonic())
	text, head := x.cn.lis.proto.errorText(status)
	s.entry.Status, s.entry.Head, s.entry.Body = status, int64(head), int64(len(text)-head)
	s.entry.Headers = bytes.Count(text[:head], crlf) - 2
	l.put(x.eng, s)
}

// statusGone is logged of a request whose client left before there was an answer, and which none
// was made for, as by nginx.
const statusGone = 499

// loggedStatus is the status that the client was sent, or would have been: 500 where the
// application failed though its client was gone.
func (x *Exchange) loggedStatus() int {
	if x.status == 0 {
		return statusGone
	}
	return x.status
}

// describe begins an entry with what is known of a request before it is answered.
func (l *requestLog) describe(s *scratch, x *Exchange, app int, end int64) {
	e := x.eng
	own := int64(-1)
	if a := e.row.App(app); a != nil {
		own = a.Requests.Load()
	} else if app >= 0 {
		own = e.row.Requests.Load()
	}
	s.entry = accesslog.Entry{
		Req: &x.req, PID: l.pid, WorkerID: e.slot, CoreID: x.id, App: app, AppRequests: own,
		Start: x.wall, Duration: end - x.started, Packet: x.packet,
	}
}

// put writes the entry, if the options want it.
func (l *requestLog) put(e *Engine, s *scratch) {
	if !l.format.Wants(&s.entry) {
		return
	}
	s.entry.TotalRequests = e.board.TotalRequests()
	if e.settings.MemoryReport {
		s.entry.RSS, s.entry.VSZ = e.memory()
	}
	s.line = l.format.Append(s.line[:0], &s.entry)
	fd, out := int(l.fd.Load()), s.line
	switch l.kind {
	case "stream":
		s.line = append(s.line, '\n')
		if !l.stream(fd, s.line) {
			e.row.LogLost.Add(1)
		}
		return
	case "journal":
		s.record = appendJournal(s.record[:0], l.fixed, s)
		if !l.send(fd, s.record) {
			e.row.LogLost.Add(1)
		}
		return
	case "entry":
		s.record = appendJournal(s.record[:0], l.fixed, s)
		out = s.record
	}
	if _, err := put(fd, out); err != nil {
		e.row.LogLost.Add(1)
	}
}

// stream writes a line to a file or a pipe and reports whether it took it whole. What a full disk
// has cut ends before the next line begins.
func (l *requestLog) stream(fd int, line []byte) bool {
	out, cut := line, l.cut.Load()
	if cut {
		out = append([]byte{'\n'}, line...)
	}
	n, err := put(fd, out)
	if n > 0 {
		if now := n < len(out) && out[n-1] != '\n'; now != cut {
			l.cut.Store(now)
		}
	}
	return err == nil && n == len(out)
}

// send gives the journal one entry and reports whether it took it.
func (l *requestLog) send(fd int, record []byte) bool {
	flags := unix.MSG_NOSIGNAL
	if l.vain.Load() >= vainWaits {
		flags |= unix.MSG_DONTWAIT
	}
	err := unix.Errno(unix.EINTR)
	for err == unix.EINTR {
		err = sendEntry(fd, record, flags)
	}
	if (err == unix.ECONNREFUSED || err == unix.ENOTCONN) && l.peer != nil && unix.Connect(fd, l.peer) == nil {
		err = sendEntry(fd, record, flags) // journald's socket was made anew
	}
	switch {
	case err == 0:
		if l.vain.Load() != 0 {
			l.vain.Store(0)
		}
	case err == unix.EAGAIN && l.vain.Load() < vainWaits:
		l.vain.Add(1)
	}
	return err == 0
}

func sendEntry(fd int, record []byte, flags int) unix.Errno {
	if err := unix.Send(fd, record, flags); err != nil {
		return err.(unix.Errno)
	}
	return 0
}

// put writes one entry in one call.
func put(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// memory gives the resident size and the address space, without what loading the data plane
// reserved. Reading it takes longer than a short request, so it is read at most every memoryAge.
func (e *Engine) memory() (rss, vsz int64) {
	now := monotonic()
	if last := e.memRead.Load(); now-last > int64(memoryAge) && e.memRead.CompareAndSwap(last, now) {
		e.sampleMemory()
	}
	return e.row.RSS.Load(), e.row.VSZ.Load()
}

const memoryAge = 20 * time.Millisecond

func (e *Engine) sampleMemory() {
	rss, vsz, err := sys.Memory(0)
	if err != nil {
		return
	}
	e.row.VSZ.Store(max(vsz-e.row.ASOverhead.Load(), rss)) // what is resident has an address
	e.row.RSS.Store(rss)
}
