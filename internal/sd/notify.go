package sd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"uwsgi/internal/sys"
)

// notifyTimeout bounds one datagram to the manager: its queue is full only when it is stuck itself.
const notifyTimeout = 5 * time.Second

// Notifier talks to the service manager over NOTIFY_SOCKET: sd_notify(3). The zero Notifier and a
// nil one say nothing. It is safe for concurrent use; messages arrive in the order of the calls.
type Notifier struct {
	mu   sync.Mutex
	path string        // as in NOTIFY_SOCKET, "" = nobody listens
	conn *net.UnixConn // kept: the path may be out of reach after a chroot or a change of user
	now  func() uint64 // CLOCK_MONOTONIC in µs
}

// NewNotifier connects to the socket named by NOTIFY_SOCKET, a path or @abstract; "" gives a
// Notifier that says nothing.
func NewNotifier(socket string) (*Notifier, error) {
	n := &Notifier{path: socket, now: monotonicUsec}
	if socket == "" {
		return n, nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		n.path = ""
		return n, fmt.Errorf("NOTIFY_SOCKET=%q: neither a path nor an abstract name", socket)
	}
	if err := n.dial(); err != nil {
		return n, fmt.Errorf("NOTIFY_SOCKET=%s: %w", socket, err)
	}
	return n, nil
}

// Enabled reports whether a manager listens.
func (n *Notifier) Enabled() bool { return n != nil && n.path != "" }

// Ready sends READY=1 with a status: start-up or a reload is over, whether the reload succeeded or
// not.
func (n *Notifier) Ready(status string) error {
	return n.send("READY=1", field("STATUS", status))
}

// Reloading sends RELOADING=1 with MONOTONIC_USEC, which Type=notify-reload asks for. Ready must
// follow.
func (n *Notifier) Reloading(status string) error {
	if !n.Enabled() {
		return nil
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatUint(n.now(), 10), field("STATUS", status))
}

// Stopping sends STOPPING=1.
func (n *Notifier) Stopping(status string) error {
	return n.send("STOPPING=1", field("STATUS", status))
}

// Status sends the line that `systemctl status` shows.
func (n *Notifier) Status(status string) error { return n.send(field("STATUS", status)) }

// Failed sends why the service is about to end: STATUS= and, if errno is not 0, ERRNO=.
func (n *Notifier) Failed(status string, errno int) error {
	if errno == 0 {
		return n.Status(status)
	}
	return n.send(field("STATUS", status), "ERRNO="+strconv.Itoa(errno))
}

// Watchdog sends WATCHDOG=1, the keep-alive of WatchdogSec=.
func (n *Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// ExtendTimeout asks for d more, from now, for the start, reload or stop that is under way:
// EXTEND_TIMEOUT_USEC.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(max(d, 0).Microseconds(), 10))
}

// Close drops the connection.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		return nil
	}
	err := n.conn.Close()
	n.conn, n.path = nil, ""
	return err
}

func (n *Notifier) send(fields ...string) error {
	if !n.Enabled() {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	msg := notifyMessage(fields)
	if n.conn != nil {
		if n.write(msg) == nil {
			return nil
		}
	}
	if err := n.dial(); err != nil {
		return fmt.Errorf("sd_notify: connect %s: %w", n.path, err)
	}
	if err := n.write(msg); err != nil {
		return fmt.Errorf("sd_notify: send to %s: %w", n.path, err)
	}
	return nil
}

func (n *Notifier) write(msg []byte) error {
	if err := n.conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err := n.conn.Write(msg)
	return err
}

// dial replaces the connection; the caller holds mu or owns n.
func (n *Notifier) dial() error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		return err
	}
	if n.conn != nil {
		n.conn.Close()
	}
	n.conn = conn
	return nil
}

// notifyMessage joins the fields that are not empty, a line each.
func notifyMessage(fields []string) []byte {
	var b strings.Builder
	for _, f := range fields {
		if f == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f)
	}
	return []byte(b.String())
}

// field is NAME=value on one line: a newline in the value would start another assignment. "" stays
// "".
func field(name, value string) string {
	if value == "" {
		return ""
	}
	value = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, "\uFFFD"))
	return name + "=" + value
}

func monotonicUsec() uint64 { return uint64(sys.Monotonic()) / 1000 }

// NotifySocket returns NOTIFY_SOCKET.
func NotifySocket() string { return os.Getenv("NOTIFY_SOCKET") }
