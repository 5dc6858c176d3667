package listen

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

func TestInheritByAddress(t *testing.T) {
	path := socketPath(t, "in.sock")
	unixIn, tcpIn := passed(t, "unix", path, "app.socket"), passed(t, "tcp", "127.0.0.1:0", "app.socket")
	l, err := inspect(int(tcpIn.File.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	before := inodeOf(t, path)
	s := settings(l.addr.String())
	// The path is written through a link to its directory, as /var/run is one to /run.
	link := filepath.Join(filepath.Dir(path), "link")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		t.Fatal(err)
	}
	s.Sockets = append(s.Sockets, option.Socket{Address: filepath.Join(link, "in.sock"),
		Option: "http-socket", Protocol: "http"})
	s.ChmodSocket, s.ChownSocket, s.Vacuum = "666", fmt.Sprint(os.Geteuid()), true
	set, log := mustOpen(t, s, unixIn, tcpIn)
	if set.Sockets[0].File != tcpIn.File || set.Sockets[1].File != unixIn.File || set.Sockets[1].Protocol != "http" ||
		!set.Sockets[1].Inherited {
		t.Fatalf("%+v %+v", set.Sockets[0], set.Sockets[1])
	}
	if st, _ := os.Lstat(path); st.Mode().Perm() != 0o600 || inodeOf(t, path) != before {
		t.Error("an inherited socket was changed")
	}
	for _, want := range []string{"- SystemD socket activation detected -",
		"uwsgi socket 0 attached to INET address " + l.addr.String(),
		"uwsgi socket 1 attached to UNIX address", "chmod-socket = 666 does not apply to it: it is 600 (SocketMode="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "chown-socket") {
		t.Errorf("it has the owner that it should have:\n%s", log)
	}
	set.Vacuum(log.add)
	if _, err := os.Lstat(path); err != nil || !strings.Contains(log.String(), "is kept: systemd made it") {
		t.Errorf("%v\n%s", err, log)
	}
	canConnect(t, "unix", path)
}

// A connection that says nothing is kept back at an inherited TCP socket as at one of our own, and
// a reload takes that back.
func TestInheritedDefersAccept(t *testing.T) {
	in := passed(t, "tcp", "127.0.0.1:0", "app.socket")
	s := settings("127.0.0.1:0")
	deferred := func() int {
		n, err := unix.GetsockoptInt(int(in.File.Fd()), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s.DeferAccept, s.SocketTimeout = true, 4e9
	set, log := mustOpen(t, s, in)
	if deferred() == 0 {
		t.Error("TCP_DEFER_ACCEPT is not set")
	}
	s.DeferAccept = false
	if _, err := Reopen(set, s, "", nil, log.add); err != nil {
		t.Fatal(err)
	}
	if n := deferred(); n != 0 {
		t.Errorf("TCP_DEFER_ACCEPT = %d after no-defer-accept", n)
	}
}

func TestMatchOrder(t *testing.T) {
	mk := func(name, network, addr string) *held {
		h := &held{fdname: name, local: local{network: network}}
		if network == "UNIX" {
			h.local.path = addr
		} else if err := h.local.addr.UnmarshalText([]byte(addr)); err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, c := range []struct {
		name  string
		wants [][2]string // address, option
		pool  []*held
		want  []int // index of the held one, -1 = bound
	}{
		{"wildcard of systemd", [][2]string{{":8000", "http"}}, []*held{mk("x.socket", "TCP6", "[::]:8000")}, []int{0}},
		{"exact before wildcard", [][2]string{{"127.0.0.1:8000", "http"}, {":8000", "socket"}},
			[]*held{mk("", "TCP6", "[::]:8000"), mk("", "TCP", "127.0.0.1:8000")}, []int{1, 0}},
		{"by option name", [][2]string{{"/run/a", "socket"}, {":80", "http"}}, []*held{mk("http", "TCP6", "[::]:8080"), mk("socket", "UNIX", "/run/b")}, []int{1, 0}},
		{"by order", [][2]string{{"/run/a", "socket"}, {":80", "http"}}, []*held{mk("x.socket", "UNIX", "/run/b"), mk("x.socket", "TCP", "0.0.0.0:81")}, []int{0, 1}},
		{"named on purpose is not taken by order", [][2]string{{"/run/a", "socket"}}, []*held{mk("stats", "UNIX", "/run/b")}, []int{-1}},
		{"fewer inherited than configured", [][2]string{{"/run/a", "socket"}, {"/run/b", "socket"}}, []*held{mk("", "UNIX", "/run/b")}, []int{-1, 0}},
	} {
		var wants []*want
		for i, w := range c.wants {
			a, err := testHost().parse(w[0], false)
			if err != nil {
				t.Fatal(err)
			}
			wants = append(wants, &want{index: i, addr: a, opt: w[1], proto: "uwsgi"})
		}
		match(wants, c.pool)
		for i, w := range wants {
			got := -1
			for j, h := range c.pool {
				if w.from == h {
					got = j
				}
			}
			if got != c.want[i] {
				t.Errorf("%s: %s got %d, want %d", c.name, c.wants[i][0], got, c.want[i])
			}
		}
	}
}

func TestUnclaimedIsAnError(t *testing.T) {
	in := passed(t, "tcp", "127.0.0.1:0", "stats")
	_, err := Open(settings(socketPath(t, "x.sock")), "", []sd.Inherited{in}, nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "(stats), and no socket option asks for it") {
		t.Error(err)
	}
}

// A reload that finds another address in the configuration binds it, and serves what systemd holds
// on; one that cannot says what can be done.
func TestReloadMovesAwayFromSystemdsSocket(t *testing.T) {
	path, fresh := socketPath(t, "in"), socketPath(t, "fresh")
	in, tcp := passed(t, "unix", path, "app.socket"), passed(t, "tcp", "127.0.0.1:0", "app.socket")
	l, err := inspect(int(tcp.File.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	s := settings(path, l.addr.String())
	s.Sockets[0].Protocol = "http"
	old, _ := mustOpen(t, s, in, tcp)
	log := &lines{}
	next, err := Reopen(old, settings(fresh, l.addr.String()), "", nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.Sockets) != 3 || next.Sockets[0].Path != fresh || next.Sockets[1].File != tcp.File ||
		next.Sockets[2].File != in.File || next.Sockets[2].Protocol != "http" {
		t.Fatalf("%+v", next.Sockets)
	}
	if !strings.Contains(log.String(), path+" is not in the configuration any more, and systemd holds it") {
		t.Errorf("log:\n%s", log)
	}
	next.Supersede(old, log.add)
	canConnect(t, "unix", path)
	canConnect(t, "unix", fresh)
	// And back: nothing is bound, and the new path goes.
	third, err := Reopen(next, s, "", nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	third.Supersede(next, log.add)
	if _, err := os.Lstat(fresh); err == nil || len(third.Sockets) != 2 || third.Sockets[0].File != in.File {
		t.Errorf("%+v, %v", third.Sockets, err)
	}
	_, err = Reopen(third, settings(path, fmt.Sprintf("0.0.0.0:%d", l.addr.Port())), "", nil, log.add)
	if err == nil || !strings.Contains(err.Error(), "a restart has it open the new address") {
		t.Error(err)
	}
}

func TestNothingConfigured(t *testing.T) {
	set, _ := mustOpen(t, settings(), passed(t, "tcp", "127.0.0.1:0", "app.socket"),
		passed(t, "tcp", "127.0.0.1:0", "http"),
		passed(t, "tcp", "127.0.0.1:0", "https"))
	if len(set.Sockets) != 3 || set.Sockets[0].Protocol != "uwsgi" || set.Sockets[1].Protocol != "http" {
		t.Fatalf("%+v", set.Sockets)
	}
	if got := set.Sockets[2].Protocol; got != "uwsgi" { // no name of a protocol that is spoken
		t.Errorf("the socket named https speaks %q", got)
	}
	// The same again at a reload.
	next, err := Reopen(set, settings(), "", nil, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(next.Sockets) != 3 || next.Sockets[1].File != set.Sockets[1].File || next.Sockets[1].Protocol != "http" {
		t.Errorf("%+v", next.Sockets)
	}
}

func TestConnectionIsNoListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Open(settings(), "", []sd.Inherited{{File: f}}, nil, func(string) {}); err == nil ||
		!strings.Contains(err.Error(), "Accept=no") {
		t.Error(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Open(settings(), "", []sd.Inherited{{File: null, Name: "x"}}, nil, func(string) {}); err == nil ||
		!strings.Contains(err.Error(), "is not a socket") {
		t.Error(err)
	}
}

func TestDescriptorAddress(t *testing.T) {
	in := passed(t, "tcp", "127.0.0.1:0", "")
	s := settings(fmt.Sprintf("fd://%d", in.File.Fd()))
	set, _ := mustOpen(t, s, in)
	if set.Sockets[0].File != in.File {
		t.Error("not the inherited one")
	}
	dup, err := newDup(in.File)
	if err != nil {
		t.Fatal(err)
	}
	set, _ = mustOpen(t, settings(fmt.Sprintf("fd://%d", dup)))
	canConnect(t, "tcp", set.Sockets[0].Name)
	if _, err := Open(settings("fd://999"), "", nil, nil, func(string) {}); err == nil ||
		!strings.Contains(err.Error(), "is not a socket") {
		t.Error(err)
	}
}

func TestReopen(t *testing.T) {
	keep, gone, fresh := socketPath(t, "keep"), socketPath(t, "gone"), socketPath(t, "fresh")
	old, log := mustOpen(t, settings(keep, "127.0.0.1:0", gone))
	next, err := Reopen(old, settings(fresh, keep, "127.0.0.1:0"), "", nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	if next.Sockets[1].File != old.Sockets[0].File || next.Sockets[2].File != old.Sockets[1].File ||
		next.Sockets[2].Name != old.Sockets[1].Name {
		t.Fatalf("descriptors not kept:\n%s", log)
	}
	canConnect(t, "unix", gone) // the old configuration serves on
	next.Supersede(old, log.add)
	if _, err := os.Lstat(gone); err == nil {
		t.Error("the path of the closed socket is still there")
	}
	for _, p := range []string{keep, fresh} {
		canConnect(t, "unix", p)
	}
	canConnect(t, "tcp", next.Sockets[2].Name)
	// Back again, but the new configuration fails: only what it added goes.
	third, err := Reopen(next, settings(keep, gone), "", nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	third.Discard(next, log.add)
	if _, err := os.Lstat(gone); err == nil {
		t.Error("the socket of the failed reload is still there")
	}
	for _, p := range []string{keep, fresh} {
		canConnect(t, "unix", p)
	}
	next.Close()
	next.Vacuum(log.add)
	for _, p := range []string{keep, fresh} {
		if _, err := os.Lstat(p); err == nil {
			t.Errorf("%s survived vacuum", p)
		}
		if !strings.Contains(log.String(), "VACUUM: unix socket "+p+" removed.") {
			t.Errorf("log:\n%s", log)
		}
	}
}

func TestReopenBindsALostPathAgain(t *testing.T) {
	path := socketPath(t, "lost")
	old, log := mustOpen(t, settings(path))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next, err := Reopen(old, settings(path), "", nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	canConnect(t, "unix", path)
	next.Supersede(old, log.add)
	canConnect(t, "unix", path)
}

func TestVacuumKeepsAStrangersSocket(t *testing.T) {
	path := socketPath(t, "v")
	set, log := mustOpen(t, settings(path))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	other, _ := mustOpen(t, settings(path))
	set.Vacuum(log.add)
	if !strings.HasSuffix(log.String(), "VACUUM WARNING: unix socket "+path+" changed inode. Skip removal") {
		t.Errorf("log:\n%s", log)
	}
	canConnect(t, "unix", path)
	_ = other
}
