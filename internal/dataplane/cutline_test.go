package dataplane

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCutLineEnds: a line that was written in part, as to a full disk, counts as lost, and the next
// one is not glued to it.
func TestCutLineEnds(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	_ = unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	l := &requestLog{kind: "stream"}
	long := append(bytes.Repeat([]byte("x"), 1<<20), '\n')
	if l.stream(fds[1], long) {
		t.Fatal("a socket without room took a line of a megabyte")
	}
	var got []byte
	drain := func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := unix.Read(fds[0], buf)
			if err != nil {
				return
			}
			got = append(got, buf[:n]...)
		}
	}
	drain()
	half := len(got)
	for range 2 {
		if !l.stream(fds[1], []byte("next\n")) {
			t.Error("a socket with room took no line")
		}
	}
	drain()
	if half == 0 || string(got[half:]) != "\nnext\nnext\n" {
		t.Errorf("behind %d bytes of a line %q", half, got[half:])
	}
}
