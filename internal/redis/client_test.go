package redis

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/python/pythontest"
	"uwsgi/internal/sys"
)

// agentOf answers, with the name of the operation, what comes through a door, and dies as soon as
// it has read a request whose second part is "dies". heard gets each request.
func agentOf(door *Door, heard chan<- string) {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(int(door.Out.Fd()), buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			return
		}
		for _, fd := range sys.Descriptors(oob[:oobn]) {
			f := os.NewFile(uintptr(fd), "connection")
			conn, err := net.FileConn(f)
			f.Close()
			if err != nil {
				return
			}
			for {
				request, err := ReadFrame(conn)
				if err != nil {
					break
				}
				heard <- request[0]
				if request[1] == "dies" || WriteFrame(conn, "+", request[0]) != nil {
					break
				}
			}
			conn.Close()
		}
	}
}

// TestCountedOnce: what an agent may have done before it died is not asked of the next one where
// that would count twice. What can be asked again is.
func TestCountedOnce(t *testing.T) {
	door, err := NewDoor()
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 100)
	done := make(chan struct{})
	go func() { defer close(done); agentOf(door, heard) }()
	t.Cleanup(func() { <-done; door.Out.Close() }) // the program is gone by then
	p := pythontest.Start(t, "../python", "testdata/client.py", []*os.File{door.In})
	door.In.Close()
	for _, op := range []string{"arith", "get"} {
		var answer any
		p.Ask(&answer, "check", "lives") // on a connection that is kept
		<-heard
		p.Ask(&answer, op, "dies")
		if failed, ok := answer.(map[string]any); !ok || !strings.Contains(failed["error"].(string), "has ended") {
			t.Errorf("%s: %v", op, answer)
		}
		want := map[string]int{"arith": 1, "get": 2}[op]
		if n := len(heard); n != want {
			t.Errorf("%s was heard %d times, want %d", op, n, want)
		}
		for len(heard) > 0 {
			<-heard
		}
	}
}
