package supervisor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sys"
	"uwsgi/internal/wire"
)

// muleQueues are the queues of messages for mules, and what the mules have in hand: kept as long as
// the instance lives, so that a message survives its sender, its receiver and their generation.
type muleQueues struct {
	ends  map[string][2]*os.File // by wire.Queue.Name
	hands []*os.File
}

// of makes what a generation with these settings needs, and has it told in boot.
func (m *muleQueues) of(set *option.Settings, boot *wire.Boot) (queues [][2]*os.File, hands []*os.File, err error) {
	if len(set.Mules) == 0 {
		return nil, nil, nil
	}
	names := []string{"shared"}
	for n := range set.Mules {
		names = append(names, fmt.Sprintf("mule %d", n+1))
	}
	for _, f := range set.Farms {
		names = append(names, "farm "+f.Name)
	}
	for _, name := range names {
		ends, err := m.queue(name, set.MuleMsgSize)
		if err != nil {
			return nil, nil, err
		}
		queues = append(queues, ends)
		boot.Queues = append(boot.Queues, wire.Queue{Name: name})
	}
	for len(m.hands) < len(set.Mules) {
		fd, err := unix.MemfdCreate("uwsgi-mule", unix.MFD_CLOEXEC) // unlike sys.Memfd's it grows
		if err != nil {
			return nil, nil, fmt.Errorf("memfd_create: %w", err)
		}
		m.hands = append(m.hands, os.NewFile(uintptr(fd), "mule's hand"))
	}
	return queues, m.hands[:len(set.Mules)], nil
}

func (m *muleQueues) queue(name string, room int) ([2]*os.File, error) {
	ends, ok := m.ends[name]
	if !ok {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return ends, fmt.Errorf("socketpair for messages of mules: %w", err)
		}
		for i, fd := range fds {
			ends[i] = os.NewFile(uintptr(fd), "messages, "+name)
		}
		if m.ends == nil {
			m.ends = map[string][2]*os.File{}
		}
		m.ends[name] = ends
	}
	if room > 0 {
		conn, err := ends[0].SyscallConn()
		if err != nil {
			return ends, err
		}
		if cerr := conn.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, room)
		}); cerr != nil {
			err = cerr
		}
		if err != nil {
			return ends, fmt.Errorf("mule-msg-size: %w", err)
		}
	}
	return ends, nil
}

// MuleMessage puts a message into the queue of a mule, 0 = that of all mules
// (internal/python/uwsgi_mule.py).
func (s *Supervisor) MuleMessage(n int, message string) error {
	err := errors.New("the instance has ended")
	s.call(func() { err = s.queues.send(n, message) })
	return err
}

// inlineMessage is the longest message that travels in its packet.
const inlineMessage = 32 << 10

func (m *muleQueues) send(n int, message string) error {
	name := "shared"
	if n > 0 {
		name = fmt.Sprintf("mule %d", n)
	}
	ends, ok := m.ends[name]
	if !ok {
		return fmt.Errorf("there is no mule %d", n)
	}
	if len(message) > inlineMessage {
		return fmt.Errorf("a message of %d bytes is too long for a mule", len(message))
	}
	packet := make([]byte, 16, 16+len(message))
	rand.Read(packet) // its identity
	packet = append(packet, message...)
	raw, err := ends[0].SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) {
		serr = unix.Sendto(int(fd), packet, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}); err != nil {
		return err
	}
	if serr == unix.EAGAIN || serr == unix.ENOBUFS {
		return fmt.Errorf("the queue of messages (%s) is full", name)
	}
	return serr
}

// passOn gives what waits for mules and farms that these settings have no more to whichever of the
// mules that they have is free: how many messages, and whether some wait until there is room.
func (m *muleQueues) passOn(set *option.Settings) (passed int, left bool) {
	shared, ok := m.ends["shared"]
	if !ok || len(set.Mules) == 0 {
		return 0, false
	}
	served := map[string]bool{"shared": true}
	for n := range set.Mules {
		served[fmt.Sprintf("mule %d", n+1)] = true
	}
	for _, f := range set.Farms {
		served["farm "+f.Name] = true
	}
	for name, ends := range m.ends {
		if served[name] {
			continue
		}
		for {
			moved, full := movePacket(ends[1], shared[0])
			left = left || full
			if !moved {
				break
			}
			passed++
		}
	}
	return passed, left
}

// movePacket moves one packet, with the descriptor beside it. full: there is no room.
func movePacket(from, to *os.File) (moved, full bool) {
	data := make([]byte, 16+inlineMessage) // an identity is before it
	beside := make([]byte, unix.CmsgSpace(4))
	n, oobn, err := recvPacket(from, data, beside, unix.MSG_PEEK)
	if err != nil || n == 0 {
		return false, false
	}
	fds := sys.Descriptors(beside[:oobn])
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	fd, err := rawFD(to)
	if err != nil {
		return false, false
	}
	if err := unix.Sendmsg(fd, data[:n], rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		return false, err == unix.EAGAIN
	}
	_, _, err = recvPacket(from, data[:1], nil, 0) // what is beside it goes with it
	return err == nil, false
}

func recvPacket(f *os.File, data, beside []byte, flags int) (n, oobn int, err error) {
	fd, err := rawFD(f)
	if err != nil {
		return 0, 0, err
	}
	n, oobn, _, _, err = unix.Recvmsg(fd, data, beside, flags|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	return n, oobn, err
}

// rawFD is a file's descriptor, whose mode stays as it is. The file has to be kept meanwhile.
func rawFD(f *os.File) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = conn.Control(func(fd uintptr) { n = int(fd) })
	return n, err
}

func (m *muleQueues) close() {
	for _, ends := range m.ends {
		ends[0].Close()
		ends[1].Close()
	}
	for _, f := range m.hands {
		f.Close()
	}
}
