package loadertest

import (
	"encoding/json"
	"os"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sys"
	"uwsgi/internal/wire"
)

// conn is the far end of the control socket.
type conn struct{ fd int }

func newConn(fd int) *conn {
	unix.CloseOnExec(fd)
	return &conn{fd}
}

// order is a message of the supervisor's.
type order struct {
	wire.Order
	Slot int
	Row  int
	fds  []int
}

// send ends the process when the supervisor is gone.
func (c *conn) send(m map[string]any, fds ...int) {
	body, err := json.Marshal(m)
	must(err)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if unix.Sendmsg(c.fd, body, oob, nil, unix.MSG_NOSIGNAL) != nil {
		os.Exit(0)
	}
}

// receive delivers orders until the supervisor is gone.
func (c *conn) receive(orders chan<- order) {
	defer close(orders)
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(16))
	for {
		n, oobn, _, _, err := unix.Recvmsg(c.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		var o order
		must(json.Unmarshal(buf[:n], &o))
		o.fds = sys.Descriptors(oob[:oobn])
		orders <- o
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
