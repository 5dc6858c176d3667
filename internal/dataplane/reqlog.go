package dataplane

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/accesslog"
)

// requestLog is where this worker's request lines go.
type requestLog struct {
	format *accesslog.Logger
	fd     int
	kind   string // as boot.RequestLog.Kind
	pid    int
}

// write logs the request that core c has just finished.
func (l *requestLog) write(c *Core, app int, end int64) {
	if l.fd < 0 {
		return
	}
	e := c.eng
	if l.pid == 0 {
		l.pid = os.Getpid()
	}
	n := e.row.Requests.Load()
	entry := accesslog.Entry{
		Req: &c.req, PID: l.pid, WorkerID: e.slot, CoreID: c.id, App: app, AppRequests: n, TotalRequests: n,
		Start: c.wall, Duration: end - c.started,
		Status: c.status, Body: c.bodyBytes, Head: c.headBytes, Headers: c.headers, Switches: c.resp.Switches, Via: c.via,
		Packet: c.packet, LogVars: c.logVars, Forced: c.forced, WriteErrors: c.writeErrs,
	}
	if len(e.boot.Listeners) > 0 && e.settings.Processes > 1 {
		entry.TotalRequests = e.board.TotalRequests()
	}
	if !l.format.Wants(&entry) {
		return
	}
	if e.settings.MemoryReport {
		entry.RSS, entry.VSZ = e.memory()
	}
	c.line = l.format.Append(c.line[:0], &entry)
	if l.kind == "stream" {
		c.line = append(c.line, '\n')
	}
	for {
		_, err := unix.Write(l.fd, c.line)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			e.row.LogLost.Add(1)
		}
		return
	}
}

// memory gives the resident size and the address space, without what loading the data plane reserved. Reading it takes longer than a
// short request, so it is read at most every memoryAge.
func (e *Engine) memory() (rss, vsz int64) {
	now := monotonic()
	if last := e.memRead.Load(); now-last > int64(memoryAge) && e.memRead.CompareAndSwap(last, now) {
		e.sampleMemory()
	}
	return e.row.RSS.Load(), e.row.VSZ.Load()
}

const memoryAge = 20 * time.Millisecond

func (e *Engine) sampleMemory() {
	var buf [128]byte
	fd, err := unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	n, _ := unix.Read(fd, buf[:])
	unix.Close(fd)
	pages := [2]int64{}
	field := 0
	for _, b := range buf[:max(n, 0)] {
		if b == ' ' {
			if field++; field > 1 {
				break
			}
			continue
		}
		pages[field] = pages[field]*10 + int64(b-'0')
	}
	size := int64(os.Getpagesize())
	e.row.VSZ.Store(pages[0]*size - e.row.ASOverhead.Load())
	e.row.RSS.Store(pages[1] * size)
}
