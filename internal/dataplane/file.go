package dataplane

import (
	"syscall"
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
	if c.noBody {
		unix.Close(fd)
		c.sendLast(nil)
		return
	}
	if c.remaining >= 0 {
		c.remaining -= n
	}
	if c.cn.lis.proto == protoFastCGI {
		c.copyRecords(fd, off, n)
		unix.Close(fd)
		return
	}
	// MSG_MORE: the head leaves together with the file's first bytes.
	flag := 0
	if n > 0 {
		flag = unix.MSG_MORE
	}
	head := c.out
	for len(head) > 0 {
		k, errno := send(c.cn.fd, head, flag)
		if errno == unix.EAGAIN {
			break
		}
		if errno != 0 {
			unix.Close(fd)
			c.gone(errno)
			return
		}
		head = head[k:]
	}
	var errno syscall.Errno
	if len(head) == 0 {
		off, n, errno = sendfile(c.cn.fd, fd, off, n)
		if n == 0 {
			unix.Close(fd)
			return
		}
	}
	if errno != 0 && errno != unix.EAGAIN {
		unix.Close(fd)
		if errno == unix.ENODATA {
			c.log("a file became shorter while it was sent")
			c.broken = true
		} else {
			c.gone(errno)
		}
		return
	}
	s := &c.cn.out
	s.keep = c.keep && !c.broken
	s.mem = append(s.mem, head...)
	s.file, s.off, s.left = fd, off, n
	c.handedOver = true
}

// sendfile sends until it is done, would block or fails; it gives what is left. ENODATA: the file ended early.
func sendfile(out, in int, off, n int64) (int64, int64, syscall.Errno) {
	for n > 0 {
		k, err := unix.Sendfile(out, in, &off, int(min(n, 1<<30)))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return off, n, err.(syscall.Errno)
		case k == 0:
			return off, n, unix.ENODATA
		default:
			n -= int64(k)
		}
	}
	return off, n, 0
}

func until(d time.Duration) int64 { return monotonic() + int64(d) }
