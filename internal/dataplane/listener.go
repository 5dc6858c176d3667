package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/request"
	"uwsgi/internal/wire"
)

// listener is one listening socket.
type listener struct {
	wire.Listener
	index int
	proto *protocol
	parse parser
	unix  bool
	path  string // of a unix socket whose peers are clients
	port  string
	plain bool   // of its connections
	inode uint32 // of a unix socket; the housekeeper's
}

func newListener(i int, l wire.Listener, hostname string, s *option.Settings) (*listener, error) {
	p := protocols[l.Protocol]
	if p == nil {
		return nil, fmt.Errorf("socket %s: %q is no protocol that is spoken here", l.Name, l.Protocol)
	}
	lis := &listener{Listener: l, index: i, proto: p, parse: p.parse, port: "80", plain: true}
	if i := strings.LastIndexByte(l.Name, ':'); i >= 0 {
		lis.port = l.Name[i+1:]
	} else {
		lis.unix = true
		if p.client {
			lis.path = l.Name
		}
	}
	if p.parserOf != nil {
		lis.parse = p.parserOf(lis, hostname, s)
	}
	return lis, nil
}

// listenerOf is the listener of that name. If a reload took it away, any other of its protocol will
// do for a connection that lives on; nil if there is none.
func (e *Engine) listenerOf(name, protocol string) *listener {
	var other *listener
	for _, l := range e.listeners {
		switch {
		case l.Protocol != protocol:
		case l.Name == name:
			return l
		default:
			other = l
		}
	}
	return other
}

// setPeer notes the client's address.
func setPeer(cn *conn, sa *unix.RawSockaddrAny) {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		cn.peer = request.Peer{Addr: ipv4(in.Addr), Port: port(in.Port)}
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		cn.peer = request.Peer{Addr: ipv6(in.Addr), Port: port(in.Port)}
	default:
		cn.peer = request.Peer{Addr: "0.0.0.0"} // what uWSGI shows for a unix socket
	}
}

func ipv4(b [4]byte) string { return netip.AddrFrom4(b).String() }

func ipv6(b [16]byte) string { return netip.AddrFrom16(b).Unmap().String() }

func port(p uint16) string {
	return strconv.Itoa(int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&p))[:])))
}

// raw reports whether the bytes after a head go to the application unframed, in both directions.
func (l *listener) raw() bool { return l.proto.records == nil }
