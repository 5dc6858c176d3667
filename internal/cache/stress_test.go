package cache

import (
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

// A cache that processes work in is sound whenever one of them is killed.
func TestKilledAtAnyInstruction(t *testing.T) {
	source := "../../cmd/uwsgi-shared/"
	program := filepath.Join(t.TempDir(), "stress")
	out, err := exec.Command("cc", "-std=gnu11", "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover",
		"-pthread", "-I", source, "-o", program, "testdata/stress.c", source+"area.c", source+"cache.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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
