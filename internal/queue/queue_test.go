package queue

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"uwsgi/internal/area"
	"uwsgi/internal/area/areatest"
	"uwsgi/internal/option"
)

func opened(t *testing.T, keeper *area.Keeper, s option.MemorySettings) *area.Area {
	t.Helper()
	specs, err := Specs(&option.Settings{MemorySettings: s})
	if err != nil {
		t.Fatal(err)
	}
	areas, err := keeper.Open(specs)
	if err != nil {
		t.Fatal(err)
	}
	return areas[0]
}

// A queue that processes work in is sound whenever one of them is killed.
func TestKilledAtAnyInstruction(t *testing.T) {
	t.Parallel()
	program := areatest.Build(t, "testdata/stress.c", Kind, append(areatest.Sanitized, "-fsanitize=address")...)
	var keeper area.Keeper
	defer keeper.Close()
	a := opened(t, &keeper, option.MemorySettings{Queue: 7, QueueBlockSize: 290})
	areatest.Kill(t, program, a, 20)
}

// TestStoreOfUWSGI: a file that uWSGI has left goes on with its messages.
func TestStoreOfUWSGI(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	file := make([]byte, foreign+4*64)
	file[0], file[8] = 3, 1 // filled at, emptied at
	binary.NativeEndian.PutUint64(file[foreign+64:], 5)
	copy(file[foreign+64+slotHead:], "hello")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s := option.MemorySettings{Queue: 4, QueueBlockSize: 64, QueueStore: path}
	for range 2 { // the second finds its own
		var keeper area.Keeper
		a := opened(t, &keeper, s)
		content := make([]byte, len(file))
		if _, err := a.ReadAt(content, head-foreign); err != nil || string(content) != string(file) {
			t.Errorf("%v: %q", err, content)
		}
		keeper.Close()
	}
	var keeper area.Keeper
	defer keeper.Close()
	s.Queue = 5
	a := opened(t, &keeper, s)
	if a.Renewed == "" {
		t.Error("a queue of another size has the file")
	}
}

func TestWrong(t *testing.T) {
	for _, s := range []option.MemorySettings{{Queue: 1, QueueBlockSize: 16}, {Queue: 1 << 62, QueueBlockSize: 64}} {
		if _, err := Specs(&option.Settings{MemorySettings: s}); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
