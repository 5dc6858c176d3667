package dataplane

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/boot"
	"uwsgi/internal/option"
	"uwsgi/internal/proto/http1"
)

// listener is one listening socket.
type listener struct {
	boot.Listener
	index  int
	proto  protocol
	nph    bool // fastcgi-nph, scgi-nph: the response begins with an HTTP status line, not with Status:
	unix   bool
	plain  bool   // of its connections
	inode  uint32 // of a unix socket; the housekeeper's
	server http1.Server
}

func newListener(i int, l boot.Listener, hostname string, s *option.Settings) *listener {
	lis := &listener{Listener: l, index: i, plain: true}
	switch l.Protocol {
	case "http", "http11":
		lis.proto = protoHTTP
	case "fastcgi", "fastcgi-nph":
		lis.proto = protoFastCGI
	case "scgi", "scgi-nph":
		lis.proto = protoSCGI
	}
	lis.nph = strings.HasSuffix(l.Protocol, "-nph")
	port := "80"
	if i := strings.LastIndexByte(l.Name, ':'); i >= 0 {
		port = l.Name[i+1:]
	} else {
		lis.unix = true
	}
	lis.server = http1.Server{ServerName: hostname, ServerPort: port, ScriptName: true, HostAsName: s.HTTPHostAsName && l.Option == "http"}
	for _, v := range s.HTTPVars {
		if k, val, ok := strings.Cut(v, "="); ok {
			lis.server.Vars = append(lis.server.Vars, http1.Var{Name: k, Value: val})
		}
	}
	return lis
}

// listenerOf is the listener of that name; where a reload took it away, any other one of its
// protocol will do for a connection that lives on. nil: there is none.
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
		cn.peer = http1.Peer{Addr: ipv4(in.Addr), Port: port(in.Port)}
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		cn.peer = http1.Peer{Addr: ipv6(in.Addr), Port: port(in.Port)}
	default:
		cn.peer = http1.Peer{Addr: "0.0.0.0"} // what uWSGI shows for a unix socket
	}
}

func ipv4(b [4]byte) string { return netip.AddrFrom4(b).String() }

func ipv6(b [16]byte) string { return netip.AddrFrom16(b).Unmap().String() }

func port(p uint16) string {
	return strconv.Itoa(int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&p))[:])))
}

// raw reports whether the bytes behind a head are the application's, in both directions.
func (l *listener) raw() bool { return l.proto != protoFastCGI }
