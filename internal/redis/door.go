package redis

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Door is where connections to the agent begin.
type Door struct{ In, Out *os.File }

// NewDoor makes a door: what is sent to In comes out at Out.
func NewDoor() (*Door, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("redis: socketpair: %w", err)
	}
	return &Door{In: os.NewFile(uintptr(fds[0]), "redis door"),
			Out: os.NewFile(uintptr(fds[1]), "redis door, agent's end")},
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

func (d *Door) close() {
	d.In.Close()
	d.Out.Close()
}
