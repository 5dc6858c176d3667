package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
)

// StatsOptions is how a stats server answers.
type StatsOptions struct {
	HTTP     bool   // stats-http: an HTTP head first
	Minified bool   // stats-minified
	NoCores  bool   // stats-no-cores
	Mode     uint32 // chmod-socket of a unix socket, 0 = leave
	Owner    *Owner // of a unix socket, nil = leave
	Vacuum   bool   // remove the unix socket at the end
}

// Stats is a stats server: a client connects, reads the document and the end of file. Every client has a goroutine of its own, so a slow
// one holds nobody up.
type Stats struct {
	name   string
	path   string // absolute, of a unix socket with one
	inode  uint64
	l      net.Listener
	opts   StatsOptions
	source func() Snapshot
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	statsTimeout = 4 * time.Second // for a client to send its HTTP request, and again to take the answer
	maxStats     = 64              // clients at a time
)

// ServeStats answers on an address (HOST:PORT, :PORT, a path, @abstract) with what source gives, until Close. source is called from
// many goroutines. print writes a line to the log.
func ServeStats(address string, opts StatsOptions, source func() Snapshot, print func(string)) (*Stats, error) {
	l, err := listenStats(address, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stats{name: address, l: l, opts: opts, source: source, cancel: cancel}
	if _, ok := l.(*net.UnixListener); ok && !strings.HasPrefix(address, "@") {
		s.path, _ = filepath.Abs(address)
		if st, err := os.Lstat(address); err == nil {
			s.inode = inodeOf(st)
		}
	}
	s.wg.Go(crash.Guarded(func() { s.accept(ctx) }))
	print(fmt.Sprintf("*** Stats server enabled on %s fd: %d ***", address, descriptor(l)))
	return s, nil
}

func listenStats(address string, opts StatsOptions) (net.Listener, error) {
	fail := func(err error) error { return option.Wrong("stats", address, err) }
	if strings.Contains(address, ":") && !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		network := "tcp4"
		if strings.HasPrefix(address, "[") {
			network = "tcp6"
		}
		l, err := net.Listen(network, address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fail(fmt.Errorf("probably another instance of uWSGI is running on the same address (%s).\nbind(): Address already in use", address))
		}
		if err != nil {
			return nil, fail(err)
		}
		return l, nil
	}
	if !strings.HasPrefix(address, "@") {
		if err := clearStale(address); err != nil {
			return nil, fail(err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fail(err)
	}
	l.SetUnlinkOnClose(opts.Vacuum)
	if strings.HasPrefix(address, "@") {
		return l, nil
	}
	if opts.Owner != nil {
		if err := os.Lchown(address, opts.Owner.UID, opts.Owner.GID); err != nil {
			l.Close()
			return nil, fail(err)
		}
	}
	if opts.Mode != 0 {
		if err := os.Chmod(address, os.FileMode(opts.Mode)); err != nil {
			l.Close()
			return nil, fail(err)
		}
	}
	return l, nil
}

// clearStale removes a unix socket that nobody listens on.
func clearStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeType != os.ModeSocket {
		return errors.New("the path exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return errors.New("somebody listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
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

// At says whether the server listens on that address, as it is written, and can still be reached there.
func (s *Stats) At(address string) bool {
	if s.path == "" {
		return s.name == address
	}
	path, err := filepath.Abs(address)
	if err != nil || path != s.path {
		return false
	}
	st, err := os.Lstat(path)
	return err == nil && inodeOf(st) == s.inode
}

// Is says whether it answers like that.
func (s *Stats) Is(opts StatsOptions) bool {
	a, b := s.opts, opts
	if a.Owner != nil && b.Owner != nil && *a.Owner == *b.Owner {
		a.Owner, b.Owner = nil, nil
	}
	return a == b
}

// Addr is where the server listens.
func (s *Stats) Addr() net.Addr { return s.l.Addr() }

// Close stops the server; print gets the vacuum line of a unix socket.
func (s *Stats) Close(print func(string)) error {
	s.cancel()
	err := s.l.Close()
	s.wg.Wait()
	if s.path != "" && s.opts.Vacuum {
		print("VACUUM: unix socket " + s.name + " (stats) removed.")
	}
	return err
}

func (s *Stats) accept(ctx context.Context) {
	slots := make(chan struct{}, maxStats)
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

func (s *Stats) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, crash.Guarded(func() { c.Close() }))
	defer stop()
	_ = c.SetDeadline(time.Now().Add(statsTimeout))
	var head string
	if s.opts.HTTP {
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return
		}
		head = "HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\r\n"
	}
	body := s.source().JSON(s.opts.Minified, s.opts.NoCores)
	_ = c.SetDeadline(time.Now().Add(statsTimeout))
	if _, err := c.Write(append([]byte(head), body...)); err != nil {
		return
	}
	// What the client still sends would turn the close into a reset that takes the answer with it.
	if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, 64<<10)
	}
}
