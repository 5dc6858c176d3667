package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sys"
)

// conn is one end of the socketpair: one JSON object a packet, with at most one descriptor beside
// it.
type conn struct{ *net.UnixConn }

// pair makes both ends; far is for the other process.
func pair() (near conn, far *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return conn{}, nil, fmt.Errorf("socketpair: %w", err)
	}
	far = os.NewFile(uintptr(fds[1]), "keeper (far end)")
	near, err = newConn(os.NewFile(uintptr(fds[0]), "keeper"))
	if err != nil {
		far.Close()
	}
	return near, far, err
}

// newConn takes f over.
func newConn(f *os.File) (conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return conn{}, fmt.Errorf("keeper: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return conn{}, fmt.Errorf("keeper: %s is no unix socket", f.Name())
	}
	return conn{u}, nil
}

// send writes one message; fd may be -1.
func (c conn) send(msg any, fd int) error {
	body, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if len(body) > maxPacket {
		return fmt.Errorf("keeper: a message of %d bytes is too long", len(body))
	}
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	_, _, err = c.WriteMsgUnix(body, oob, nil)
	return err
}

// receive reads one message into msg. Of several descriptors the first is returned and the others
// are closed; -1 = there was none.
func (c conn) receive(msg any) (fd int, err error) {
	body, oob := make([]byte, maxPacket), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(body, oob)
	if err != nil {
		return -1, err
	}
	fd = firstOf(oob[:oobn])
	switch {
	case n == 0:
		err = io.EOF
	case flags&unix.MSG_TRUNC != 0:
		err = errTooLong
	default:
		if json.Unmarshal(body[:n], msg) != nil {
			err = errNoMessage
		}
	}
	if err != nil && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	return fd, err
}

var (
	errTooLong   = errors.New("keeper: a message is too long")
	errNoMessage = errors.New("keeper: a message is none")
)

func firstOf(oob []byte) int {
	all := sys.Descriptors(oob)
	if len(all) == 0 {
		return -1
	}
	for _, fd := range all[1:] {
		unix.Close(fd)
	}
	return all[0]
}
