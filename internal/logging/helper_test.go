package logging

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// at is the fake clock's time.
var at = time.Date(2026, 11, 22, 11, 5, 7, 123456000, time.UTC)

func testSettings() *option.Settings {
	return &option.Settings{Name: "mysite", PrivilegeSettings: option.PrivilegeSettings{Umask: -1}}
}

// testLog makes a Log whose standard error is a file, which read returns.
func testLog(t *testing.T, s *option.Settings, change func(*Env)) (l *Log, read func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	env := Env{Stderr: f, Hostname: "box", PID: 77, Now: func() time.Time { return at }}
	if change != nil {
		change(&env)
	}
	l, err = New(s, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, func() string { return readFile(t, path) }
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwsgi-log") // short: unix socket paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// journald is a fake systemd-journald.
type journald struct {
	path string
	conn *net.UnixConn
	t    *testing.T
}

func newJournald(t *testing.T) *journald {
	t.Helper()
	path := filepath.Join(tempDir(t), "journal")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{path: path, conn: conn, t: t}
}

// next waits for one entry.
func (j *journald) next() map[string]string {
	j.t.Helper()
	buf, oob := make([]byte, 1<<20), make([]byte, 256)
	if err := j.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		j.t.Fatal(err)
	}
	n, on, _, _, err := j.conn.ReadMsgUnix(buf, oob)
	if err != nil {
		j.t.Fatal("no entry:", err)
	}
	data := buf[:n]
	if on > 0 {
		cms, err := unix.ParseSocketControlMessage(oob[:on])
		if err != nil || len(cms) != 1 {
			j.t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&cms[0])
		if err != nil {
			j.t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "memfd")
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			j.t.Fatal(err)
		}
		data = make([]byte, st.Size())
		if _, err := f.ReadAt(data, 0); err != nil {
			j.t.Fatal(err)
		}
	}
	return decode(j.t, data)
}

func decode(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for len(b) > 0 {
		nl := bytes.IndexByte(b, '\n')
		if nl < 0 {
			t.Fatalf("entry ends in %q", b)
		}
		if name, value, ok := strings.Cut(string(b[:nl]), "="); ok {
			out[name] = value
			b = b[nl+1:]
			continue
		}
		name := string(b[:nl])
		size := binary.LittleEndian.Uint64(b[nl+1:])
		b = b[nl+9:]
		out[name] = string(b[:size])
		b = b[size+1:]
	}
	return out
}
