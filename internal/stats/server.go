package stats

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
)

// Options is how a stats server answers.
type Options struct {
	HTTP       bool   // stats-http: an HTTP head first
	Minified   bool   // stats-minified
	NoCores    bool   // stats-no-cores
	Prometheus string // stats-prometheus-path: what is text for Prometheus over HTTP, "" = nothing
	NoMetrics  bool   // stats-no-metrics
	Mode       string // chmod-socket, as it is written: a server whose socket has another is not the one that is wanted
	// Remove unlinks the unix socket at the end, nil = it stays: vacuum.
	Remove func(path string) error
}

// Server is a stats server: a client connects, reads the document and the end of file. Every client
// has a goroutine of its own, so a slow one holds nobody up.
type Server struct {
	name   string
	path   string      // absolute, of a unix socket with one
	file   os.FileInfo // of path; nil where it could not be seen
	l      net.Listener
	opts   Options
	source func() Snapshot
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	timeout    = 4 * time.Second // for a client to send its HTTP request, and again to take the answer
	maxClients = 64              // clients at a time
)

// Serve answers on l, which listens at address (as it is configured) and is the server's from
// now on, with what source gives, until Close. path is the absolute path of a unix socket, "" for
// others. source is called from many goroutines. print writes a line to the log.
func Serve(l net.Listener, address, path string, opts Options, source func() Snapshot,
	print func(string)) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{name: address, path: path, l: l, opts: opts, source: source, cancel: cancel}
	if path != "" {
		s.file, _ = os.Lstat(path)
	}
	s.wg.Go(crash.Guarded(func() { s.accept(ctx) }))
	print(fmt.Sprintf("*** Stats server enabled on %s fd: %d ***", address, descriptor(l)))
	return s
}

// descriptor is the number of a listener's descriptor, for the log.
func descriptor(l net.Listener) int {
	n := -1
	if c, ok := l.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { n = int(fd) })
		}
	}
	return n
}

// At reports whether the server listens on that address, as it is written, and can still be reached
// there; a relative path starts at dir.
func (s *Server) At(address, dir string) bool {
	if s.path == "" {
		return s.name == address
	}
	path := option.PathIn(dir, address)
	if path != s.path {
		return false
	}
	return s.reachable()
}

// reachable reports whether the path is still the server's own.
func (s *Server) reachable() bool {
	st, err := os.Lstat(s.path)
	return err == nil && s.file != nil && os.SameFile(st, s.file)
}

// Is reports whether it answers like that.
func (s *Server) Is(opts Options) bool {
	a, b := s.opts, opts
	return a.HTTP == b.HTTP && a.Minified == b.Minified && a.NoCores == b.NoCores && a.NoMetrics == b.NoMetrics &&
		a.Prometheus == b.Prometheus && a.Mode == b.Mode &&
		(a.Remove == nil) == (b.Remove == nil)
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.l.Addr() }

// Close stops the server; print gets the vacuum line of a unix socket.
func (s *Server) Close(print func(string)) error {
	s.cancel()
	err := s.l.Close()
	s.wg.Wait()
	if s.path == "" || s.opts.Remove == nil {
		return err
	}
	if !s.reachable() {
		return err // somebody else's by now
	}
	if rerr := s.opts.Remove(s.path); rerr != nil {
		print("VACUUM: " + rerr.Error())
	} else {
		print("VACUUM: unix socket " + s.name + " (stats) removed.")
	}
	return err
}

func (s *Server) accept(ctx context.Context) {
	slots := make(chan struct{}, maxClients)
	for {
		c, err := s.l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
			s.wg.Go(crash.Guarded(func() {
				defer func() { <-slots }()
				s.answer(ctx, c)
			}))
		default:
			c.Close()
		}
	}
}

func (s *Server) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, crash.Guarded(func() { c.Close() }))
	defer stop()
	_ = c.SetDeadline(time.Now().Add(timeout))
	var head string
	prometheus := false
	if s.opts.HTTP {
		line, err := bufio.NewReaderSize(c, 4096).ReadSlice('\n')
		if err != nil && len(line) == 0 {
			return
		}
		media := "application/json"
		if prometheus = s.opts.Prometheus != "" && pathOf(line) == s.opts.Prometheus; prometheus {
			media = PrometheusType
		}
		head = "HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: " + media +
			"\r\n\r\n"
	}
	snapshot := s.source()
	if s.opts.NoMetrics {
		snapshot.Metrics = nil
	}
	var body []byte
	if prometheus {
		body = snapshot.Prometheus(s.opts.NoCores)
	} else {
		body = snapshot.JSON(s.opts.Minified, s.opts.NoCores)
	}
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := c.Write(append([]byte(head), body...)); err != nil {
		return
	}
	// What the client still sends would turn the close into a reset that takes the answer with it.
	if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, 64<<10)
	}
}

// pathOf is the path in the first line of an HTTP request, without its query.
func pathOf(request []byte) string {
	_, rest, _ := bytes.Cut(request, []byte{' '})
	target := rest[:max(bytes.IndexAny(rest, " ?\r\n"), 0)]
	return string(target)
}
