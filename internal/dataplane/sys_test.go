package dataplane

import (
	"net"
	"testing"

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
