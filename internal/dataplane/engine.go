package dataplane

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/request"
	"uwsgi/internal/scoreboard"
	"uwsgi/internal/wire"
)

// timeouts say how long to wait for a client, in ns.
type timeouts struct {
	head   int64 // the whole head of a request
	socket int64 // within a body
	idle   int64 // between two requests
	send   int64 // until the client takes some more of a response
}

// webSocketLimits bound what the client of a WebSocket may do.
type webSocketLimits struct {
	limit      int64 // bytes of a message
	ping, pong int64 // ns of silence until a ping is sent, and until it must have been answered
}

// departure is how a worker leaves.
type departure struct {
	handoff     atomic.Bool  // idle connections go to the other workers, not to /dev/null
	patience    atomic.Int64 // monotonic ns up to which the others are given time to take them
	lingerUntil atomic.Int64 // monotonic ns up to which those that nobody takes are kept open
	recycle     atomic.Bool  // the supervisor was asked for a replacement
	exitCode    atomic.Int32
}

// Engine is the data plane of one worker: its connections, the cores or the loop that serve them,
// and the housekeeper.
type Engine struct {
	app       App
	boot      *wire.Boot
	settings  *option.Settings
	slot      int
	control   int // SOCK_SEQPACKET to the supervisor
	board     *scoreboard.Board
	row       *scoreboard.Row
	rowIndex  int
	cores     []*Core
	loop      *Loop       // nil: threaded
	pool      *pool       // nil: all applications run on the loop
	exchanges []*Exchange // by their number
	listeners []*listener
	mounts    []mount
	points    []string // the applications' mount points, by index
	static    *static
	log       requestLog
	limits    request.Limits

	epfd     int
	outer    int    // the epoll set of Python's loop, where the listening sockets are; -1: they are in epfd
	outerTag uint64 // what epfd is there
	wakefd   int    // an eventfd: one token for each core that shall look at the phase
	conns    connTable
	queue    connQueue // busy connections that wait for a core

	active atomic.Int64 // connections that hold a part of a request
	life
	departure
	listenMu  sync.Mutex   // guards whether the sockets are in the epoll set
	drainMu   sync.Mutex   // held while every connection is looked at
	stuck     atomic.Int64 // cores that are past their deadline
	memRead   atomic.Int64
	pySignals pySignals
	signals   userSignals
	house     housekeeper

	spilled  atomic.Int64 // bytes in the spills of all connections
	maxSpill int64        // in that of one
	ram      budget       // temporary files that are kept in memory
	upgrades upgrades
	shortAt  atomic.Int64 // monotonic ns when descriptors last ran out

	timeouts    timeouts
	webSocket   webSocketLimits
	maxRequests int64
	memoryLimit int64 // a body up to here stays in memory
}

// Serving says how requests meet the application's threads.
type Serving struct {
	Exchanges int // that an event loop of Python's has in flight at a time; 0: threads, with one each
	// by the application's index: it is called with the loop's own interface (ASGI) and may start
	// before the body is whole
	Async     []bool
	Greenlets bool // the others run on the loop as well, each in a greenlet; else on threads
}

// pools reports whether a worker with a loop needs threads as well.
func (s *Serving) pools() bool { return !s.Greenlets && slices.Contains(s.Async, false) }

// New makes the data plane of the worker in that slot. bootFD holds a wire.Boot; mounts are the
// mount points of the applications in the order of their index, "" for the default one.
func New(app App, bootFD, control, slot, row int, mounts []string, how Serving) (*Engine, error) {
	b, err := readBoot(bootFD)
	if err != nil {
		return nil, err
	}
	s := b.Settings
	e := &Engine{app: app, boot: b, settings: s, slot: slot, control: control, rowIndex: row,
		epfd: -1, wakefd: -1, outer: -1}
	e.house.eng = e // a note may come before all else
	if e.board, err = scoreboard.Open(b.ScoreboardFD); err != nil {
		return nil, err
	}
	if cells := max(s.Threads, how.Exchanges); row < 0 || row >= e.board.Rows() || cells > e.board.Cells() {
		return nil, fmt.Errorf("row %d with %d cells is not on the scoreboard", row, cells)
	}
	e.row = e.board.Row(row)
	e.limits = request.Limits{Head: s.BufferSize, Body: s.LimitPost, Vars: s.MaxVars}
	e.memoryLimit, e.maxSpill = max(s.PostBuffering, 64<<10), maxSpill
	e.ram.max = s.PostBufferingMemory
	e.setTimeouts()
	if s.MaxRequests > 0 {
		e.maxRequests = s.MaxRequests + int64(slot-1)*s.MaxRequestsDelta
	}
	if e.static, err = newStatic(s); err != nil {
		return nil, err
	}
	e.setMounts(mounts)
	e.log.open(e)
	if err := warmUp(); err != nil {
		return nil, err
	}
	if slot == 1 {
		e.tellTemporary()
	}
	return e, e.open(how)
}

func (e *Engine) setTimeouts() {
	s := e.settings
	pick := func(ds ...time.Duration) int64 {
		for _, d := range ds {
			if d > 0 {
				return int64(d)
			}
		}
		return int64(60 * time.Second)
	}
	e.timeouts.head = pick(s.HTTPHeadersTimeout, s.HTTPTimeout)
	e.timeouts.socket = pick(s.SocketTimeout)
	e.timeouts.idle = pick(s.HTTPKeepalive, 75*time.Second)
	e.timeouts.send = pick(s.SendTimeout, s.SocketTimeout)
	e.webSocket.limit, e.webSocket.ping, e.webSocket.pong = s.WebSocketMaxSize,
		int64(s.WebSocketPing), int64(s.WebSocketPong)
	if e.webSocket.pong <= 0 {
		const forever = 10 * 365 * 24 * time.Hour
		e.webSocket.pong = int64(forever)
	}
}

// bodyTimeout is how long a client may be silent within a body, in ns, and the option that says so.
func (e *Engine) bodyTimeout(cn *conn) (ns int64, name string) {
	switch s := e.settings; {
	case cn.body.chunked && s.ChunkedInputTimeout > 0:
		return int64(s.ChunkedInputTimeout), "chunked-input-timeout"
	case cn.lis.proto.client && s.HTTPTimeout > 0:
		return int64(s.HTTPTimeout), "http-timeout"
	}
	return e.timeouts.socket, "socket-timeout"
}

func (e *Engine) shortestTimeout() time.Duration {
	shortest := time.Duration(min(e.timeouts.head, e.timeouts.socket, e.timeouts.idle, e.timeouts.send))
	for _, d := range []time.Duration{e.settings.ChunkedInputTimeout, e.settings.HTTPTimeout} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	return shortest
}

// open makes the epoll set; the sockets that take connections come into it with serve.
func (e *Engine) open(how Serving) error {
	var lim unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &lim)
	e.conns.slots = make([]atomic.Pointer[conn], min(lim.Cur, 1<<20))
	var err error
	if e.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if e.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK|unix.EFD_SEMAPHORE); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN}
	setData(&ev, tagWake)
	if err := unix.EpollCtl(e.epfd, unix.EPOLL_CTL_ADD, e.wakefd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	for i, l := range e.boot.Listeners {
		lis, err := newListener(i, l, hostname, e.settings)
		if err != nil {
			return err
		}
		e.listeners = append(e.listeners, lis)
	}
	if err := e.house.open(e); err != nil {
		return err
	}
	if how.Exchanges > 0 {
		return e.openLoop(how)
	}
	for i := range e.settings.Threads {
		c := newCore(e, i)
		e.cores, e.exchanges = append(e.cores, c), append(e.exchanges, c.x)
	}
	e.row.Cells.Store(int32(len(e.exchanges)))
	return nil
}

// openLoop makes the loop, exchange 0, and the cores of the pool.
func (e *Engine) openLoop(how Serving) (err error) {
	e.loop = newLoop(e, how)
	e.cores, e.exchanges = []*Core{e.loop.Core}, make([]*Exchange, how.Exchanges)
	e.exchanges[0] = e.loop.x
	if how.pools() {
		if e.settings.Threads >= how.Exchanges {
			return fmt.Errorf("%d threads for WSGI applications leave none of %d exchanges to the loop",
				e.settings.Threads, how.Exchanges)
		}
		if e.pool, err = newPool(); err != nil {
			return err
		}
		for i := range e.settings.Threads {
			c := newCore(e, i+1)
			e.cores = append(e.cores, c)
			e.exchanges[i+1] = c.x
		}
	}
	e.loop.made.Store(int32(len(e.cores)))
	e.row.Cells.Store(int32(len(e.cores)))
	e.row.Loop.Runs.Store(1)
	return nil
}

// Close gives back what New took and closes the connections that are left. The cores must have left
// Run. A worker need not: it ends.
func (e *Engine) Close() {
	e.drainMu.Lock()
	e.enter(left)
	e.drainMu.Unlock()
	e.house.stop()
	for cn := range e.conns.all() {
		e.close(cn)
	}
	for _, c := range e.cores {
		c.files.close()
	}
	unix.Close(e.epfd)
	unix.Close(e.wakefd)
	if e.pool != nil {
		unix.Close(e.pool.wakefd)
	}
	e.house.close()
	e.upgrades.close()
}

// ExitCode is what the worker shall exit with.
func (e *Engine) ExitCode() int { return int(e.exitCode.Load()) }

// Loop returns the loop, nil in a threaded worker.
func (e *Engine) Loop() *Loop { return e.loop }

// used are the exchanges that exist: on a loop they are made as they are needed.
func (e *Engine) used() []*Exchange {
	if e.loop != nil {
		return e.exchanges[:e.loop.made.Load()]
	}
	return e.exchanges
}

// Core returns core i.
func (e *Engine) Core(i int) *Core { return e.cores[i] }

// Exchange returns the exchange with number i.
func (e *Engine) Exchange(i int) *Exchange { return e.exchanges[i] }

// Board returns the scoreboard.
func (e *Engine) Board() *scoreboard.Board { return e.board }

// Row returns this worker's row.
func (e *Engine) Row() *scoreboard.Row { return e.row }
