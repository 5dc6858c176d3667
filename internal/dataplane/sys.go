package dataplane

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sys"
)

// The calls of the request path. Those that cannot block go past the scheduler (RawSyscall);
// epoll_wait tells it, so that the processor is free for others meanwhile.

// monotonic is the scoreboard's clock, in ns.
func monotonic() int64 { return sys.Monotonic() }

// clock gives the wall clock's time of a monotonic one, in ns: it looks at the wall clock ten times
// a second.
type clock struct{ looked, offset int64 }

func (c *clock) wall(mono int64) int64 {
	if mono-c.looked > int64(100*time.Millisecond) || c.looked == 0 {
		c.looked, c.offset = mono, time.Now().UnixNano()-mono
	}
	return mono + c.offset
}

func epollWait(epfd int, events []unix.EpollEvent, timeout int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	return int(n), errno
}

// epollNow is epollWait for what is there already, which does not wait.
func epollNow(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// epollWaitFor is epollWait up to some ns, -1: for ever; in whole ms where the kernel (before 5.11)
// has no better.
func epollWaitFor(epfd int, ev *unix.EpollEvent, ns int64) (int, syscall.Errno) {
	if ns < 0 {
		return epollWait(epfd, unsafe.Slice(ev, 1), -1)
	}
	ts := unix.NsecToTimespec(ns)
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(ev)), 1,
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.ENOSYS || errno == unix.EPERM { // EPERM: some container runtimes' answer to what they do not know
		return epollWait(epfd, unsafe.Slice(ev, 1), int((ns+int64(time.Millisecond)-1)/int64(time.Millisecond)))
	}
	return int(n), errno
}

func accept(fd int, sa *unix.RawSockaddrAny, salen *uint32) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(sa)),
		uintptr(unsafe.Pointer(salen)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// recv reads from a connection. recvfrom(2) costs a tenth less than read(2), which passes through
// the file layer.
func recv(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// closeFD closes a connection, which does not wait.
func closeFD(fd int) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func send(fd int, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), uintptr(unix.MSG_NOSIGNAL|flags), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// sendfile sends up to want bytes of in, from off. The socket does not block, but what is not in
// the page cache is read from the disk: maxBurst at most. RawSyscall: telling the scheduler makes
// another thread take over every time, which costs more than the call.
func sendfile(out, in int, off, want int64) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(out), uintptr(in), uintptr(unsafe.Pointer(&off)),
			uintptr(min(want, maxBurst)), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// reapChildren collects the application's children that have ended (reaper).
func reapChildren() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && err != unix.EINTR {
			return
		}
	}
}

// sendv writes up to three spans in one call. The message header lives in the caller's struct, so
// that nothing escapes.
func sendv(fd int, v *vector) (int, syscall.Errno) {
	if v.n == 1 {
		return send(fd, v.span(0), 0) // half the overhead
	}
	v.msg = unix.Msghdr{Iov: &v.iov[0], Iovlen: uint64(v.n)}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&v.msg)), unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// vector is up to three spans to be written in order.
type vector struct {
	iov [4]unix.Iovec
	msg unix.Msghdr
	n   int
}

func (v *vector) add(p []byte) {
	if len(p) > 0 {
		v.iov[v.n].Base = unsafe.SliceData(p)
		v.iov[v.n].Len = uint64(len(p))
		v.n++
	}
}

// span is span i.
func (v *vector) span(i int) []byte { return unsafe.Slice(v.iov[i].Base, v.iov[i].Len) }

// advance drops n written bytes from the front and tells whether something is left.
func (v *vector) advance(n int) bool {
	for n > 0 || (v.n > 0 && v.iov[0].Len == 0) {
		first := &v.iov[0]
		if uint64(n) < first.Len {
			first.Base = (*byte)(unsafe.Add(unsafe.Pointer(first.Base), n))
			first.Len -= uint64(n)
			return true
		}
		n -= int(first.Len)
		copy(v.iov[:], v.iov[1:v.n])
		v.n--
	}
	return v.n > 0
}

// readable reports whether bytes wait to be read.
func readable(fd int) bool {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

// unread is readable for the request path, where a client that has ended its side counts as one
// that sends no more.
func unread(fd int) bool {
	var n int32
	_, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCINQ, uintptr(unsafe.Pointer(&n)))
	return errno == 0 && n > 0
}

// queued is how many bytes its client has not taken of what was written to a connection: not
// acknowledged or, on a unix socket, not read. There is room to write again only when a third of
// them is gone, which a client that reads slowly may need minutes for.
func queued(fd int) int64 {
	var n int32
	syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	return int64(n)
}

// pending reports whether a listening socket, or one of messages, has something to be taken.
func pending(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// waitWritable blocks until fd takes more, at most timeout ms; a deadline that has passed makes
// that negative.
func waitWritable(fd int, timeout int) bool {
	timeout = max(timeout, 0) // poll(2) would wait for ever
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	deadline := monotonic() + int64(timeout)*int64(time.Millisecond)
	for {
		n, err := unix.Poll(fds, timeout)
		if err == unix.EINTR {
			if timeout = int((deadline - monotonic()) / int64(time.Millisecond)); timeout > 0 {
				continue
			}
			return false
		}
		return err == nil && n > 0 // a connection that is broken is writable: the write tells what is the matter
	}
}

func until(d time.Duration) int64 { return monotonic() + int64(d) }
