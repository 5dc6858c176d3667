package redis

import (
	"fmt"
	"hash/fnv"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sys"
)

// Figures are what the agent counts of one cache.
type Figures struct {
	Hits, Misses atomic.Int64
	Full         atomic.Int64 // Redis had no memory for a value
	Failed       atomic.Int64 // Redis was away, or refused what it was asked
	key          atomic.Uint64
	_            [3]uint64
}

// Board is memory that the agent counts in and the supervisor reads, so that nobody is asked for
// it; it outlives an agent. One that is nil counts nothing.
type Board struct{ rows []Figures }

// rows is how many caches are counted; nobody has so many.
const rows = 1024

// NewBoard makes the file of one.
func NewBoard() (*os.File, error) {
	fd, err := sys.Memfd("uwsgi-redis-board", int64(rows*unsafe.Sizeof(Figures{})))
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return os.NewFile(uintptr(fd), "redis board"), nil
}

// OpenBoard maps it.
func OpenBoard(f *os.File) (*Board, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, int(rows*unsafe.Sizeof(Figures{})), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("redis: map the board: %w", err)
	}
	return &Board{unsafe.Slice((*Figures)(unsafe.Pointer(&mem[0])), rows)}, nil
}

func (b *Board) close() {
	if b != nil {
		_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&b.rows[0])), rows*int(unsafe.Sizeof(Figures{}))))
	}
}

// Of are the figures of a cache, by URL and name; they begin with the first call for it.
func (b *Board) Of(address, cache string) *Figures {
	if b == nil {
		return &Figures{}
	}
	h := fnv.New64a()
	h.Write([]byte(address + "\x00" + cache))
	key := h.Sum64() | 1
	for i := range b.rows {
		row := &b.rows[i]
		if row.key.Load() == key || row.key.CompareAndSwap(0, key) || row.key.Load() == key {
			return row
		}
	}
	return &Figures{}
}
