package listen

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Holder is who listens where somebody else wants to.
type Holder struct {
	PID  int    // 0 = a process that this user may not look at
	Name string // of its program
}

// HolderOf finds who keeps a TCP address from being bound; false: nobody does.
func HolderOf(want netip.AddrPort) (Holder, bool) {
	l, taken := listeners(procNet()).holder(want)
	if !taken {
		return Holder{}, false
	}
	pid, name := process(l.inode)
	return Holder{pid, name}, true
}

// procNet is what the kernel says of TCP sockets: proc_net(5).
func procNet() string {
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

// process finds one that has a socket; 0: none that this user may look at.
func process(inode string) (pid int, name string) {
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
