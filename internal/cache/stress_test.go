package cache

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/area"
	"uwsgi/internal/area/areatest"
	"uwsgi/internal/option"
)

// TestOffsets: C finds everything where this package puts it, and the other way round.
func TestOffsets(t *testing.T) {
	t.Parallel()
	program := areatest.Build(t, "testdata/stress.c", Kind)
	for _, c := range []option.Cache{
		{Name: "plain", Items: 20, BlockSize: 300, KeySize: 33},
		{Name: "bitmap", Items: 3000, Blocks: 7777, BlockSize: 64, KeySize: 32, HashSize: 9, Bitmap: true, PurgeLRU: true,
			IgnoreFull: true, Initial: -5, Store: filepath.Join(t.TempDir(), "store")},
	} {
		spec, err := layout(c)
		if err != nil {
			t.Fatal(err)
		}
		var keeper area.Keeper
		defer keeper.Close()
		areas, err := keeper.Open([]area.Spec{spec})
		if err != nil {
			t.Fatal(err)
		}
		out, err := areatest.Command(program, areas[0], "tell").Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var owner [8]byte
		if _, err := areas[0].ReadAt(owner[:], 8); err != nil {
			t.Fatal(err)
		}
		own := binary.NativeEndian.Uint64(owner[:])
		var want []uint64
		for at := 0; at < len(spec.Geometry); at += 8 {
			want = append(want, binary.NativeEndian.Uint64(spec.Geometry[at:]))
		}
		want = append(want, 2, 3, 4, 5, 6, 1, 14, own, own, head, slotSize)
		for i, line := range strings.Fields(string(out)) {
			if i < len(want) && line != fmt.Sprint(want[i]) {
				t.Errorf("%s: word %d is %s in C, %d here", c.Name, i, line, want[i])
			}
		}
		if n := len(strings.Fields(string(out))); n != len(want) {
			t.Errorf("%d words, not %d", n, len(want))
		}
		got, err := Stats(areas[0], c) // without the item that is over
		if err != nil || got.Items != 1 || got.Hits != 3 || got.Misses != 4 || got.Full != 5 || got.Evictions != 6 ||
			got.Expired != 2 || got.Bytes != 7 || got.MaxItems != c.Items || got.Name != c.Name {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// A cache that processes work in is sound whenever one of them is killed.
func TestKilledAtAnyInstruction(t *testing.T) {
	t.Parallel()
	program := areatest.Build(t, "testdata/stress.c", Kind, areatest.Sanitized...)
	for _, c := range []option.Cache{
		{Name: "plain", Items: 20, BlockSize: 300, KeySize: 32},
		{Name: "lru", Items: 20, BlockSize: 300, KeySize: 32, PurgeLRU: true},
		{Name: "bitmap", Items: 30, Blocks: 40, BlockSize: 64, KeySize: 32, Bitmap: true, PurgeLRU: true},
		{Name: "store", Items: 30, Blocks: 40, BlockSize: 64, KeySize: 32, Bitmap: true,
			Store: filepath.Join(t.TempDir(), "store")},
	} {
		t.Run(c.Name, func(t *testing.T) {
			spec, err := layout(c)
			if err != nil {
				t.Fatal(err)
			}
			var keeper area.Keeper
			defer keeper.Close()
			areas, err := keeper.Open([]area.Spec{spec})
			if err != nil {
				t.Fatal(err)
			}
			areatest.Kill(t, program, areas[0], 30)
		})
	}
}
