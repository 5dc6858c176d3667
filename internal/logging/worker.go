package logging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/sd"
)

const (
	quiet       = 20 * time.Millisecond  // silence that ends a message of several lines
	quietHalf   = 250 * time.Millisecond // silence that ends a line without a newline
	maxHalfLine = 64 << 10
)

// readers are the goroutines that read what workers write.
type readers struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	open    map[*os.File]struct{}
	stopped bool
}

// run reads f in a goroutine of its own until it ends or stop is called.
func (r *readers) run(f *os.File, read func(*os.File)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	if r.open == nil {
		r.open = map[*os.File]struct{}{}
	}
	r.open[f] = struct{}{}
	r.wg.Go(crash.Guarded(func() {
		read(f)
		r.mu.Lock()
		delete(r.open, f)
		r.mu.Unlock()
		f.Close()
	}))
	return true
}

// stopping reports whether a deadline that passed means the end.
func (r *readers) stopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// deadline sets the reader's own, unless everything ends.
func (r *readers) deadline(f *os.File, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	_ = f.SetReadDeadline(t)
}

// stop lets every reader take in what is there, and waits for them.
func (r *readers) stop() {
	r.mu.Lock()
	r.stopped = true
	for f := range r.open {
		_ = f.SetReadDeadline(time.Unix(1, 0))
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// WorkerStderr returns what worker slot writes its standard output and error to: nil when that may
// be the instance's own, else the write end of a pipe, which the caller closes once the worker has
// it. Slot 0 is the loader. The pipe is read until its last writer is gone.
func (l *Log) WorkerStderr(slot int) (*os.File, error) {
	var fields []sd.Field
	if slot > 0 {
		fields = []sd.Field{{Name: "UWSGI_WORKER", Value: strconv.Itoa(slot)}}
	}
	return l.pipe("worker "+strconv.Itoa(slot), record{fields: fields})
}

// AlarmOutput is the same for what the command of an alarm prints.
func (l *Log) AlarmOutput() (*os.File, error) { return l.pipe("alarm", record{ofAlarm: true}) }

// pipe is a pipe whose messages become records like that one.
func (l *Log) pipe(of string, like record) (*os.File, error) {
	if !l.supervised() {
		return nil, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("log pipe of %s: %w", of, err)
	}
	w := os.NewFile(uintptr(fds[1]), of+" stderr") // blocking, as a program expects of its stderr
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		w.Close()
		return nil, fmt.Errorf("log pipe of %s: %w", of, err)
	}
	r := os.NewFile(uintptr(fds[0]), "log pipe")
	if !l.readers.run(r, func(f *os.File) { l.readLines(f, like) }) {
		r.Close()
		w.Close()
		return nil, errors.New("log: closed")
	}
	return w, nil
}

// supervised reports whether lines need this process on their way.
func (l *Log) supervised() bool {
	return l.journal != nil || l.set.LogMaster || !l.server.empty() || !l.plainBase()
}

// plainBase reports whether base is one descriptor that stays the same.
func (l *Log) plainBase() bool {
	switch l.server.base.sink.(type) {
	case *fdSink:
		return true
	case *fileSink:
		return l.set.LogMaxSize == 0 && len(l.set.TouchLogreopen) == 0 && len(l.set.TouchLogrotate) == 0 &&
			len(l.set.MasterFIFO) == 0
	}
	return false
}

// readLines reads a pipe to its end, groups its lines and submits a message at a time.
func (l *Log) readLines(f *os.File, like record) {
	var out []*record
	g := &grouper{emit: func(text string, pri int) {
		r := like
		r.text, r.priority = text, pri
		out = append(out, &r)
	}}
	buf := make([]byte, 16<<10)
	var half []byte
	for {
		switch {
		case g.waits():
			l.readers.deadline(f, quiet)
		case len(half) > 0:
			l.readers.deadline(f, quietHalf)
		default:
			l.readers.deadline(f, 0)
		}
		n, err := readNow(f, buf)
		fresh := len(half) == 0
		half = append(half, buf[:n]...)
		rest := half
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			g.line(bytes.TrimSuffix(rest[:i], []byte("\r")), fresh)
			fresh = false
			rest = rest[i+1:]
		}
		half = append(half[:0], rest...)
		if n > 0 && len(half) < maxHalfLine {
			g.chunk()
		} else if n == 0 && g.waits() && !ended(err) {
			g.flush()
		} else if len(half) > 0 {
			g.line(half, fresh)
			half = half[:0]
			g.flush()
		}
		if n == 0 && (ended(err) || l.readers.stopping()) {
			if len(half) > 0 {
				g.line(half, false)
			}
			g.flush()
			l.submit(l.server, out...)
			return
		}
		l.submit(l.server, out...)
		out = out[:0]
	}
}

// readNow reads what is there although the deadline has passed: a reader that is stopped takes in
// the rest.
func readNow(f *os.File, buf []byte) (int, error) {
	n, err := f.Read(buf)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, cerr := f.SyscallConn()
	if cerr != nil {
		return 0, cerr
	}
	var rerr error
	_ = raw.Control(func(fd uintptr) {
		n, rerr = unix.Read(int(fd), buf)
	})
	switch {
	case rerr == nil && n == 0:
		return 0, io.EOF
	case rerr == nil:
		return n, nil
	}
	return 0, err
}

func ended(err error) bool { return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) }
