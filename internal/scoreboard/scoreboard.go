// Package scoreboard is the memory that the supervisor and the workers share: one row a worker
// process, one cell for each exchange (a request and its response) that a worker can have in hand
// at a time. A worker writes its own row with atomic stores on the request path; the supervisor
// reads (harakiri, stats, idle, cheaper) and never locks. The layout is declared here and nowhere
// else; it lives in a memfd.
package scoreboard

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/escape"
	"uwsgi/internal/sys"
)

// States of a cell.
const (
	CellIdle = 0
	CellBusy = 1 // running the application, since Cell.Started
	CellOpen = 2 // a WebSocket, or what an application still does after its response: no limit applies
)

const (
	magic    = 0x75777362 // "uwsb"
	snapSize = 232        // bytes of a request's method and URI
)

// header is at offset 0.
type header struct {
	Magic uint32
	Rows  uint32
	Cells uint32
	_     uint32
	Epoch atomic.Int64 // requests finished by processes whose row was reused; only the supervisor writes it
	_     [40]byte
}

// Row is one worker process. Only that process writes it, but for the fields marked (s), which are
// the supervisor's.
type Row struct {
	Slot       atomic.Int32 // (s) 1…N; 0 = free
	PID        atomic.Int32 // (s)
	Accepting  atomic.Int32
	Cells      atomic.Int32 // how many cells it has had in use, see Board.Used
	Requests   atomic.Int64 // finished
	Exceptions atomic.Int64
	TX         atomic.Int64  // bytes, heads and bodies
	Running    atomic.Int64  // µs summed over requests
	AvgRT      atomic.Int64  // µs, (old+new)/2 after each request
	RSS        atomic.Int64  // bytes, sampled
	VSZ        atomic.Int64  // bytes, sampled, without ASOverhead
	ASOverhead atomic.Int64  // address space that loading the data plane reserved
	LastUse    atomic.Int64  // monotonic ns of the last request's end, or of a websocket's last message
	Conns      atomic.Int64  // open connections
	LogLost    atomic.Int64  // request log entries that could not be written
	Base       atomic.Int64  // (s) requests of this slot's earlier processes
	Refused    atomic.Int64  // connections answered 503: no more could be taken in
	Spawned    atomic.Uint32 // (s) epoch s
	Respawns   atomic.Int32  // (s) earlier processes of this slot
	Apps       [Apps]App     // by the application's index
	Loop       Loop
	NextScan   atomic.Int64 // (s) monotonic ns when its requests' deadlines are looked at next
	_          [24]byte
}

// Loop is what there is to say of a worker with an event loop, one thread of which has many
// exchanges in hand.
type Loop struct {
	Runs       atomic.Int32 // 1: the worker has one
	Load       atomic.Int32 // (s) ‰ of the last second that its thread was on a CPU
	InFlight   atomic.Int32 // exchanges in hand, websockets among them
	Websockets atomic.Int32
	Lag        atomic.Int64 // ns that what was ready had to wait for the loop, lately
	Beat       atomic.Int64 // monotonic ns of its last look for events
}

// Loads of a loop, in ‰, and its lag, in ns.
const (
	busyLoad = 100
	fullLoad = 800
	fullLag  = 100e6
)

// Apps is how many applications are counted each by itself; those past it are counted with their
// worker alone.
const Apps = 16

// App is what one application of a worker has answered.
type App struct{ Requests, Exceptions atomic.Int64 }

// App is the counter of the application with that index, nil where it has none.
func (r *Row) App(i int) *App {
	if i < 0 || i >= Apps {
		return nil
	}
	return &r.Apps[i]
}

// Cell is one exchange of a worker: the request in hand, and counts of all that it has answered.
type Cell struct {
	State      atomic.Uint32
	SnapLen    atomic.Uint32 // bytes of Snap in use, 0 while it is being written
	Started    atomic.Int64  // monotonic ns
	StartedAt  atomic.Int64  // epoch s
	Deadline   atomic.Int64  // monotonic ns set by uwsgi.set_user_harakiri; 0 = none
	Requests   atomic.Int64
	Static     atomic.Int64
	Offloaded  atomic.Int64
	ReadErrs   atomic.Int64
	WriteErrs  atomic.Int64
	Exceptions atomic.Int64
	Snap       [snapSize]byte // "IP METHOD URI", truncated
	_          [8]byte
}

// Board is a mapped scoreboard. Its dimensions are its own: whoever else has the memory may write
// what he likes into the header.
type Board struct {
	mem         []byte
	head        *header
	fd          int
	rows, cells int
}

// Size returns the bytes a board of that many rows and cells takes.
func Size(rows, cells int) int {
	return int(unsafe.Sizeof(header{})) + rows*(int(unsafe.Sizeof(Row{}))+cells*int(unsafe.Sizeof(Cell{})))
}

// New makes a board in a memfd of its own.
func New(rows, cells int) (*Board, error) {
	fd, err := sys.Memfd("uwsgi-scoreboard", int64(Size(rows, cells)))
	if err != nil {
		return nil, fmt.Errorf("scoreboard: %w", err)
	}
	b, err := mapFD(fd, Size(rows, cells))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	b.rows, b.cells = rows, cells
	b.head.Magic, b.head.Rows, b.head.Cells = magic, uint32(rows), uint32(cells)
	return b, nil
}

// Open maps a board that another process made; fd stays the caller's.
func Open(fd int) (*Board, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("scoreboard: fstat: %w", err)
	}
	if st.Size < int64(unsafe.Sizeof(header{})) {
		return nil, fmt.Errorf("scoreboard: %d bytes is too short", st.Size)
	}
	b, err := mapFD(fd, int(st.Size))
	if err != nil {
		return nil, err
	}
	b.rows, b.cells = int(b.head.Rows), int(b.head.Cells)
	if b.head.Magic != magic || max(b.rows, b.cells) > len(b.mem) || Size(b.rows, b.cells) > len(b.mem) {
		unix.Munmap(b.mem)
		return nil, fmt.Errorf("scoreboard: not a scoreboard")
	}
	return b, nil
}

func mapFD(fd, size int) (*Board, error) {
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("scoreboard: mmap %d bytes: %w", size, err)
	}
	return &Board{mem: mem, head: (*header)(unsafe.Pointer(&mem[0])), fd: fd}, nil
}

// FD is the descriptor to hand to another process.
func (b *Board) FD() int { return b.fd }

// Rows and Cells are the board's dimensions.
func (b *Board) Rows() int { return b.rows }

// Cells is the number of cells a row has.
func (b *Board) Cells() int { return b.cells }

// Used is how many cells of row i are worth a look: those past it have never been in use by its
// process.
func (b *Board) Used(i int) int { return max(0, min(int(b.Row(i).Cells.Load()), b.cells)) }

// Busy is how many of row i's cells have a request in hand.
func (b *Board) Busy(i int) int {
	n := 0
	for c := range b.Used(i) {
		if b.Cell(i, c).State.Load() == CellBusy {
			n++
		}
	}
	return n
}

// Retired is the number of requests that processes finished whose rows have been reused since.
func (b *Board) Retired() *atomic.Int64 { return &b.head.Epoch }

func (b *Board) offset(row int) uintptr {
	stride := unsafe.Sizeof(Row{}) + uintptr(b.cells)*unsafe.Sizeof(Cell{})
	return unsafe.Sizeof(header{}) + uintptr(row)*stride
}

// Row returns row i, 0 ≤ i < Rows.
func (b *Board) Row(i int) *Row {
	_ = b.mem[:b.offset(i+1)]
	return (*Row)(unsafe.Pointer(&b.mem[b.offset(i)]))
}

// Cell returns cell c of row i.
func (b *Board) Cell(i, c int) *Cell {
	off := b.offset(i) + unsafe.Sizeof(Row{}) + uintptr(c)*unsafe.Sizeof(Cell{})
	_ = b.mem[:off+unsafe.Sizeof(Cell{})]
	return (*Cell)(unsafe.Pointer(&b.mem[off]))
}

// Saturation says whether the worker of row i has anything to do, and whether it can take no more.
// With threads it is as busy as they are. A loop is idle however many exchanges it has in hand, as
// long as they wait; one that is late is full, though its thread may not run: something blocks it,
// or others have the CPU.
func (b *Board) Saturation(i int) (busy, full bool) {
	if loop := &b.Row(i).Loop; loop.Runs.Load() != 0 {
		load, late := loop.Load.Load(), loop.Lag.Load() >= fullLag
		return load >= busyLoad || late, load >= fullLoad || late
	}
	n := b.Busy(i)
	return n > 0, n > 0 && n >= b.Used(i)
}

// Clear zeroes row i and the cells that were in use, before a new process gets it. The others are
// holes of the memfd, most of them, and stay such.
func (b *Board) Clear(i int) {
	end := b.offset(i) + unsafe.Sizeof(Row{}) + uintptr(b.Used(i))*unsafe.Sizeof(Cell{})
	clear(b.mem[b.offset(i):end])
}

// TotalRequests is the number of requests that the instance has finished.
func (b *Board) TotalRequests() int64 {
	n := b.head.Epoch.Load()
	for i := range b.Rows() {
		n += b.Row(i).Requests.Load()
	}
	return n
}

// SetSnap stores what c is working on, cut to fit: the parts are joined by blanks.
func (c *Cell) SetSnap(parts ...[]byte) {
	c.SnapLen.Store(0)
	n := 0
	for i, p := range parts {
		if i > 0 && n < len(c.Snap) {
			c.Snap[n] = ' '
			n++
		}
		n += copy(c.Snap[n:], p)
	}
	c.SnapLen.Store(uint32(n))
}

// GetSnap returns what SetSnap stored, escaped since a client chose it, "" while it is being
// written.
func (c *Cell) GetSnap() string {
	n := c.SnapLen.Load()
	if n > snapSize {
		return ""
	}
	return escape.String(string(c.Snap[:n]))
}
