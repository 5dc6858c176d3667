package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

type kind int

const (
	kindTCP kind = iota
	kindUnix
	kindAbstract
	kindFD     // fd://N
	kindShared // =N
)

// address is one configured address, understood.
type address struct {
	kind kind
	name string // as uWSGI shows it, before a port is chosen
	ip   netip.Addr
	port int
	path string // kindUnix: absolute; kindAbstract: the name without the leading NUL or @
	text string // kindUnix: the path as written
	num  int    // kindFD, kindShared
}

// maxUnixPath is sun_path without its terminating NUL: unix(7).
const maxUnixPath = 107

// key is equal if two addresses are the same one.
func (a address) key() string {
	switch a.kind {
	case kindUnix:
		return "unix:" + a.path
	case kindAbstract:
		return "abstract:" + a.path
	case kindFD:
		return "fd:" + strconv.Itoa(a.num)
	case kindShared:
		return "shared:" + strconv.Itoa(a.num)
	}
	return "tcp:" + netip.AddrPortFrom(a.ip, uint16(a.port)).String()
}

// host is what address parsing asks of the machine.
type host struct {
	lookup     func(name string) ([]netip.Addr, error)
	interfaces func() ([]netip.Addr, error)
	abs        func(string) (string, error)
}

// thisHost is this machine; relative paths start at dir, "" = the working directory.
func thisHost(dir string) host {
	return host{
		lookup: func(name string) ([]netip.Addr, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
		interfaces: func() ([]netip.Addr, error) {
			list, err := net.InterfaceAddrs()
			if err != nil {
				return nil, err
			}
			var out []netip.Addr
			for _, a := range list {
				if n, ok := a.(*net.IPNet); ok {
					if ip, ok := netip.AddrFromSlice(n.IP); ok {
						out = append(out, ip.Unmap())
					}
				}
			}
			return out, nil
		},
		abs: func(path string) (string, error) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			return filepath.Abs(path)
		},
	}
}

// parse reads an address in any form that uWSGI takes; abstract makes every path an abstract name
// (abstract-socket).
func (h host) parse(raw string, abstract bool) (address, error) {
	text := strings.TrimLeft(raw, " \t")
	switch {
	case text == "":
		return address{}, errors.New("empty address")
	case strings.HasPrefix(text, "fd://"):
		n, err := strconv.Atoi(text[len("fd://"):])
		if err != nil || n < 0 {
			return address{}, fmt.Errorf("%q is not a descriptor number", text[len("fd://"):])
		}
		return address{kind: kindFD, name: text, num: n}, nil
	case text[0] == '=':
		n, err := strconv.Atoi(text[1:])
		if err != nil || n < 0 {
			return address{}, fmt.Errorf("=N refers to shared-socket number N, and %q is no number (write the "+
				"address after a single =)", text[1:])
		}
		return address{kind: kindShared, name: text, num: n}, nil
	case text[0] == '@':
		return abstractAddress(text, text[1:])
	case strings.HasPrefix(text, `\0`):
		return abstractAddress(text, text[2:])
	case text[0] == '/' || !strings.Contains(text, ":"):
		if abstract {
			return abstractAddress(text, text)
		}
		if len(text) > maxUnixPath {
			return address{}, fmt.Errorf("invalid socket name: %d bytes, and a unix socket's path holds %d", len(text),
				maxUnixPath)
		}
		path, err := h.abs(text)
		if err != nil {
			return address{}, err
		}
		return address{kind: kindUnix, name: text, path: path, text: text}, nil
	}
	return h.parseTCP(text)
}

func abstractAddress(shown, name string) (address, error) {
	if name == "" || len(name) > maxUnixPath {
		return address{}, fmt.Errorf("invalid socket name: an abstract name has 1 to %d bytes", maxUnixPath)
	}
	return address{kind: kindAbstract, name: shown, path: name}, nil
}

func (h host) parseTCP(text string) (address, error) {
	cut := strings.LastIndexByte(text, ':')
	where, digits := text[:cut], text[cut+1:]
	port, err := strconv.Atoi(digits)
	if err != nil || port < 0 || port > 65535 {
		return address{}, fmt.Errorf("%q is not a port number", digits)
	}
	a := address{kind: kindTCP, name: text, port: port}
	switch {
	case where == "" || where == "*":
		a.ip = netip.IPv4Unspecified()
	case strings.HasPrefix(where, "["):
		if !strings.HasSuffix(where, "]") {
			return address{}, fmt.Errorf("%q has no closing bracket", where)
		}
		if where == "[]" {
			a.ip = netip.IPv6Unspecified()
			break
		}
		if a.ip, err = netip.ParseAddr(where[1 : len(where)-1]); err != nil || !a.ip.Is6() {
			return address{}, fmt.Errorf("%q is not an IPv6 address", where)
		}
	case strings.HasSuffix(where, "*"):
		list, err := h.interfaces()
		if err != nil {
			return address{}, fmt.Errorf("list interfaces: %w", err)
		}
		for _, ip := range list {
			if ip.Is4() && strings.HasPrefix(ip.String(), where[:len(where)-1]) {
				a.ip, a.name = ip, ip.String()+":"+digits
				break
			}
		}
		if !a.ip.IsValid() {
			return address{}, fmt.Errorf("no interface of this host has an address %s", where)
		}
	default:
		if a.ip, err = h.resolve(where); err != nil {
			return address{}, err
		}
	}
	return a, nil
}

// resolve gives the first IPv4 address of a name, else its first address, as gethostbyname does.
func (h host) resolve(name string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip.Is6() {
			return ip, errors.New("an IPv6 address is written in brackets: [" + name + "]:port")
		}
		return ip, nil
	}
	list, err := h.lookup(name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("host %q cannot be resolved: %w", name, err)
	}
	for _, ip := range list {
		if ip = ip.Unmap(); ip.Is4() {
			return ip, nil
		}
	}
	if len(list) == 0 {
		return netip.Addr{}, fmt.Errorf("host %q has no address", name)
	}
	return list[0], nil
}
