package dataplane

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"
)

// File sends the file that the application wrapped (PEP 3333, "Optional Platform-Specific File Handling"). The descriptor is ours.
func (c *Core) File() {
	c.eng.app.Response(c.id, &c.resp)
	fd, off, n := c.resp.FileFD, c.resp.FileOff, c.resp.FileLen
	if c.headDone || c.broken || !c.claim() {
		unix.Close(fd)
		c.broken = true
		return
	}
	c.ended = true
	if c.resp.Length >= 0 && c.resp.Length < n {
		n = c.resp.Length // what the application declared is what it wants sent (a Range, say)
	}
	c.head(n)
	c.eng.app.Sent(c.id)
	c.sendFile(fd, off, n)
	if c.cn.lis.proto.http() {
		c.checkShort()
	}
}

// sendFile writes c.out and then n bytes of fd from off, and closes fd.
func (c *Core) sendFile(fd int, off, n int64) {
	c.bodyBytes = n
	c.via = "sendfile"
	if c.remaining >= 0 {
		c.remaining -= n
	}
	if c.noBody || n == 0 {
		unix.Close(fd)
		c.sendLast(nil)
		return
	}
	s := &c.cn.out
	s.file, s.off, s.left, s.copying = fd, off, n, c.eng.settings.NoSendfile
	if c.cn.lis.proto == protoFastCGI {
		c.frameHead()
		s.framed, s.id = true, c.cn.fcgi.ID
	}
	s.mem = c.out
	c.cn.widen(n)
	c.pump()
}

// pump writes what is in conn.out, and leaves to the housekeeper what the client does not take now.
func (c *Core) pump() {
	s := &c.cn.out
	errno := s.write(c.cn.fd)
	for errno == unix.EAGAIN && c.brisk(0) {
		errno = s.write(c.cn.fd)
	}
	switch errno {
	case 0:
		s.reset(c.eng)
	case unix.EAGAIN:
		s.mem = bytes.Clone(s.mem) // it lies in a buffer of the core's
		if s.pinned == nil {
			s.rest = bytes.Clone(s.rest)
		}
		c.handedOver = true
	case unix.ENODATA:
		c.log("%s", s.cutShort())
		s.reset(c.eng)
		c.cut()
		c.broken = true
	default:
		s.reset(c.eng)
		c.gone(errno)
	}
}

func until(d time.Duration) int64 { return monotonic() + int64(d) }
