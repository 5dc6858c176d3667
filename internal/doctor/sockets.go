package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"uwsgi/internal/listen"
	"uwsgi/internal/option"
)

// sockets looks at the addresses that are bound: the folders of unix sockets, and ports.
func (w *World) sockets() {
	s := w.Settings
	for _, a := range listen.Addresses(s, w.dir) {
		if a.Path != "" {
			before := len(w.found)
			path := a.Path
			if option.PathIn(w.dir, a.Text) == path {
				path = a.Text
			}
			w.parent(a.Option, a.Text, path, w.dir, true)
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
			f.Err = fmt.Errorf("port %d is below %d, which uid %d may not bind", a.Addr.Port(), from, os.Geteuid())
			f.Gravity = Doubt
			f.Hint = "start it as root with uid=, let a systemd socket unit bind it, or write a port above"
			w.found = append(w.found, f)
		}
		if by, taken := listen.HolderOf(a.Addr); taken && !s.ReusePort {
			f.Gravity, f.Hint, f.Err = describe(by, a.Addr.Port())
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

// describe says who listens and what comes of it. An instance of ours is very likely this one.
func describe(by listen.Holder, port uint16) (Gravity, string, error) {
	switch {
	case by.PID == 1:
		return Note, "a socket unit hands it on", fmt.Errorf("systemd holds port %d", port)
	case by.Name == "uwsgi":
		return Note, "this instance, most likely", fmt.Errorf("uwsgi (pid %d) listens on port %d", by.PID, port)
	case by.PID != 0:
		return Fatal, "end it, or write another port",
			fmt.Errorf("port %d is in use by %s (pid %d)", port, by.Name, by.PID)
	}
	return Doubt, "by this instance? As root the check says by whom", fmt.Errorf("port %d is in use", port)
}
