package logging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sd"
)

// RequestLog returns where the workers write request lines, and how (wire.RequestLog.Kind):
// "stream", a descriptor that takes bytes; "journal", a socket that takes native entries; "packet",
// a socket that takes a datagram a line and is read here; "entry", one that takes a native entry
// each, where the journal is not the only one that gets them. The descriptor is the caller's to
// close; one that is read here is read until its last writer is gone.
func (l *Log) RequestLog() (f *os.File, kind string, err error) {
	if l.requests == l.server && l.server.empty() {
		if l.journal != nil {
			if f, err = sd.DialJournal(l.env.JournalPath); err != nil {
				return nil, "", err
			}
			return f, "journal", sendTimeout(f, journalPatience)
		}
		if l.plainBase() && !l.set.LogMaster {
			f, err = l.baseCopy()
			return f, "stream", err
		}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, "", fmt.Errorf("request log: socketpair: %w", err)
	}
	// A burst of request lines waits here while the supervisor is at something else.
	_ = unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
	w := os.NewFile(uintptr(fds[1]), "request log")
	if err := errors.Join(sendTimeout(w, packetPatience), unix.SetNonblock(fds[0], true)); err != nil {
		unix.Close(fds[0])
		w.Close()
		return nil, "", fmt.Errorf("request log: %w", err)
	}
	r := os.NewFile(uintptr(fds[0]), "request log")
	if kind = "packet"; l.journal != nil {
		kind = "entry"
	}
	if !l.readers.run(r, func(f *os.File) { l.readPackets(f, kind) }) {
		r.Close()
		w.Close()
		return nil, "", errors.New("log: closed")
	}
	return w, kind, nil
}

// How long a worker waits for a full socket before it counts a request line as lost. A supervisor
// that is behind slows the workers down to its pace; a journal that is stuck must not.
const (
	packetPatience  = 250 * time.Millisecond
	journalPatience = 5 * time.Millisecond
)

func sendTimeout(f *os.File, d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	return os.NewSyscallError("setsockopt SO_SNDTIMEO",
		unix.SetsockoptTimeval(int(f.Fd()), unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
}

// baseCopy duplicates the descriptor of base.
func (l *Log) baseCopy() (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.env.Stderr
	if l.baseFile != nil {
		f = l.baseFile.f
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("request log: dup: %w", err)
	}
	return os.NewFile(uintptr(fd), "request log"), nil
}

const (
	batch      = 32
	packetSize = 8 << 10  // log-master-bufsize: a longer line is cut
	entrySize  = 32 << 10 // a line and fields with parts of it again
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// packets is the room for one batch.
type packets struct {
	buf  [batch][]byte
	iov  [batch]unix.Iovec
	msgs [batch]mmsghdr
}

// readPackets reads request lines or entries to the end, a batch a call.
func (l *Log) readPackets(f *os.File, kind string) {
	p, room := new(packets), packetSize
	if kind == "entry" {
		room = entrySize
	}
	all := make([]byte, batch*room)
	for i := range batch {
		p.buf[i] = all[i*room : (i+1)*room]
		p.iov[i].Base = &p.buf[i][0]
		p.iov[i].SetLen(room)
		p.msgs[i].hdr.Iov = &p.iov[i]
		p.msgs[i].hdr.SetIovlen(1)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	out := make([]*record, 0, batch)
	for {
		n, err := p.receive(raw.Read)
		if errors.Is(err, os.ErrDeadlineExceeded) { // stopped: take in what is there
			n, err = p.receive(func(g func(uintptr) bool) error {
				return raw.Control(func(fd uintptr) { g(fd) })
			})
		}
		out = out[:0]
		for i := range n {
			if size := p.msgs[i].n; size > 0 {
				out = append(out, requestRecord(kind, p.buf[i][:size]))
			}
		}
		l.submit(l.requests, out...)
		if err != nil || n == 0 {
			return
		}
	}
}

// requestRecord is the record of one packet, which belongs to the next one afterwards.
func requestRecord(kind string, packet []byte) *record {
	if kind == "packet" {
		return &record{text: strings.TrimSuffix(string(packet), "\n"), priority: sd.PriInfo}
	}
	raw := append(make([]byte, 0, len(packet)+1), packet...)
	if raw[len(raw)-1] != '\n' { // it did not fit: its last field is cut
		raw = append(raw, '\n')
	}
	return &record{text: entryMessage(raw), priority: sd.PriInfo, entry: raw}
}

// receive fills a batch; read is the RawConn's. End of file is io.EOF: a packet of no bytes.
func (p *packets) receive(read func(func(fd uintptr) bool) error) (int, error) {
	var n int
	var errno unix.Errno
	err := read(func(fd uintptr) bool {
		for {
			r, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.msgs[0])), batch,
				unix.MSG_DONTWAIT, 0, 0)
			if n, errno = int(r), e; e != unix.EINTR {
				return e != unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, errno
	case n > 0 && p.msgs[n-1].n == 0:
		return n, io.EOF
	}
	return n, nil
}
