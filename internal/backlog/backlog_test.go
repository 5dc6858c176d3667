package backlog

import (
	"encoding/binary"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// listening gives the descriptor of a new listening socket with a queue of that length, and where
// to connect to.
func listening(t *testing.T, domain int, sa unix.Sockaddr, length int) int {
	t.Helper()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		if err = unix.Bind(fd, sa); err == nil {
			err = unix.Listen(fd, length)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func dial(t *testing.T, network, addr string, times int) {
	t.Helper()
	for range times {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestMeter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	local := listening(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}, 17)
	dial(t, "unix", path, 3)
	tcp := listening(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, 19)
	sa, err := unix.Getsockname(tcp)
	if err != nil {
		t.Fatal(err)
	}
	dial(t, "tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*unix.SockaddrInet4).Port}).String(), 2)
	inode, err := Inode(local)
	if err != nil {
		t.Fatal(err)
	}
	var m Meter
	defer m.Close()
	ask := func() {
		t.Helper()
		if waiting, limit, err := m.Unix(inode); waiting != 3 || limit != 17 || err != nil {
			t.Errorf("unix: %d of %d, %v; want 3 of 17", waiting, limit, err)
		}
		if waiting, limit, err := m.TCP(tcp); waiting != 2 || limit != 19 || err != nil {
			t.Errorf("TCP: %d of %d, %v; want 2 of 19", waiting, limit, err)
		}
	}
	ask()
	m.Close()
	ask()
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, _, err := m.Unix(0xfffffffe); err == nil {
		t.Error("a socket that is not there has a queue")
	}
	if _, _, err := m.TCP(local); err == nil {
		t.Error("a unix socket has TCP's queue")
	}
}

func TestParse(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 15), make([]byte, 16), make([]byte, 40), request(nil, 1)} {
		if _, _, err := parse(b); err == nil {
			t.Errorf("%d bytes of nothing: no error", len(b))
		}
	}
	refused := make([]byte, 36)
	binary.NativeEndian.PutUint32(refused, 36)
	binary.NativeEndian.PutUint16(refused[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint32(refused[16:], uint32(0xffffffff-uint32(syscall.EPERM)+1))
	if _, _, err := parse(refused); err == nil || err.Error() != "sock_diag: operation not permitted" {
		t.Errorf("a refusal: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(request(nil, 1))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) { parse(b) })
}
