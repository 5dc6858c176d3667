package listen

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// held is a listening socket that exists already: passed by systemd, or kept from the previous
// configuration.
type held struct {
	file    *os.File
	fd      int
	fdname  string // FileDescriptorName=, "" if none
	local   local
	old     *Socket // the previous configuration's, nil when systemd passed it just now
	claimed bool
}

// local is where a socket is bound: getsockname(2).
type local struct {
	network string // TCP, TCP6, UNIX
	addr    netip.AddrPort
	path    string
	name    string // abstract name
}

func (l local) String() string {
	switch {
	case l.network != "UNIX":
		return l.addr.String()
	case l.path != "":
		return l.path
	}
	return "@" + l.name
}

// inspect checks that fd is a listening stream socket and says where it is bound.
func inspect(fd int) (local, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return local{}, fmt.Errorf("descriptor %d is not a socket", fd)
	}
	if kind != unix.SOCK_STREAM {
		return local{}, fmt.Errorf("descriptor %d is not a stream socket (ListenStream= makes one)", fd)
	}
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return local{}, fmt.Errorf("descriptor %d is a connection, not a listening socket (a socket unit "+
			"must have Accept=no)", fd)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return local{}, fmt.Errorf("descriptor %d: getsockname: %w", fd, err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return local{network: "TCP", addr: netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))}, nil
	case *unix.SockaddrInet6:
		return local{network: "TCP6", addr: netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))}, nil
	case *unix.SockaddrUnix:
		if strings.HasPrefix(sa.Name, "@") {
			return local{network: "UNIX", name: sa.Name[1:]}, nil
		}
		return local{network: "UNIX", path: sa.Name}, nil
	}
	return local{}, fmt.Errorf("descriptor %d: a socket of this family cannot be served", fd)
}

// is reports whether a configured address is exactly where the socket is bound.
func (l local) is(a address) bool {
	switch a.kind {
	case kindTCP:
		return l.network != "UNIX" && a.port != 0 && l.addr.Port() == uint16(a.port) &&
			l.addr.Addr().Unmap() == a.ip.Unmap()
	case kindUnix:
		return l.path != "" && samePath(l.path, a.path)
	case kindAbstract:
		return l.name != "" && l.name == a.path
	}
	return false
}

// covers reports whether a socket bound to every address of the same port serves what was
// configured: systemd's ListenStream=8000 is [::]:8000, which takes IPv4 too.
func (l local) covers(a address) bool {
	return a.kind == kindTCP && l.network != "UNIX" && a.port != 0 && l.addr.Port() == uint16(a.port) &&
		l.addr.Addr().IsUnspecified() &&
		(l.addr.Addr().Is6() || a.ip.Is4())
}

func samePath(a, b string) bool { return canonicalPath(a) == canonicalPath(b) }

// canonicalPath resolves the links of the directory: /var/run/x and /run/x are one socket.
func canonicalPath(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return abs
	}
	return filepath.Join(dir, filepath.Base(abs))
}

// want is one configured address that is to be served or shared.
type want struct {
	index int // in Settings.Sockets
	addr  address
	opt   string
	proto string
	from  *held
}

// match gives each wanted address the held socket that is meant for it: the one that had this
// address before, the one bound there, the one whose FileDescriptorName= says so (an option, a
// protocol or the address itself), then, for what systemd passed, in order.
func match(wants []*want, pool []*held) {
	claim := func(test func(w *want, h *held) bool) {
		for _, w := range wants {
			if w.from != nil {
				continue
			}
			for _, h := range pool {
				if !h.claimed && test(w, h) {
					w.from, h.claimed = h, true
					break
				}
			}
		}
	}
	claim(func(w *want, h *held) bool { return w.addr.kind == kindFD && w.addr.num == h.fd })
	claim(func(w *want, h *held) bool { return h.old != nil && h.old.key == w.addr.key() })
	claim(func(w *want, h *held) bool { return h.local.is(w.addr) })
	// From here on only what systemd passed: a socket of our own that moved is bound anew.
	foreign := func(h *held) bool { return h.old == nil || h.old.Inherited }
	claim(func(w *want, h *held) bool { return foreign(h) && h.local.covers(w.addr) })
	claim(func(w *want, h *held) bool { return foreign(h) && h.fdname != "" && h.fdname == w.addr.name })
	claim(func(w *want, h *held) bool { return foreign(h) && h.fdname != "" && h.fdname == w.opt })
	claim(func(w *want, h *held) bool { return foreign(h) && h.fdname != "" && h.fdname == w.proto })
	claim(func(w *want, h *held) bool {
		// What was taken for its address is no other address's, when that has changed.
		return foreign(h) && unnamed(h.fdname) && w.addr.kind != kindFD && (h.old == nil || !h.old.exact)
	})
}

// serves reports whether a held socket takes what would come to a configured address.
func (l local) serves(a address) bool { return l.is(a) || l.covers(a) }

// unnamed reports whether a descriptor's name is only what systemd gives by default, the socket
// unit's own: systemd.socket(5). A socket that was named on purpose is not taken for another one.
func unnamed(name string) bool { return name == "" || strings.HasSuffix(name, ".socket") }
