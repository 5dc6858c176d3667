package queue

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
	source := "../../cmd/uwsgi-shared/"
	program := filepath.Join(t.TempDir(), "stress")
	out, err := exec.Command("cc", "-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined",
		"-fno-sanitize-recover", "-pthread", "-I", source, "-o", program, "testdata/stress.c", source+"area.c",
		source+"queue.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var keeper area.Keeper
	defer keeper.Close()
	a := opened(t, &keeper, option.MemorySettings{Queue: 7, QueueBlockSize: 290})
	run := func(what string) *exec.Cmd {
		cmd := exec.Command(program, "3", what)
		cmd.ExtraFiles = []*os.File{a.File}
		return cmd
	}
	for round := range 20 {
		one, two := run(fmt.Sprint(2*round)), run(fmt.Sprint(2*round+1))
		var said strings.Builder
		one.Stderr, two.Stderr = &said, nil
		if one.Start() != nil || two.Start() != nil {
			t.Fatal("cannot start")
		}
		time.Sleep(time.Duration(10+round%7) * time.Millisecond) // why: the kill falls anywhere
		one.Process.Kill()
		two.Process.Kill()
		one.Wait()
		two.Wait()
		if said.Len() > 0 {
			t.Fatal(said.String())
		}
		if out, err := run("check").CombinedOutput(); err != nil {
			t.Fatalf("round %d: %v: %s", round, err, out)
		} else if round == 19 {
			t.Logf("%s", out)
		}
	}
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
