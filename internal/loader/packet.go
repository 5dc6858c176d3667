package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// packetConn is our end of a SOCK_SEQPACKET pair: one JSON object a packet, descriptors beside it.
type packetConn struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte // of the one goroutine that receives
	oob  []byte
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
	return &packetConn{file: f, raw: raw, buf: make([]byte, maxPacket), oob: make([]byte, unix.CmsgSpace(4*4))}, nil
}

// send writes one message and never waits: a peer that does not read has its queue full and gets an error.
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

// receive waits for the next message. After hurry it returns what has arrived already and then io.EOF.
func (c *packetConn) receive() (incoming, []*os.File, error) {
	n, files, err := c.receivePacket()
	if err != nil {
		return incoming{}, nil, err
	}
	var m incoming
	if err := json.Unmarshal(c.buf[:n], &m); err != nil {
		closeAll(files)
		return incoming{}, nil, fmt.Errorf("%w: %.200q: %w", errMessage, c.buf[:n], err)
	}
	return m, files, nil
}

func (c *packetConn) receivePacket() (int, []*os.File, error) {
	var n, oobn, flags int
	var rerr error
	try := func(fd uintptr) bool {
		for {
			n, oobn, flags, _, rerr = unix.Recvmsg(int(fd), c.buf, c.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
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
			return 0, nil, io.EOF
		}
	}
	if err == nil {
		err = rerr
	}
	if err != nil {
		return 0, nil, err
	}
	files, err := receivedFiles(c.oob[:oobn])
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		closeAll(files)
		return 0, nil, io.EOF
	}
	if flags&unix.MSG_TRUNC != 0 {
		closeAll(files)
		return 0, nil, fmt.Errorf("%w: longer than %d bytes", errMessage, maxPacket)
	}
	return n, files, nil
}

// hurry makes receive return what is queued and then io.EOF: end of file does not come by itself while a child of the peer holds its
// end of the pair.
func (c *packetConn) hurry() { c.file.SetReadDeadline(time.Unix(1, 0)) }

func (c *packetConn) close() { c.file.Close() }

func receivedFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var files []*os.File
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.SetNonblock(fd, true) // a pidfd takes the flag; os.NewFile then lets the runtime poll it
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// rawFD is the descriptor of f. Unlike f.Fd it leaves the file's mode alone: O_NONBLOCK is shared with every process that holds
// the same socket, so taking it off a listening socket here would make a serving worker's accept block.
func rawFD(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var n int
	err = raw.Control(func(fd uintptr) { n = int(fd) })
	return n, err
}
