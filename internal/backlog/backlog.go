// Package backlog measures how many connections wait to be accepted on a listening socket: by
// TCP_INFO for TCP, by sock_diag(7) for unix sockets, which uWSGI does not measure. Supervisor and
// workers both ask.
package backlog

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Meter asks the kernel, and allocates nothing. The zero value is ready; it serves one goroutine at
// a time.
type Meter struct {
	netlink int // a descriptor
	open    bool
	buf     [1024]byte
	info    unix.TCPInfo
}

// Close gives back what Unix has opened, and will open again.
func (m *Meter) Close() {
	if m.open {
		unix.Close(m.netlink)
		m.open = false
	}
}

// TCP gives the connections that wait on the listening socket fd and the number that may.
func (m *Meter) TCP(fd int) (waiting, limit int, err error) {
	size := uint32(unsafe.Sizeof(m.info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&m.info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, 0, fmt.Errorf("TCP_INFO: %w", errno)
	}
	return int(m.info.Unacked), int(m.info.Sacked), nil // of a listening socket: tcp_get_info
}

// Inode is what Unix knows a socket by.
func Inode(fd int) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("fstat: %w", err)
	}
	return uint32(st.Ino), nil
}

// From linux/sock_diag.h and linux/unix_diag.h.
const (
	sockDiagByFamily = 20
	unixDiagShowRQ   = 0x10
	unixDiagRQLen    = 4
	unixDiagMsgLen   = 16
)

// Unix is TCP for the unix socket with that inode.
func (m *Meter) Unix(inode uint32) (waiting, limit int, err error) {
	if !m.open {
		if m.netlink, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK,
			unix.NETLINK_SOCK_DIAG); err != nil {
			return 0, 0, fmt.Errorf("sock_diag: %w", err)
		}
		m.open = true
	}
	if _, err := unix.Write(m.netlink, request(m.buf[:0], inode)); err != nil {
		return 0, 0, fmt.Errorf("sock_diag: %w", err)
	}
	n, err := unix.Read(m.netlink, m.buf[:]) // the kernel has answered before the write returns
	if err != nil {
		return 0, 0, fmt.Errorf("sock_diag: %w", err)
	}
	return parse(m.buf[:n])
}

// request is nlmsghdr and unix_diag_req.
func request(b []byte, inode uint32) []byte {
	o := binary.NativeEndian
	b = o.AppendUint32(b, 40)
	b = o.AppendUint16(b, sockDiagByFamily)
	b = o.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = o.AppendUint32(b, 0xffffffff)
	b = o.AppendUint32(b, inode)
	b = o.AppendUint32(b, unixDiagShowRQ)
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // no cookie
}

func parse(b []byte) (waiting, limit int, err error) {
	o := binary.NativeEndian
	if len(b) >= 20 && o.Uint16(b[4:]) == unix.NLMSG_ERROR {
		return 0, 0, fmt.Errorf("sock_diag: %w", unix.Errno(-int32(o.Uint32(b[16:]))))
	}
	if len(b) >= 4 {
		b = b[:min(len(b), int(o.Uint32(b)))]
	}
	if len(b) < 16+unixDiagMsgLen {
		return 0, 0, fmt.Errorf("sock_diag: a reply of %d bytes", len(b))
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
	return 0, 0, fmt.Errorf("sock_diag: no queue length in the reply")
}
