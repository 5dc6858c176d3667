package dataplane

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// File sends the file that the application wrapped (PEP 3333, "Optional Platform-Specific File
// Handling"). The descriptor is ours.
func (x *Exchange) File() {
	x.eng.app.Response(x.id, &x.resp)
	x.sendWhole(x.resp.FileFD, x.resp.FileOff, x.resp.FileLen)
}

// sendWhole sends n bytes of a file from off as the body. The descriptor is ours.
func (x *Exchange) sendWhole(fd int, off, n int64) {
	if x.headDone || x.broken || !x.claimAnswer() {
		unix.Close(fd)
		x.broken = true
		return
	}
	x.ended = true
	if x.resp.Length >= 0 && x.resp.Length < n {
		n = x.resp.Length // what the application declared is what it wants sent (a Range, say)
	}
	x.head(n)
	x.eng.app.Sent(x.id)
	x.sendFile(fd, off, n)
	if x.cn.lis.proto.delimits {
		x.checkShort()
	}
}

// sendFile writes x.out and then n bytes of fd from off, and closes fd.
func (x *Exchange) sendFile(fd int, off, n int64) {
	x.bodyBytes = n
	x.via = "sendfile"
	if x.remaining >= 0 {
		x.remaining -= n
	}
	if x.noBody || n == 0 {
		unix.Close(fd)
		x.sendLast(nil)
		return
	}
	s := &x.cn.out
	s.file, s.off, s.left, s.copying = fd, off, n, x.eng.settings.NoSendfile
	if r := x.cn.lis.proto.records; r != nil {
		x.frameHead()
		s.records, s.id = r, x.cn.id
	}
	s.queue(x.out)
	x.cn.widen(n)
	x.pump()
}

// pump writes what is in conn.out, and leaves to the housekeeper what the client does not take now.
func (x *Exchange) pump() {
	s := &x.cn.out
	errno := s.write(x.cn)
	for errno == unix.EAGAIN && x.waitBriefly(0) {
		errno = s.write(x.cn)
	}
	switch errno {
	case 0:
		s.reset(x.eng)
	case unix.EAGAIN:
		s.mem = bytes.Clone(s.mem) // it lies in a buffer of the core's
		if s.pinned == nil {
			s.rest = bytes.Clone(s.rest)
		}
		x.handedOver = true
	case unix.ENODATA:
		x.log("%s", s.cutShort())
		s.reset(x.eng)
		x.resetIfUndelimited()
		x.broken = true
	default:
		s.reset(x.eng)
		x.clientGone(errno)
	}
}
