package logging

import (
	"fmt"
	"net"
	"strings"
	"time"

	"uwsgi/internal/accesslog"
)

// datagramSink sends one datagram a message: logto = HOST:PORT, logger = socket:, and, with a
// frame, rsyslog: and syslog:.
type datagramSink struct {
	network, address string
	conn             net.Conn
	prefix           string
	frame            func(line string) []byte // nil: the message as it is, newline included
}

// datagramTimeout bounds one send: a unix socket whose reader is stuck must not hold the log up.
const datagramTimeout = 100 * time.Millisecond

// newDatagram makes a sink for HOST:PORT (UDP), a path or @abstract (unix datagram).
func newDatagram(address string) (*datagramSink, error) {
	d := &datagramSink{network: "udp", address: address}
	if !strings.Contains(address, ":") {
		d.network = "unixgram"
	} else if host, _, err := net.SplitHostPort(address); err != nil || host == "" {
		return nil, fmt.Errorf("invalid udp address %q: write HOST:PORT", address)
	}
	// The reader may come later; a host that does not resolve is a mistake now.
	if err := d.dial(); err != nil && d.network == "udp" {
		return nil, err
	}
	return d, nil
}

func (d *datagramSink) dial() error {
	conn, err := net.DialTimeout(d.network, d.address, 5*time.Second)
	if err != nil {
		return err
	}
	if d.conn != nil {
		d.conn.Close()
	}
	d.conn = conn
	return nil
}

func (d *datagramSink) write(_ *record, line []byte) error {
	if d.frame == nil {
		return d.send(append([]byte(d.prefix), line...))
	}
	for one := range strings.SplitSeq(strings.TrimSuffix(string(line), "\n"), "\n") {
		if err := d.send(d.frame(one)); err != nil {
			return err
		}
	}
	return nil
}

func (d *datagramSink) send(packet []byte) error {
	if d.conn == nil {
		if err := d.dial(); err != nil {
			return err
		}
	}
	_ = d.conn.SetWriteDeadline(time.Now().Add(datagramTimeout))
	_, err := d.conn.Write(packet)
	if err == nil {
		return nil
	}
	if d.network == "udp" {
		// A refusal belongs to an earlier packet; this one may go.
		_, err = d.conn.Write(packet)
		return err
	}
	if d.dial() != nil { // the reader was started anew
		return err
	}
	_ = d.conn.SetWriteDeadline(time.Now().Add(datagramTimeout))
	_, err = d.conn.Write(packet)
	return err
}

func (d *datagramSink) flush() error { return nil }

func (d *datagramSink) close() error {
	if d.conn == nil {
		return nil
	}
	return d.conn.Close()
}

// newSocketLogger reads the argument of socket: — ADDRESS[,PREFIX].
func newSocketLogger(arg string) (*datagramSink, error) {
	address, prefix, _ := strings.Cut(arg, ",")
	if address == "" {
		return nil, fmt.Errorf("an address is missing: socket:/path or socket:HOST:PORT")
	}
	d, err := newDatagram(address)
	if err != nil {
		return nil, err
	}
	d.prefix = prefix
	return d, nil
}

// newRsyslog reads HOST[:PORT][,TAG]: RFC 3164 lines over UDP, priority daemon.notice as uWSGI
// sends them.
func newRsyslog(arg, hostname string, now func() time.Time) (*datagramSink, error) {
	address, tag, ok := strings.Cut(arg, ",")
	if !ok {
		tag = hostname + " uwsgi"
	}
	if address == "" {
		return nil, fmt.Errorf("invalid rsyslog syntax: write rsyslog:HOST:PORT")
	}
	if !strings.Contains(address, ":") {
		address += ":514"
	}
	d, err := newDatagram(address)
	if err != nil {
		return nil, err
	}
	d.frame = func(line string) []byte {
		b := accesslog.Strftime([]byte("<29>"), "%b %e %H:%M:%S ", now())
		b = append(b, tag...)
		b = append(b, ": "...)
		b = append(b, line...)
		return b[:min(len(b), maxSyslog)]
	}
	return d, nil
}

// maxSyslog is the longest packet of RFC 3164.
const maxSyslog = 1024

// facilities are those of syslog(3) by the names that uWSGI takes.
var facilities = map[string]int{"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "security": 4, "syslog": 5,
	"lpr": 6, "news": 7, "uucp": 8,
	"cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20,
	"local5": 21, "local6": 22, "local7": 23}

// newSyslog reads [IDENT][,FACILITY] and writes to /dev/log as syslog(3) does.
func newSyslog(path, arg string, pid int, now func() time.Time) (*datagramSink, error) {
	ident, name, given := strings.Cut(arg, ",")
	if ident == "" {
		ident = "uwsgi"
	}
	facility := facilities["daemon"]
	if given {
		f, ok := facilities[name]
		if !ok {
			return nil, fmt.Errorf("there is no syslog facility %q", name)
		}
		facility = f
	}
	d, err := newDatagram(path)
	if err != nil {
		return nil, err
	}
	d.frame = func(line string) []byte {
		b := fmt.Appendf(nil, "<%d>", facility<<3|6)
		b = accesslog.Strftime(b, "%b %e %H:%M:%S ", now())
		return fmt.Appendf(b, "%s[%d]: %s", ident, pid, line)
	}
	return d, nil
}
