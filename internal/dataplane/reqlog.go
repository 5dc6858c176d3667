package dataplane

import (
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
	vain   atomic.Int32  // journal: waits in a row for room in its socket that were in vain
	cut    atomic.Bool   // stream: the last line that was written lacks its end
}

// vainWaits is after how many timeouts in a row of its socket a journal counts as stuck: until it
// takes an entry again nobody waits for it, since it must not slow requests down.
const vainWaits = 20

func (l *requestLog) open(e *Engine) (err error) {
	l.pid, l.kind = os.Getpid(), e.boot.RequestLog.Kind
	l.fd.Store(int32(e.boot.RequestLog.FD))
	switch l.kind {
	case "entry":
		l.fixed = journalFixed(e)
	case "journal":
		l.fixed = journalFixed(e)
		l.peer, _ = unix.Getpeername(e.boot.RequestLog.FD) // gone this very moment: lines are lost and counted
	}
	l.format, err = accesslog.Compile(&e.settings.LogSettings)
	return err
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

// write logs the request that x has just been.
func (l *requestLog) write(x *Exchange, app int, end int64) {
	fd := int(l.fd.Load())
	if fd < 0 {
		return
	}
	e, c := x.eng, x.core
	own := int64(-1)
	if a := e.row.App(app); a != nil {
		own = a.Requests.Load()
	} else if app >= 0 {
		own = e.row.Requests.Load()
	}
	c.entry = accesslog.Entry{
		Req: &x.req, PID: l.pid, WorkerID: e.slot, CoreID: x.id, App: app, AppRequests: own,
		Start: x.wall, Duration: end - x.started,
		Status: x.status, Body: x.bodyBytes, Head: x.headBytes, Headers: x.headers,
		Switches: x.resp.Switches, Via: x.via,
		Packet: x.packet, LogVars: x.logVars, Forced: x.forced, WriteErrors: x.writeErrs,
	}
	if !l.format.Wants(&c.entry) {
		return
	}
	c.entry.TotalRequests = e.board.TotalRequests()
	if e.settings.MemoryReport {
		c.entry.RSS, c.entry.VSZ = e.memory()
	}
	c.line = l.format.Append(c.line[:0], &c.entry)
	out := c.line
	switch l.kind {
	case "stream":
		c.line = append(c.line, '\n')
		if !l.stream(fd, c.line) {
			e.row.LogLost.Add(1)
		}
		return
	case "journal":
		c.record = appendJournal(c.record[:0], l.fixed, x)
		if !l.send(fd, c.record) {
			e.row.LogLost.Add(1)
		}
		return
	case "entry":
		c.record = appendJournal(c.record[:0], l.fixed, x)
		out = c.record
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
