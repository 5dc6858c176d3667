package listen

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/access"
	"uwsgi/internal/option"
)

// somaxconnFile holds the longest queue the kernel keeps: listen(2).
const somaxconnFile = "/proc/sys/net/core/somaxconn"

// binder makes sockets for one configuration.
type binder struct {
	opts    Options
	owner   owner
	mode    os.FileMode // of unix sockets
	modeSet bool        // false: 0777 less the process's umask, which the kernel applies
	backlog int         // connections that may wait before workers take them in or turn them away
	log     func(string)
	keeper  Keeper // nil = there is none
}

// Options are those of a socket that are set before it is bound, and that the connections inherit:
// tcp(7), socket(7).
type Options struct {
	ReusePort, Freebind, Keepalive, Nodelay bool
	Sndbuf, Rcvbuf, FastOpen                int // 0 = the kernel's
	// seconds that a connection which has sent nothing is kept back; 0 = not at all
	Defer int
}

func optionsOf(s *option.Settings) Options {
	return Options{ReusePort: s.ReusePort, Freebind: s.Freebind, Keepalive: s.SoKeepalive, Nodelay: s.TCPNodelay,
		Sndbuf: s.SoSndbuf, Rcvbuf: s.SoRcvbuf, FastOpen: s.TCPFastOpen, Defer: deferFor(s)}
}

func newBinder(s *option.Settings, keeper Keeper, log func(string)) (*binder, error) {
	b := &binder{opts: optionsOf(s), log: log, keeper: keeper}
	var err error
	if b.owner, err = socketOwner(s, os.Geteuid()); err != nil {
		return nil, err
	}
	switch {
	case s.ChmodSocket != "":
		n, err := strconv.ParseUint(s.ChmodSocket, 8, 32)
		if err != nil || len(s.ChmodSocket) != 3 {
			return nil, fmt.Errorf("invalid chmod value: %s", s.ChmodSocket)
		}
		b.mode, b.modeSet = os.FileMode(n), true
	case s.Umask >= 0:
		b.mode, b.modeSet = 0o777&^os.FileMode(s.Umask), true
	case s.Daemonize != "" || s.DaemonizePlain:
		// uWSGI goes to the background with a umask of 0, and front ends of other users count on
		// the sockets that gives. The files of the application keep the umask that the start had.
		b.mode, b.modeSet = 0o777, true
	}
	b.backlog = clampBacklog(s.Listen, somaxconn(somaxconnFile), log)
	return b, nil
}

// somaxconn reads the kernel's limit; 4096, its default since Linux 5.4, where the file cannot be
// read.
func somaxconn(path string) int {
	text, err := os.ReadFile(path)
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 {
			return n
		}
	}
	return 4096
}

// clampBacklog applies `listen`. uWSGI refuses to start where it is more than the kernel keeps; the
// kernel cuts it without a word.
func clampBacklog(want, limit int, log func(string)) int {
	if want <= 0 {
		return limit
	}
	if want > limit {
		log(fmt.Sprintf("listen = %d is more than this kernel keeps: connections queue up to net.core.somaxconn = %d "+
			"(raise it with sysctl net.core.somaxconn=%d)",
			want, limit, want))
		return limit
	}
	return want
}

// bind makes a listening socket for a: with the rights of this process, else with the keeper's.
func (b *binder) bind(a address, o option.Socket) (*Socket, error) {
	k := &Socket{Name: a.name, Option: o.Option, key: a.key(), origin: o.Origin, network: "UNIX"}
	fd, err := b.bindOwn(a, k)
	if denied(err) && b.keeper != nil {
		if fd, dev, inode, kerr := b.keeper.Bind(a.key()); kerr == nil {
			k.File, k.Dev, k.Inode = newFile(fd, k.Name), dev, inode
			if a.kind == kindUnix {
				k.Path = a.path
			}
			k.describe()
			b.outdated(a, k)
			return k, nil
		} else if !denied(kerr) {
			err = kerr
		}
	}
	if err != nil {
		return nil, b.explain(a, o, err)
	}
	k.File = newFile(fd, k.Name)
	return k, nil
}

// denied reports whether somebody with more rights could do better.
func denied(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// bindOwn binds and listens with the rights of this process.
func (b *binder) bindOwn(a address, k *Socket) (fd int, err error) {
	switch a.kind {
	case kindUnix:
		fd, err = b.bindUnix(a, k)
	case kindAbstract:
		fd, err = b.bindAbstract(a)
	default:
		fd, err = b.bindTCP(a, k)
	}
	if err != nil {
		return -1, err
	}
	// The kernel keeps as many as it can, however short `listen` is: what comes before a worker
	// looks has its place. A unix socket refuses what has none, at once.
	if err := unix.Listen(fd, math.MaxInt32); err != nil {
		unix.Close(fd)
		if k.Path != "" {
			_ = k.remove(nil)
		}
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// newFile wraps a descriptor so that it stays out of the runtime's poller, and makes it nonblocking
// for the workers.
func newFile(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, false)
	f := os.NewFile(uintptr(fd), name)
	_ = unix.SetNonblock(fd, true)
	return f
}

func (b *binder) bindTCP(a address, k *Socket) (int, error) {
	family := unix.AF_INET
	k.network = "TCP"
	if a.ip.Is6() {
		family, k.network = unix.AF_INET6, "TCP6"
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := b.tcpOptions(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	sa, err := sockaddr(netip.AddrPortFrom(a.ip, uint16(a.port)))
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sa))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	if a.port == 0 {
		if local, err := unix.Getsockname(fd); err == nil {
			k.Name = strings.TrimSuffix(a.name, "0") + strconv.Itoa(portOf(local))
		}
	}
	return fd, nil
}

// tcpOptions sets what accepted connections inherit from the listening socket: tcp(7), socket(7).
func (b *binder) tcpOptions(fd int) error {
	s := b.opts
	type opt struct {
		on                 bool
		name               string
		level, opt, number int
	}
	for _, o := range []opt{
		{true, "SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{s.ReusePort, "SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{s.Freebind, "IP_FREEBIND", unix.SOL_IP, unix.IP_FREEBIND, 1},
		{s.Keepalive, "SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{s.Nodelay, "TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{s.Sndbuf > 0, "SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, s.Sndbuf},
		{s.Rcvbuf > 0, "SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, s.Rcvbuf},
		{s.FastOpen > 0, "TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, s.FastOpen},
		{true, "TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, s.Defer},
	} {
		if !o.on {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.number); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	return nil
}

// deferFor is for how many seconds the kernel keeps a connection back that has sent nothing, 0 =
// not at all.
func deferFor(s *option.Settings) int {
	if !s.DeferAccept {
		return 0
	}
	return max(1, int(s.SocketTimeout.Seconds()))
}

func sockaddr(ap netip.AddrPort) (unix.Sockaddr, error) {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if zone := ap.Addr().Zone(); zone != "" {
		ifc, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("interface %q: %w", zone, err)
		}
		sa.ZoneId = uint32(ifc.Index)
	}
	return sa, nil
}

func portOf(sa unix.Sockaddr) int {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Port
	case *unix.SockaddrInet6:
		return sa.Port
	}
	return 0
}

// explain turns a failed call into the error that the administrator reads.
func (b *binder) explain(a address, o option.Socket, err error) error {
	e := &Error{Address: a.name, Option: o.Option, Origin: o.Origin, Err: err}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		e.Op, e.Err = sys.Syscall, sys.Err
	}
	switch {
	case errors.Is(err, errAlive) || errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, errNotSocket):
		e.Text = "probably another instance of uWSGI is running on the same address (" + a.name + ")."
		e.Op, e.Err = "bind", syscall.EADDRINUSE
		if by, _ := HolderOf(netip.AddrPortFrom(a.ip, uint16(a.port))); a.kind == kindTCP && by.PID != 0 {
			e.Hint = fmt.Sprintf("it is %s (pid %d)", by.Name, by.PID)
		}
	case denied(err) && b.keeper != nil:
		e.Hint = "this instance gave root up when it had started: what its first configuration did " +
			"not name takes a restart"
	case denied(err) && a.kind == kindUnix:
		e.Op = "bind"
		var b *access.Blocked
		if errors.As(access.Check(filepath.Dir(a.path), access.Put, nil), &b) {
			e.Hint = fmt.Sprintf("%v: %s", b, b.Hint())
		}
	case errors.Is(err, syscall.EACCES) && a.kind == kindTCP && a.port < 1024:
		e.Hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE; under systemd a socket unit binds them"
	case errors.Is(err, syscall.ENOENT) && a.kind == kindUnix:
		e.Hint = "the directory does not exist; under systemd RuntimeDirectory= makes one below /run"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Hint = "no interface of this host has that address; freebind = true binds it all the same"
	}
	return e
}
