package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

func TestOpenEveryForm(t *testing.T) {
	path := socketPath(t, "a.sock")
	abstract := fmt.Sprintf("@uwsgi-listen-test-%d", os.Getpid())
	s := settings("127.0.0.1:0", path, abstract)
	s.Sockets = append(s.Sockets, option.Socket{Address: "[::1]:0", Protocol: "http", Option: "http"})
	set, log := mustOpen(t, s)
	if len(set.Sockets) != 4 {
		t.Fatalf("%d sockets", len(set.Sockets))
	}
	canConnect(t, "tcp", set.Sockets[0].Name)
	canConnect(t, "unix", path)
	canConnect(t, "unix", abstract)
	canConnect(t, "tcp", set.Sockets[3].Name)
	want := fmt.Sprintf("uwsgi socket 0 bound to TCP address %s (port auto-assigned) fd %d\nuwsgi socket 1 bound to "+
		"UNIX address %s fd %d\n"+
		"uwsgi socket 2 bound to UNIX address %s fd %d\nuWSGI http bound on %s fd %d",
		set.Sockets[0].Name, set.Sockets[0].FD(), path, set.Sockets[1].FD(), abstract, set.Sockets[2].FD(),
		set.Sockets[3].Name, set.Sockets[3].FD())
	if log.String() != want {
		t.Errorf("log:\n%s\nwant:\n%s", log, want)
	}
	if set.Sockets[0].Protocol != "uwsgi" || set.Sockets[3].Protocol != "http" {
		t.Error("protocols", set.Sockets[0].Protocol, set.Sockets[3].Protocol)
	}
	for _, k := range set.Sockets {
		flags, err := unix.FcntlInt(k.File.Fd(), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: flags %x, %v: not nonblocking", k.Name, flags, err)
		}
		if fl, _ := unix.FcntlInt(k.File.Fd(), unix.F_GETFD, 0); fl&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: not close-on-exec", k.Name)
		}
	}
}

func TestSocketOptions(t *testing.T) {
	s := settings("127.0.0.1:0")
	s.ReusePort, s.SoKeepalive, s.TCPNodelay, s.DeferAccept, s.Freebind, s.SoRcvbuf = true,
		true, true, true, true, 1<<16
	s.SocketTimeout = 4e9
	set, _ := mustOpen(t, s)
	fd := set.Sockets[0].FD()
	for _, c := range []struct {
		name       string
		level, opt int
	}{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR}, {"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY},
		{"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}, {"IP_FREEBIND", unix.SOL_IP, unix.IP_FREEBIND},
	} {
		if n, err := unix.GetsockoptInt(fd, c.level, c.opt); err != nil || n == 0 {
			t.Errorf("%s = %d, %v", c.name, n, err)
		}
	}
}

func TestBacklog(t *testing.T) {
	for _, c := range []struct{ listen, limit, want int }{{0, 4096, 4096}, {100, 4096, 100}, {8192, 4096, 4096}} {
		log := &lines{}
		if got := clampBacklog(c.listen, c.limit, log.add); got != c.want {
			t.Errorf("listen=%d, somaxconn=%d: %d", c.listen, c.limit, got)
		}
		if warned := strings.Contains(log.String(), "net.core.somaxconn"); warned != (c.listen > c.limit) {
			t.Errorf("listen=%d: log %q", c.listen, log)
		}
	}
	s := settings("127.0.0.1:0", socketPath(t, "q.sock"))
	s.Listen = 17
	set, _ := mustOpen(t, s)
	for _, k := range set.Sockets {
		c, err := net.Dial(map[bool]string{true: "unix", false: "tcp"}[k.Path != ""], k.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		waiting, limit, err := k.Queue()
		if err != nil || waiting != 1 || limit != 17 {
			t.Errorf("%s: queue %d of %d, %v; want 1 of 17", k.Name, waiting, limit, err)
		}
		if _, kept, err := k.kernelQueue(); err != nil || kept != somaxconn(somaxconnFile) {
			t.Errorf("%s: the kernel keeps %d, %v", k.Name, kept, err)
		}
	}
}

func TestUnixPermissions(t *testing.T) {
	for _, c := range []struct {
		chmod string
		umask int
		want  os.FileMode
	}{{"660", -1, 0o660}, {"666", 0o077, 0o666}, {"", 0o027, 0o750}} {
		path := socketPath(t, "p.sock")
		s := settings(path)
		s.ChmodSocket, s.Umask = c.chmod, c.umask
		set, _ := mustOpen(t, s)
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Perm() != c.want {
			t.Errorf("chmod-socket=%q umask=%o: %v, %v", c.chmod, c.umask, st.Mode(), err)
		}
		if set.Sockets[0].Inode != inodeOf(t, path) {
			t.Error("inode not noted")
		}
	}
}

func TestChownSocket(t *testing.T) {
	path := socketPath(t, "o.sock")
	s := settings(path)
	s.ChownSocket = fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	if os.Geteuid() == 0 {
		s.ChownSocket = "4242:4343"
	}
	mustOpen(t, s)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%d:%d", st.Uid, st.Gid); got != s.ChownSocket {
		t.Errorf("owner %s, want %s", got, s.ChownSocket)
	}
	s.ChownSocket = "nobody-of-that-name"
	if _, err := Open(s, "", nil, nil, func(string) {}); err == nil ||
		!strings.Contains(err.Error(), "unable to find user nobody-of-that-name") {
		t.Error(err)
	}
}

func TestLiveSocketIsNotStolen(t *testing.T) {
	path := socketPath(t, "live.sock")
	first, _ := mustOpen(t, settings(path))
	_, err := Open(settings(path), "", nil, nil, func(string) {})
	want := "probably another instance of uWSGI is running on the same address (" + path +
		").\nbind(): Address already in use"
	if err == nil || err.Error() != want {
		t.Fatalf("error %q, want %q", err, want)
	}
	canConnect(t, "unix", path)
	// Dead: the path stays, nobody listens.
	first.Close()
	mustOpen(t, settings(path))
	canConnect(t, "unix", path)
}

func TestOnlySocketsAreReplaced(t *testing.T) {
	path := socketPath(t, "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(settings(path), "", nil, nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file is gone")
	}
}

func TestAddressInUse(t *testing.T) {
	first, _ := mustOpen(t, settings("127.0.0.1:0"))
	made := socketPath(t, "undo.sock")
	_, err := Open(settings(made, first.Sockets[0].Name), "", nil, nil, func(string) {})
	if err == nil || !strings.HasPrefix(err.Error(),
		"probably another instance of uWSGI is running on the same address ("+first.Sockets[0].Name+").") ||
		!strings.HasSuffix(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Error(err)
	}
	if _, err := os.Lstat(made); !errors.Is(err, os.ErrNotExist) {
		t.Error("a socket of the failed start is still on disk")
	}
}

func TestErrorNamesItsPlace(t *testing.T) {
	s := settings("/no/such/directory/x.sock")
	s.Sockets[0].Origin = option.Origin{File: "/etc/x.ini", Line: 7}
	s.Sockets = append(s.Sockets, option.Socket{Address: ":what", Option: "http"})
	_, err := Open(s, "", nil, nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), `http = :what: "what" is not a port number`) {
		t.Error(err)
	}
	_, err = Open(&option.Settings{SocketSettings: option.SocketSettings{Sockets: s.Sockets[:1]},
		PrivilegeSettings: option.PrivilegeSettings{Umask: -1}}, "", nil, nil, func(string) {})
	want := "/etc/x.ini:7: socket = /no/such/directory/x.sock: bind(): No such file or directory\nthe directory does " +
		"not exist; under systemd RuntimeDirectory= makes one below /run"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestNoSocket(t *testing.T) {
	if _, err := Open(settings(), "", nil, nil, func(string) {}); !errors.Is(err, ErrNoSocket) {
		t.Error(err)
	}
}

func TestSameAddressTwice(t *testing.T) {
	path := socketPath(t, "twice.sock")
	set, log := mustOpen(t, settings(path, path))
	if len(set.Sockets) != 1 || !strings.Contains(log.String(), "same address") {
		t.Errorf("%d sockets\n%s", len(set.Sockets), log)
	}
}

func TestSharedSockets(t *testing.T) {
	s := settings()
	s.Sockets = []option.Socket{
		{Address: "127.0.0.1:0", Option: "shared-socket", Shared: true},
		{Address: "=0", Option: "http", Protocol: "http"},
	}
	set, _ := mustOpen(t, s)
	if len(set.Sockets) != 1 || set.Sockets[0].Protocol != "http" || set.Sockets[0].Option != "http" {
		t.Fatalf("%+v", set.Sockets)
	}
	canConnect(t, "tcp", set.Sockets[0].Name)
	s.Sockets[1].Address = "=1"
	if _, err := Open(s, "", nil, nil, func(string) {}); err == nil ||
		!strings.Contains(err.Error(), "no shared-socket number 1") {
		t.Error(err)
	}
}

func TestStdinIsAdopted(t *testing.T) {
	in := passed(t, "tcp", "127.0.0.1:0", "")
	log := &lines{}
	if _, err := open(settings(), "", nil, int(in.File.Fd()), nil, log.add); !errors.Is(err, ErrNoSocket) {
		t.Fatal("skip-zero:", err)
	}
	s := settings()
	s.SkipZero = false
	set, err := open(s, "", nil, int(in.File.Fd()), nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	canConnect(t, "tcp", set.Sockets[0].Name)
	// A reload keeps it beside whatever is configured then.
	next, err := Reopen(set, settings(socketPath(t, "n.sock")), "", nil, log.add)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Supersede(next, log.add)
	if len(next.Sockets) != 2 || next.Sockets[1].File != set.Sockets[0].File {
		t.Errorf("%+v", next.Sockets)
	}
}

// TestDefaultAddress: an application that is named, and no address, is served over HTTP on this
// host; whatever is inherited, and what needs no socket, is as it was.
func TestDefaultAddress(t *testing.T) {
	was := defaultAddress
	t.Cleanup(func() { defaultAddress = was })
	free := passed(t, "tcp", "127.0.0.1:0", "")
	l, err := inspect(int(free.File.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defaultAddress = l.String()
	free.File.Close()
	app := settings()
	app.Apps = []option.App{{Kind: "module", Value: "app"}}

	set, log := mustOpen(t, app)
	if len(set.Sockets) != 1 || set.Sockets[0].Protocol != "http" ||
		!strings.Contains(log.String(), "no socket is named: the application is served at http = "+defaultAddress) {
		t.Fatalf("%+v\n%s", set.Sockets, log)
	}
	canConnect(t, "tcp", defaultAddress)

	// A reload keeps it; one that names an address has that alone.
	next, err := Reopen(set, app, "", nil, log.add)
	if err != nil || len(next.Sockets) != 1 || next.Sockets[0].File != set.Sockets[0].File {
		t.Fatalf("a reload: %+v, %v", next, err)
	}
	if again, err := Reopen(next, app, "", nil, log.add); err != nil || again.Sockets[0].File != set.Sockets[0].File {
		t.Fatalf("a second reload: %+v, %v", again, err)
	}
	named := settings(socketPath(t, "n.sock"))
	named.Apps = app.Apps
	other, err := Reopen(next, named, "", nil, log.add)
	if err != nil || len(other.Sockets) != 1 || other.Sockets[0].Path == "" {
		t.Fatalf("a reload that names one: %+v, %v", other, err)
	}
	defer other.Close()
	if _, err := Reopen(other, app, "", nil, log.add); !errors.Is(err, ErrNoSocket) {
		t.Errorf("a reload that names none any more: %v", err)
	}

	// What systemd or inetd passes is all there is.
	activated, _ := mustOpen(t, app, passed(t, "tcp", "127.0.0.1:0", "http"))
	if len(activated.Sockets) != 1 || activated.Sockets[0].Name == defaultAddress {
		t.Errorf("with a socket of systemd's: %+v", activated.Sockets)
	}
	in, stdin := passed(t, "tcp", "127.0.0.1:0", ""), settings()
	stdin.Apps, stdin.SkipZero = app.Apps, false
	adopted, err := open(stdin, "", nil, int(in.File.Fd()), nil, log.add)
	if err != nil || len(adopted.Sockets) != 1 || adopted.Sockets[0].Name == defaultAddress {
		t.Errorf("with a socket as standard input: %+v, %v", adopted, err)
	}
	adopted.Close()
	beside := settings()
	beside.Apps, beside.Crons = app.Apps, []option.Cron{{Command: "true"}}
	if set, err := Open(beside, "", nil, nil, log.add); err != nil || len(set.Sockets) != 0 {
		t.Errorf("with a cron: %+v, %v", set, err)
	}
}
