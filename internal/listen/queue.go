package listen

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Queue is the number of connections that wait to be accepted and the number that may, `listen` or less: TCP_INFO for TCP, sock_diag(7) for
// unix sockets, which uWSGI does not measure.
func (s *Socket) Queue() (waiting, limit int, err error) {
	waiting, limit, err = s.kernelQueue()
	if s.backlog > 0 {
		limit = min(limit, s.backlog)
	}
	return waiting, limit, err
}

func (s *Socket) kernelQueue() (waiting, limit int, err error) {
	if s.network != "UNIX" {
		info, err := unix.GetsockoptTCPInfo(s.FD(), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, 0, fmt.Errorf("socket %s: TCP_INFO: %w", s.Name, err)
		}
		return int(info.Unacked), int(info.Sacked), nil // of a listening socket: tcp_get_info
	}
	var st unix.Stat_t
	if err := unix.Fstat(s.FD(), &st); err != nil {
		return 0, 0, fmt.Errorf("socket %s: fstat: %w", s.Name, err)
	}
	waiting, limit, err = unixQueue(uint32(st.Ino))
	if err != nil {
		return 0, 0, fmt.Errorf("socket %s: sock_diag: %w", s.Name, err)
	}
	return waiting, limit, nil
}

// From linux/sock_diag.h and linux/unix_diag.h.
const (
	sockDiagByFamily = 20
	unixDiagShowRQ   = 0x10
	unixDiagRQLen    = 4
	unixDiagMsgLen   = 16
)

// unixQueue asks the kernel for the queue of the unix socket with that inode.
func unixQueue(inode uint32) (int, int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}); err != nil {
		return 0, 0, err
	}
	if err := unix.Sendto(fd, queueRequest(inode), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0, err
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return 0, 0, err
	}
	return parseQueue(buf[:n])
}

// queueRequest is nlmsghdr and unix_diag_req.
func queueRequest(inode uint32) []byte {
	b := make([]byte, 0, 40)
	o := binary.NativeEndian
	b = o.AppendUint32(b, 40)
	b = o.AppendUint16(b, sockDiagByFamily)
	b = o.AppendUint16(b, unix.NLM_F_REQUEST)
	b = o.AppendUint32(b, 1)
	b = o.AppendUint32(b, 0)
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = o.AppendUint32(b, 0xffffffff)
	b = o.AppendUint32(b, inode)
	b = o.AppendUint32(b, unixDiagShowRQ)
	b = o.AppendUint32(b, 0xffffffff) // no cookie
	return o.AppendUint32(b, 0xffffffff)
}

func parseQueue(b []byte) (int, int, error) {
	o := binary.NativeEndian
	if len(b) < 16 {
		return 0, 0, fmt.Errorf("a reply of %d bytes", len(b))
	}
	if o.Uint16(b[4:]) == unix.NLMSG_ERROR {
		if len(b) < 20 {
			return 0, 0, fmt.Errorf("a reply of %d bytes", len(b))
		}
		return 0, 0, unix.Errno(-int32(o.Uint32(b[16:])))
	}
	b = b[:min(len(b), int(o.Uint32(b)))]
	if len(b) < 16+unixDiagMsgLen {
		return 0, 0, fmt.Errorf("a reply of %d bytes", len(b))
	}
	for b = b[16+unixDiagMsgLen:]; len(b) >= 4; {
		size, kind := int(o.Uint16(b)), o.Uint16(b[2:])
		if size < 4 || size > len(b) {
			break
		}
		if kind == unixDiagRQLen && size >= 12 {
			return int(o.Uint32(b[4:])), int(o.Uint32(b[8:])), nil
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return 0, 0, fmt.Errorf("no queue length in the reply")
}
