package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// largest is what a frame may have, bytes: a value of Redis has 512 MiB at most.
const largest = 512 << 20

func readFrame(r io.Reader) ([]string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > largest {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	var parts []string
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.LittleEndian.Uint32(body)
		if uint64(n) > uint64(len(body)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		parts, body = append(parts, string(body[4:4+n])), body[4+n:]
	}
	return parts, nil
}

func writeFrame(w io.Writer, parts ...string) error {
	size := 4
	for _, p := range parts {
		size += 4 + len(p)
	}
	if size > largest {
		return errors.New("the answer is too large")
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(size-4))
	for _, p := range parts {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	_, err := w.Write(b)
	return err
}

// Door is where connections to the agent begin.
type Door struct{ In, Out *os.File }

// NewDoor makes a door: what is sent to In comes out at Out.
func NewDoor() (*Door, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("redis: socketpair: %w", err)
	}
	return &Door{In: os.NewFile(uintptr(fds[0]), "redis door"), Out: os.NewFile(uintptr(fds[1]), "redis door, agent's end")},
		nil
}

// Dial makes a connection to the agent, whether one runs or not.
func (d *Door) Dial() (net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("redis: socketpair: %w", err)
	}
	err = unix.Sendmsg(int(d.In.Fd()), []byte{'c'}, unix.UnixRights(fds[1]), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	unix.Close(fds[1])
	if err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("redis: the agent's door: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "redis agent")
	defer f.Close()
	return net.FileConn(f)
}
