package sd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/sd/entry"
)

// JournalSocket is where systemd-journald listens for native entries: systemd-journald.service(8).
const JournalSocket = "/run/systemd/journal/socket"

// Priorities of PRIORITY=, as syslog(3) numbers them.
const (
	PriCrit    = 2
	PriErr     = 3
	PriWarning = 4
	PriInfo    = 6
	PriDebug   = 7
)

// Field is one NAME=value of an entry: systemd.journal-fields(7).
type Field struct{ Name, Value string }

// Journal writes entries by the native protocol. It does not wait for journald: an entry that is
// not taken at once is lost and counted, and the count is reported by an entry of its own as soon
// as journald takes one again. Warnings and life-cycle events wait a moment, unless one has just
// waited in vain. Safe for concurrent use.
type Journal struct {
	path string
	lost atomic.Uint64 // not yet reported
	all  atomic.Uint64

	mu   sync.Mutex // guards what is below
	fd   int        // connected datagram socket, -1 = none
	buf  []byte
	base []Field     // first in every entry
	full bool        // an entry has waited in vain: no other waits until one is taken
	tell *time.Timer // reports a loss where no entry comes that could bring it along; nil = none to report
}

// tellAfter is how long a loss waits for the next entry.
const tellAfter = time.Second

// OpenJournal connects to the journal at path ("" = JournalSocket); base goes into every entry.
func OpenJournal(path string, base ...Field) (*Journal, error) {
	if path == "" {
		path = JournalSocket
	}
	j := &Journal{path: path, fd: -1, base: base}
	if err := j.dial(); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// DialJournal returns a datagram socket that is connected to the journal at path ("" =
// JournalSocket), for a process that writes its own entries.
func DialJournal(path string) (*os.File, error) {
	if path == "" {
		path = JournalSocket
	}
	fd, err := dialDatagram(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return os.NewFile(uintptr(fd), "journal"), nil
}

func dialDatagram(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// The default holds few entries of a burst; 8 MiB is what sd-journal asks for. Refused is no
	// error.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<20)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "connect", Path: path, Err: err}
	}
	return fd, nil
}

// dial replaces the socket; the caller holds mu or owns j.
func (j *Journal) dial() error {
	fd, err := dialDatagram(j.path)
	if err != nil {
		return err
	}
	if j.fd >= 0 {
		unix.Close(j.fd)
	}
	j.fd = fd
	return nil
}

// Send writes one entry and reports whether journald took it.
func (j *Journal) Send(priority int, message string, fields ...Field) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report()
	if j.sendLocked(priority, message, fields, patient(priority, fields)) {
		return true
	}
	j.lose(1)
	return false
}

// Forward writes the entry of a request that a worker has made, in the native protocol and with all
// its fields, and reports whether journald took it.
func (j *Journal) Forward(entry []byte) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report()
	if j.push(entry, requestPatience) {
		return true
	}
	j.lose(1)
	return false
}

// Lose counts entries that others could not write, to be reported with our own.
func (j *Journal) Lose(n uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lose(n)
}

// lose counts a loss and sees to it that it is reported; the caller holds mu.
func (j *Journal) lose(n uint64) {
	j.lost.Add(n)
	j.all.Add(n)
	if j.tell == nil && j.fd >= 0 {
		j.tell = time.AfterFunc(tellAfter, crash.Guarded(j.retell))
	}
}

// report tells of what was lost, and whether that is done; the caller holds mu.
func (j *Journal) report() bool {
	n := j.lost.Load()
	if n == 0 {
		return true
	}
	if !j.sendLocked(PriWarning, strconv.FormatUint(n, 10)+
		" log entries were lost: the journal did not take them in time", nil, false) {
		return false
	}
	j.lost.Add(^(n - 1))
	return true
}

// retell reports until journald takes it.
func (j *Journal) retell() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fd >= 0 && !j.report() {
		j.tell.Reset(tellAfter)
		return
	}
	j.tell = nil
}

// Lost is the number of entries that journald did not take since the start.
func (j *Journal) Lost() uint64 { return j.all.Load() }

// Settle waits until journald has read what was sent, no longer than limit: it finds the unit of an
// entry by the process that sent it, which must still be there.
func (j *Journal) Settle(limit time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for deadline := time.Now().Add(limit); j.fd >= 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if n, err := unix.IoctlGetInt(j.fd, unix.SIOCOUTQ); err != nil || n == 0 {
			return
		}
	}
}

// Close drops the connection; later entries are lost.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fd < 0 {
		return nil
	}
	j.report()
	err := unix.Close(j.fd)
	j.fd = -1
	return err
}

// sendLocked writes one entry; wait says whether it is worth a moment. The caller holds mu.
func (j *Journal) sendLocked(priority int, message string, fields []Field, wait bool) bool {
	b := entry.AppendField(j.buf[:0], "MESSAGE", message)
	b = entry.AppendField(b, "PRIORITY", strconv.Itoa(priority))
	for _, f := range j.base {
		b = entry.AppendField(b, f.Name, f.Value)
	}
	for _, f := range fields {
		b = entry.AppendField(b, f.Name, f.Value)
	}
	if cap(b) <= 64<<10 {
		j.buf = b[:0]
	}
	patience := time.Duration(0)
	if wait {
		patience = eventPatience
	}
	return j.push(b, patience)
}

// push hands journald one entry, which may wait so long for room. The caller holds mu.
func (j *Journal) push(b []byte, patience time.Duration) bool {
	if j.fd < 0 {
		return false
	}
	err := sendEntry(j.fd, b)
	if errors.Is(err, unix.EAGAIN) && patience > 0 && !j.full {
		// Whoever floods the journal takes the room as often as not: one try is not enough.
		for deadline := time.Now().Add(4 * patience); errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline) &&
			writable(j.fd, patience); {
			err = sendEntry(j.fd, b)
		}
		j.full = err != nil
	}
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNRESET) {
		// journald's socket was made anew.
		if j.dial() == nil {
			err = sendEntry(j.fd, b)
		}
	}
	if err != nil {
		return false
	}
	j.full = false
	return true
}

// How long an entry waits for a journald that is flooded: one that somebody will look for, and one
// of a request, which its like have flooded.
const (
	eventPatience   = 250 * time.Millisecond
	requestPatience = 2 * time.Millisecond
)

// patient reports whether an entry is one: a warning or worse, or an event that the catalog
// explains.
func patient(priority int, fields []Field) bool {
	return priority <= PriWarning || slices.ContainsFunc(fields, func(f Field) bool { return f.Name == "MESSAGE_ID" })
}

// writable waits until the journal takes entries again.
func writable(fd int, patience time.Duration) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(patience.Milliseconds()))
	return err == nil && n > 0
}

// sendEntry writes one entry to a connected socket without waiting; what a datagram cannot hold
// travels in a sealed memfd.
func sendEntry(fd int, entry []byte) error {
	err := ignoringEINTR(func() error { return unix.Send(fd, entry, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) })
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	mem, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	defer unix.Close(mem)
	for rest := entry; len(rest) > 0; {
		n, err := unix.Write(mem, rest)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	// journald accepts a memfd only when nobody can change it any more.
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(mem), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	return ignoringEINTR(func() error {
		return unix.Sendmsg(fd, nil, unix.UnixRights(mem), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
