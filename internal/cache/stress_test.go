package cache

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/area"
	"uwsgi/internal/option"
)

// stress builds testdata/stress.c with what works in a cache.
func stress(t *testing.T, flags ...string) (program string) {
	t.Helper()
	source := "../../cmd/uwsgi-shared/"
	program = filepath.Join(t.TempDir(), "stress")
	args := append(flags, "-std=gnu11", "-pthread", "-I", source, "-o", program, "testdata/stress.c", source+"area.c",
		source+"cache.c")
	out, err := exec.Command("cc", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestOffsets: C finds everything where this package puts it, and the other way round.
func TestOffsets(t *testing.T) {
	t.Parallel()
	program := stress(t)
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
		cmd := exec.Command(program, "3", "tell")
		cmd.ExtraFiles = []*os.File{areas[0].File}
		out, err := cmd.Output()
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
		want = append(want, 1, 3, 4, 5, 6, 1, 7, own, own, head, slotSize)
		for i, line := range strings.Fields(string(out)) {
			if i < len(want) && line != fmt.Sprint(want[i]) {
				t.Errorf("%s: word %d is %s in C, %d here", c.Name, i, line, want[i])
			}
		}
		if n := len(strings.Fields(string(out))); n != len(want) {
			t.Errorf("%d words, not %d", n, len(want))
		}
		got, err := Stats(areas[0], c)
		if err != nil || got.Items != 1 || got.Hits != 3 || got.Misses != 4 || got.Full != 5 || got.Evictions != 6 ||
			got.Expired != 1 || got.Bytes != 7 || got.MaxItems != c.Items || got.Name != c.Name {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// A cache that processes work in is sound whenever one of them is killed.
func TestKilledAtAnyInstruction(t *testing.T) {
	t.Parallel()
	program := stress(t, "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover")
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
			run := func(what string) *exec.Cmd {
				cmd := exec.Command(program, "3", what)
				cmd.ExtraFiles = []*os.File{areas[0].File}
				return cmd
			}
			for round := range 30 {
				a, b := run(fmt.Sprint(2*round)), run(fmt.Sprint(2*round+1))
				var said strings.Builder
				a.Stderr, b.Stderr = &said, nil
				if a.Start() != nil || b.Start() != nil {
					t.Fatal("cannot start")
				}
				time.Sleep(time.Duration(3+round%7) * time.Millisecond) // why: the kill falls anywhere
				a.Process.Kill()
				b.Process.Kill()
				a.Wait()
				b.Wait()
				if said.Len() > 0 {
					t.Fatal(said.String())
				}
				if out, err := run("check").CombinedOutput(); err != nil {
					t.Fatalf("round %d: %v: %s", round, err, out)
				} else if round == 29 {
					t.Logf("%s", out)
				}
			}
		})
	}
}
