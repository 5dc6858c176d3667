package units

import (
	"net/netip"
	"strconv"
	"strings"

	"uwsgi/internal/option"
)

// stream is one ListenStream=.
type stream struct {
	value string
	path  string     // of a unix socket
	ip    netip.Addr // of a TCP socket
}

// streams gives the addresses that systemd can open: those that mean the same to it, without a name
// service, the interfaces of this moment or a working directory. The rest is bound by the instance
// itself.
func (i Instance) streams() []stream {
	var out []stream
	for _, s := range i.Settings.Sockets {
		k, ok := listenStream(s, i.Settings.AbstractSocket)
		if !ok {
			continue
		}
		known := false
		for _, o := range out {
			known = known || o.value == k.value
		}
		if !known {
			out = append(out, k)
		}
	}
	return out
}

// listeners counts the different addresses that the configuration listens on.
func (i Instance) listeners() int {
	seen := map[string]bool{}
	for _, s := range i.Settings.Sockets {
		if refers(s.Address) {
			continue
		}
		key := s.Address
		if k, ok := listenStream(s, i.Settings.AbstractSocket); ok {
			key = k.value
		}
		seen[key] = true
	}
	return len(seen)
}

// refers reports whether an address stands for a socket that is listed elsewhere: =N.
func refers(address string) bool { return strings.HasPrefix(address, "=") }

func listenStream(s option.Socket, abstract bool) (stream, bool) {
	a := strings.TrimLeft(s.Address, " \t")
	switch {
	case a == "", refers(a), strings.HasPrefix(a, "fd://"):
		return stream{}, false
	case a[0] == '@':
		return stream{value: a}, len(a) > 1
	case strings.HasPrefix(a, `\0`):
		return stream{value: "@" + a[2:]}, len(a) > 2
	case a[0] == '/':
		if abstract {
			return stream{value: "@" + a}, true
		}
		return stream{value: a, path: a}, true
	case !strings.Contains(a, ":"):
		return stream{}, false // relative to the working directory
	}
	return listenTCP(a)
}

func listenTCP(a string) (stream, bool) {
	cut := strings.LastIndexByte(a, ':')
	host, digits := a[:cut], a[cut+1:]
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return stream{}, false // a free port is the instance's to choose
	}
	var ip netip.Addr
	switch {
	case host == "" || host == "*":
		ip = netip.IPv4Unspecified()
	case host == "localhost":
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case host == "[]":
		ip = netip.IPv6Unspecified()
	default:
		if ip, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err != nil ||
			ip.Zone() != "" {
			return stream{}, false // a host name, or an interface by a pattern
		}
	}
	return stream{value: netip.AddrPortFrom(ip, uint16(port)).String(), ip: ip}, true
}

// Anybodys reports whether whoever has an account may listen on an address: systemd, as root, may
// do so in his place.
func Anybodys(address string) bool {
	k, ok := listenStream(option.Socket{Address: address}, false)
	if !ok || k.path != "" {
		return false
	}
	if !k.ip.IsValid() {
		return true
	}
	at, err := netip.ParseAddrPort(k.value)
	return err == nil && at.Port() >= 1024
}
