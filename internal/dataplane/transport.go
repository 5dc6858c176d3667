package dataplane

import (
	"math"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The transport of a connection: all that is read from a client, sent to it or asked about it goes
// through these methods, and nothing else in this package calls the kernel with a client's
// descriptor, but to watch it (epoll) and to give it away. So what lies between the bytes of a
// protocol and the socket has its place here. They are as direct as the calls that they stand for:
// no interface, and all of them are inlined.
//
// conn.plain says that the bytes on the socket are those of the protocol. Where they are not, the
// application's side must not write to the descriptor (App.Streaming), and another worker could do
// nothing with it (sendHandoff).

func (c *conn) recv(p []byte) (int, syscall.Errno) { return recv(c.fd, p) }

// send takes MSG_MORE as a flag.
func (c *conn) send(p []byte, flags int) (int, syscall.Errno) { return send(c.fd, p, flags) }

func (c *conn) sendv(v *vector) (int, syscall.Errno) { return sendv(c.fd, v) }

func (c *conn) sendfile(file int, off, want int64) (int, syscall.Errno) {
	return sendfile(c.fd, file, off, want)
}

// readable reports whether bytes wait to be read.
func (c *conn) readable() bool { return readable(c.fd) }

// unread is readable for the request path.
func (c *conn) unread() bool { return unread(c.fd) }

// untaken is how many bytes the client has not taken of what was sent.
func (c *conn) untaken() int64 { return queued(c.fd) }

// waitWritable blocks until the client takes more, at most timeout ms.
func (c *conn) waitWritable(timeout int) bool { return waitWritable(c.fd, timeout) }

// waitReadable blocks until the client has sent something, or other, a descriptor, is readable, or
// up to due, in monotonic ns; 0 = for ever. An error: neither has, or the wait was interrupted.
func (c *conn) waitReadable(other int, due int64) syscall.Errno {
	fds := [2]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}, {Fd: int32(other), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], timeoutUntil(due))
	switch {
	case err != nil:
		return err.(syscall.Errno)
	case n == 0:
		return unix.ETIMEDOUT
	}
	return 0
}

// timeoutUntil is how many ms poll(2) may wait, -1: for ever.
func timeoutUntil(due int64) int {
	if due == 0 {
		return -1
	}
	return int(min(max(due-monotonic(), 0)/int64(time.Millisecond)+1, math.MaxInt32))
}

// closeSocket closes the descriptor, which does not wait.
func (c *conn) closeSocket() { closeFD(c.fd) }

// lend gives a second descriptor of the connection, for the application.
func (c *conn) lend() (int, error) { return unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 3) }

// takeBack has the connection not block, whatever the application did with what it was lent.
func (c *conn) takeBack() { unix.SetNonblock(c.fd, true) }

// endWriting tells the client that nothing more comes.
func (c *conn) endWriting() { unix.Shutdown(c.fd, unix.SHUT_WR) }

// endReading makes whoever reads see the end of the client's stream.
func (c *conn) endReading() { unix.Shutdown(c.fd, unix.SHUT_RD) }

// hangUp ends both directions, whoever else has the descriptor.
func (c *conn) hangUp() { unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// reset makes the connection end in a reset, at once; the client can still read what it has got. (A
// unix socket has no reset.)
func (c *conn) reset() {
	if !c.lis.unix {
		unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
}

// limitRest bounds how long the kernel goes on sending what is queued once the connection is
// closed, to a client that takes nothing: else it is many minutes.
func (c *conn) limitRest(timeout int64) {
	if !c.lis.unix && c.untaken() > 0 {
		unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout/int64(time.Millisecond)))
	}
}

const (
	wideFrom   = 256 << 10
	wideBuffer = 1 << 20
)

// widen lets a unix socket hold more of a large response, so that it takes fewer turns of waiting
// for the peer. (TCP does so by itself.)
func (c *conn) widen(n int64) {
	if c.lis.unix && n >= wideFrom {
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, wideBuffer) // up to net.core.wmem_max
	}
}
