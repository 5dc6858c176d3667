package dataplane

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// acceptQueue measures how many connections wait on listening sockets: TCP_INFO for TCP, sock_diag(7) for unix sockets.
type acceptQueue struct {
	netlink int // -1: not opened
	buf     [1024]byte
}

func (q *acceptQueue) close() {
	if q.netlink >= 0 {
		unix.Close(q.netlink)
		q.netlink = -1
	}
}

// length gives the connections that wait and those that may, `listen` or less; limit is 0 where the kernel does not say.
func (q *acceptQueue) length(l *listener) (waiting, limit int) {
	waiting, limit = q.measure(l)
	if l.Backlog > 0 {
		limit = min(limit, l.Backlog)
	}
	return waiting, limit
}

func (q *acceptQueue) measure(l *listener) (waiting, limit int) {
	if !l.unix {
		info, err := unix.GetsockoptTCPInfo(l.FD, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, 0
		}
		return int(info.Unacked), int(info.Sacked) // of a listening socket: tcp_get_info
	}
	if l.inode == 0 {
		var st unix.Stat_t
		if unix.Fstat(l.FD, &st) != nil {
			return 0, 0
		}
		l.inode = uint32(st.Ino)
	}
	return q.ask(l.inode)
}

// From linux/sock_diag.h and linux/unix_diag.h.
const (
	sockDiagByFamily = 20
	unixDiagShowRQ   = 0x10
	unixDiagRQLen    = 4
	unixDiagMsgLen   = 16
)

// ask has the kernel tell of the unix socket with that inode.
func (q *acceptQueue) ask(inode uint32) (waiting, limit int) {
	if q.netlink < 0 {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
		if err != nil {
			return 0, 0
		}
		q.netlink = fd
	}
	o := binary.NativeEndian
	b := o.AppendUint32(q.buf[:0], 40) // nlmsghdr
	b = o.AppendUint16(b, sockDiagByFamily)
	b = o.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, unix.AF_UNIX, 0, 0, 0) // unix_diag_req
	b = o.AppendUint32(b, 0xffffffff)
	b = o.AppendUint32(b, inode)
	b = o.AppendUint32(b, unixDiagShowRQ)
	b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // no cookie
	if unix.Sendto(q.netlink, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return 0, 0
	}
	n, _, err := unix.Recvfrom(q.netlink, q.buf[:], 0) // the kernel answers before sendto returns
	if err != nil {
		return 0, 0
	}
	return queueLength(q.buf[:n])
}

// queueLength reads the kernel's reply.
func queueLength(b []byte) (waiting, limit int) {
	o := binary.NativeEndian
	if len(b) < 16+unixDiagMsgLen || o.Uint16(b[4:]) == unix.NLMSG_ERROR {
		return 0, 0
	}
	b = b[:min(len(b), int(o.Uint32(b)))]
	for b = b[min(len(b), 16+unixDiagMsgLen):]; len(b) >= 4; {
		size, kind := int(o.Uint16(b)), o.Uint16(b[2:])
		if size < 4 || size > len(b) {
			break
		}
		if kind == unixDiagRQLen && size >= 12 {
			return int(o.Uint32(b[4:])), int(o.Uint32(b[8:]))
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return 0, 0
}
