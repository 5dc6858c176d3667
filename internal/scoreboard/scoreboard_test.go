package scoreboard

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func board(t *testing.T, rows, cells int) *Board {
	t.Helper()
	b, err := New(rows, cells)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(b.FD()) })
	return b
}

// The layout is shared by processes that may be built apart: its sizes are part of the contract,
// and no two cells share a cache line.
func TestLayout(t *testing.T) {
	for what, got := range map[string]uintptr{
		"header": unsafe.Sizeof(header{}), "row": unsafe.Sizeof(Row{}), "cell": unsafe.Sizeof(Cell{}),
	} {
		want := map[string]uintptr{"header": 64, "row": 448, "cell": 320}[what]
		if got != want {
			t.Errorf("%s is %d bytes, want %d", what, got, want)
		}
		if got%64 != 0 {
			t.Errorf("%s is %d bytes, which ends inside a cache line", what, got)
		}
	}
}

// What one process writes the other reads, at the same place.
func TestShared(t *testing.T) {
	a := board(t, 3, 2)
	b, err := Open(a.FD())
	if err != nil {
		t.Fatal(err)
	}
	if b.Rows() != 3 || b.Cells() != 2 {
		t.Fatalf("%d rows, %d cells", b.Rows(), b.Cells())
	}
	for i := range 3 {
		a.Row(i).Requests.Store(int64(10 + i))
		for c := range 2 {
			a.Cell(i, c).Started.Store(int64(100*i + c))
		}
	}
	for i := range 3 {
		if got := b.Row(i).Requests.Load(); got != int64(10+i) {
			t.Errorf("row %d: %d requests", i, got)
		}
		for c := range 2 {
			if got := b.Cell(i, c).Started.Load(); got != int64(100*i+c) {
				t.Errorf("row %d cell %d: started %d", i, c, got)
			}
		}
	}
}

func TestClearTouchesOneRow(t *testing.T) {
	b := board(t, 3, 2)
	for i := range 3 {
		b.Row(i).Requests.Store(1)
		b.Row(i).Cells.Store(2)
		b.Cell(i, 0).Requests.Store(1)
		b.Cell(i, 1).SetSnap([]byte("x"))
	}
	b.Clear(1)
	for i := range 3 {
		want := int64(1)
		if i == 1 {
			want = 0
		}
		if b.Row(i).Requests.Load() != want || b.Cell(i, 0).Requests.Load() != want ||
			len(b.Cell(i, 1).GetSnap()) != int(want) {
			t.Errorf("row %d after clearing row 1", i)
		}
	}
}

// A board has room for what a loop may have in hand, and memory for what was in use alone.
func TestCellsNeverUsedTakeNoMemory(t *testing.T) {
	b := board(t, 8, 20000)
	blocks := func() int64 {
		var st unix.Stat_t
		if err := unix.Fstat(b.FD(), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	if n := b.Used(3); n != 0 {
		t.Errorf("%d cells of a new row are in use", n)
	}
	for i := range b.Rows() {
		b.Row(i).Cells.Store(4)
		b.Cell(i, 3).State.Store(CellBusy)
	}
	if n, m := b.Used(3), b.Busy(3); n != 4 || m != 1 {
		t.Errorf("%d cells are in use, %d busy", n, m)
	}
	for i := range b.Rows() {
		b.Clear(i)
	}
	if n, m := b.Used(3), b.Busy(3); n != 0 || m != 0 {
		t.Errorf("cleared: %d cells are in use, %d busy", n, m)
	}
	if got := blocks(); got > 1<<20 {
		t.Errorf("%d bytes for cells that were never used", got)
	}
	for n, want := range map[int32]int{-1: 0, 1 << 30: 20000} { // a worker gone mad
		b.Row(0).Cells.Store(n)
		if got := b.Used(0); got != want {
			t.Errorf("%d: %d cells in use", n, got)
		}
	}
}

func TestTotals(t *testing.T) {
	b := board(t, 2, 1)
	b.Row(0).Requests.Store(5)
	b.Row(1).Requests.Store(6)
	b.Retired().Add(100)
	if n := b.TotalRequests(); n != 111 {
		t.Errorf("%d requests", n)
	}
}

func TestSnap(t *testing.T) {
	c := board(t, 1, 1).Cell(0, 0)
	for _, s := range []struct {
		parts []string
		want  string
	}{
		{nil, ""},
		{[]string{"::1", "GET\x1b[2J", "/\r\n\u202e"}, `::1 GET\x1b[2J /\x0d\x0a\xe2\x80\xae`}, // a client chose it
		{[]string{"::1", "GET", "/a?b"}, "::1 GET /a?b"},
		{[]string{"", "GET", ""}, " GET "},
		{[]string{strings.Repeat("x", 500)}, strings.Repeat("x", snapSize)},
		{[]string{strings.Repeat("x", snapSize), "lost"}, strings.Repeat("x", snapSize)},
		{[]string{strings.Repeat("x", snapSize-1), "lost"}, strings.Repeat("x", snapSize-1) + " "},
	} {
		parts := make([][]byte, len(s.parts))
		for i, p := range s.parts {
			parts[i] = []byte(p)
		}
		c.SetSnap(parts...)
		if got := c.GetSnap(); got != s.want {
			t.Errorf("%q: %q", s.parts, got)
		}
	}
	c.SnapLen.Store(1 << 20) // a worker gone mad must not take the supervisor along
	if got := c.GetSnap(); got != "" {
		t.Errorf("a length past the end reads %q", got)
	}
}

func TestOpenRefusesWhatIsNoBoard(t *testing.T) {
	file := func(size int, change func(*Board)) *os.File {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "test")
		t.Cleanup(func() { f.Close() })
		if err := f.Truncate(int64(size)); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			b, err := mapFD(fd, size)
			if err != nil {
				t.Fatal(err)
			}
			change(b)
		}
		return f
	}
	for name, f := range map[string]*os.File{
		"empty":     file(0, nil),
		"short":     file(10, nil),
		"zeroes":    file(4096, nil),
		"too small": file(4096, func(b *Board) { b.head.Magic, b.head.Rows, b.head.Cells = magic, 1000, 1 }),
	} {
		if _, err := Open(int(f.Fd())); err == nil {
			t.Errorf("%s: taken for a board", name)
		}
	}
	if _, err := Open(-1); err == nil {
		t.Error("no descriptor: taken for a board")
	}
}

// Who else has the memory can neither cut it short nor make its owner look elsewhere in it.
func TestHostileMemory(t *testing.T) {
	b := board(t, 3, 2)
	for i := range b.mem {
		b.mem[i] = 0xff
	}
	if err := unix.Ftruncate(b.FD(), 0); err == nil {
		t.Error("it was cut short")
	}
	if b.Rows() != 3 || b.Cells() != 2 {
		t.Errorf("%d rows, %d cells", b.Rows(), b.Cells())
	}
	b.TotalRequests()
	for i := range b.Rows() {
		for c := range b.Cells() {
			_ = b.Cell(i, c).GetSnap()
		}
		b.Clear(i)
	}
	if _, err := Open(b.FD()); err == nil {
		t.Error("it was opened as a board")
	}
}
