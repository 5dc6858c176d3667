package dataplane

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection that the client has reset is not a client that takes nothing: the next write tells
// which it is.
func TestWaitWritableOfABrokenConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	conn.Close()
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	fd := int(f.Fd())
	unix.SetNonblock(fd, true)
	if !waitWritable(fd, 10000) {
		t.Error("it is taken for one that takes nothing")
	}
	if _, errno := send(fd, []byte("x"), 0); errno != unix.ECONNRESET && errno != unix.EPIPE {
		t.Errorf("%v", errno)
	}
}

// A deadline that has passed is not one that never comes: poll(2) takes a negative timeout for
// that.
func TestWaitPastTheDeadline(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for errno := unix.Errno(0); errno == 0; _, errno = send(pair[0], make([]byte, 4096), 0) { // until it is full
	}
	done := make(chan bool)
	go func() { done <- waitWritable(pair[0], -3) }()
	select {
	case ok := <-done:
		if ok {
			t.Error("it is writable")
		}
	case <-time.After(patience):
		t.Error("it waits for ever")
	}
	unix.Close(pair[1]) // ends a wait
	unix.Close(pair[0])
}
