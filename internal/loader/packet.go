package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"uwsgi/internal/wire"

	"golang.org/x/sys/unix"
)

// packetConn is our end of a SOCK_SEQPACKET pair: one JSON object a packet, descriptors beside it.
type packetConn struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte // of the one goroutine that receives
}

// packetPair makes a pair; the peer's end is blocking, as Python wants it, and close-on-exec.
func packetPair(name string) (ours *packetConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair for %s: %w", name, err)
	}
	theirs = os.NewFile(uintptr(fds[1]), name+" (far end)")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		theirs.Close()
		return nil, nil, fmt.Errorf("socketpair for %s: %w", name, err)
	}
	ours, err = newPacketConn(os.NewFile(uintptr(fds[0]), name))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

func newPacketConn(f *os.File) (*packetConn, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &packetConn{file: f, raw: raw, buf: make([]byte, maxPacket)}, nil
}

// send writes one message and never waits: a peer that does not read has its queue full and gets an
// error.
func (c *packetConn) send(msg any, files ...*os.File) error {
	body, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			if fds[i], err = rawFD(f); err != nil {
				return err
			}
		}
		oob = unix.UnixRights(fds...)
	}
	var serr error
	err = c.raw.Control(func(fd uintptr) {
		for {
			serr = unix.Sendmsg(int(fd), body, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if serr != unix.EINTR {
				return
			}
		}
	})
	if err == nil {
		err = serr
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", body, c.file.Name(), err)
	}
	return nil
}

// errMessage marks a packet that is not a message; the ones after it may be.
var errMessage = errors.New("not a message")

// receive waits for the next message. After hurry it returns what has arrived already and then
// io.EOF.
func (c *packetConn) receive() (wire.Report, error) {
	n, err := c.receivePacket()
	if err != nil {
		return wire.Report{}, err
	}
	var m wire.Report
	if err := json.Unmarshal(c.buf[:n], &m); err != nil {
		return wire.Report{}, fmt.Errorf("%w: %.200q: %w", errMessage, c.buf[:n], err)
	}
	tame(&m)
	return m, nil
}

// receivePacket has no room for descriptors, which the application could choose: closing some takes
// as long as who made them likes.
func (c *packetConn) receivePacket() (int, error) {
	var n, flags int
	var rerr error
	try := func(fd uintptr) bool {
		for {
			n, _, flags, _, rerr = unix.Recvmsg(int(fd), c.buf, nil, unix.MSG_DONTWAIT)
			if rerr != unix.EINTR {
				return rerr != unix.EAGAIN
			}
		}
	}
	err := c.raw.Read(try)
	if errors.Is(err, os.ErrDeadlineExceeded) { // the peer is dead: only what it left in the queue is still to come
		rerr = unix.EAGAIN
		err = c.raw.Control(func(fd uintptr) { try(fd) })
		if rerr == unix.EAGAIN {
			return 0, io.EOF
		}
	}
	if err == nil {
		err = rerr
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	if flags&unix.MSG_TRUNC != 0 {
		return 0, fmt.Errorf("%w: longer than %d bytes", errMessage, maxPacket)
	}
	return n, nil
}

// hurry makes receive return what is queued and then io.EOF: end of file does not come by itself
// while a child of the peer holds its end of the pair.
func (c *packetConn) hurry() { c.file.SetReadDeadline(time.Unix(1, 0)) }

func (c *packetConn) close() { c.file.Close() }

// rawFD is the descriptor of f. Unlike f.Fd it leaves the file's mode alone: O_NONBLOCK is shared
// with every process that holds the same socket, so taking it off a listening socket here would
// make a serving worker's accept block.
func rawFD(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var n int
	err = raw.Control(func(fd uintptr) { n = int(fd) })
	return n, err
}
