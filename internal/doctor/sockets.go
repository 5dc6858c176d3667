package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"uwsgi/internal/listen"
)

// sockets looks at the addresses that are bound: the folders of unix sockets, and ports.
func (w *World) sockets() {
	s := w.Settings
	busy := listeners(w.procNet())
	for _, a := range listen.Addresses(s, w.dir) {
		if a.Path != "" {
			before := len(w.found)
			w.parent(a.Option, a.Text, a.Path, true)
			for i := range w.found[before:] {
				w.found[before+i].Origin = a.Origin
			}
			continue
		}
		if !a.Addr.IsValid() || a.Addr.Port() == 0 {
			continue
		}
		f := Finding{Option: a.Option, Value: a.Text, Origin: a.Origin}
		if from := firstFree(); int(a.Addr.Port()) < from && !w.root {
			f.Err, f.Gravity = fmt.Errorf("port %d is below %d, which uid %d may not bind", a.Addr.Port(), from, os.Geteuid()), Doubt
			f.Hint = "start it as root with uid=, let a systemd socket unit bind it, or write a port above"
			w.found = append(w.found, f)
		}
		if by, taken := busy.holder(a.Addr); taken && !s.ReusePort {
			f.Err, f.Gravity, f.Hint = by.describe(a.Addr.Port())
			w.found = append(w.found, f)
		}
	}
}

// firstFree is the first port that everybody may bind: ip(7).
func firstFree() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if n, e := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && e == nil {
		return n
	}
	return 1024
}

// procNet is what the kernel says of TCP sockets: proc_net(5).
func (w *World) procNet() string {
	var all strings.Builder
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(name)
		if err == nil {
			all.Write(b)
		}
	}
	return all.String()
}

// listener is a socket that somebody listens on.
type listener struct {
	addr  netip.AddrPort
	inode string
}

type listening []listener

// listeners reads the sockets in the state LISTEN.
func listeners(text string) (all listening) {
	const listen = "0A"
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listen {
			continue
		}
		if addr, err := hexAddress(f[1]); err == nil {
			all = append(all, listener{addr, f[9]})
		}
	}
	return all
}

// hexAddress reads an address of four-byte words in the machine's order, and the port.
func hexAddress(text string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(text, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || len(host) != 8 && len(host) != 32 {
		return netip.AddrPort{}, errors.New("no address")
	}
	var raw []byte
	for at := 0; at < len(host); at += 8 {
		for i := 6; i >= 0; i -= 2 {
			b, err := strconv.ParseUint(host[at+i:at+i+2], 16, 8)
			if err != nil {
				return netip.AddrPort{}, err
			}
			raw = append(raw, byte(b))
		}
	}
	ip, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip, uint16(p)), nil
}

// holder finds who keeps an address from being bound.
func (all listening) holder(want netip.AddrPort) (listener, bool) {
	for _, l := range all {
		have := l.addr
		if have.Port() != want.Port() {
			continue
		}
		same := have.Addr().Unmap() == want.Addr().Unmap()
		wild := have.Addr().IsUnspecified() || want.Addr().IsUnspecified()
		if same || wild && (have.Addr().Is6() || have.Addr().Is4() == want.Addr().Is4()) {
			return l, true
		}
	}
	return listener{}, false
}

// describe says who listens and what comes of it. An instance of ours is very likely this one.
func (l listener) describe(port uint16) (error, Gravity, string) {
	pid, name := holderOf(l.inode)
	switch {
	case pid == 1:
		return fmt.Errorf("systemd holds port %d", port), Note, "a socket unit hands it on"
	case name == "uwsgi":
		return fmt.Errorf("uwsgi (pid %d) listens on port %d", pid, port), Note, "this instance, most likely"
	case pid != 0:
		return fmt.Errorf("port %d is in use by %s (pid %d)", port, name, pid), Fatal, "end it, or write another port"
	}
	return fmt.Errorf("port %d is in use", port), Doubt, "by this instance? As root the check says by whom"
}

// holderOf finds a process that has a socket; 0: none that this user may look at.
func holderOf(inode string) (pid int, name string) {
	want := "socket:[" + inode + "]"
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return 0, ""
	}
	for _, p := range procs {
		n, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := "/proc/" + p.Name() + "/fd"
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if to, err := os.Readlink(dir + "/" + fd.Name()); err == nil && to == want {
				comm, _ := os.ReadFile("/proc/" + p.Name() + "/comm")
				return n, strings.TrimSpace(string(comm))
			}
		}
	}
	return 0, ""
}
