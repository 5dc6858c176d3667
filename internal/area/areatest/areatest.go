// Package areatest runs what works in an area, C of cmd/uwsgi-shared, in processes of its own,
// which are killed anywhere.
package areatest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/area"
)

// Sanitized are cc's flags for what ends at the first fault.
var Sanitized = []string{"-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover"}

// Build compiles source, a program of the package's testdata, with what works in areas of that
// kind.
func Build(t *testing.T, source, kind string, flags ...string) (program string) {
	t.Helper()
	shared := "../../cmd/uwsgi-shared/"
	program = filepath.Join(t.TempDir(), kind)
	args := append(flags, "-std=gnu11", "-pthread", "-I", shared, "-o", program, source, shared+"area.c",
		shared+kind+".c")
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// Command runs it in an area, whose descriptor is its first argument.
func Command(program string, a *area.Area, args ...string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{"3"}, args...)...)
	cmd.ExtraFiles = []*os.File{a.File}
	return cmd
}

// Kill has two processes work in an area, each with a seed, and kills them, so many times. What is
// there afterwards is sound, as the program finds that is asked to "check".
func Kill(t *testing.T, program string, a *area.Area, rounds int) {
	t.Helper()
	for round := range rounds {
		var said [2]strings.Builder
		var workers []*exec.Cmd
		for i := range said {
			cmd := Command(program, a, strconv.Itoa(2*round+i))
			cmd.Stderr = &said[i]
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err == nil {
				_, err = out.Read(make([]byte, 1)) // it is at work
			}
			if err != nil {
				t.Fatal(err, said[i].String())
			}
			workers = append(workers, cmd)
		}
		time.Sleep(time.Duration(3+round%7) * time.Millisecond) // why: the kill falls anywhere
		for i, cmd := range workers {
			cmd.Process.Kill()
			cmd.Wait()
			if said[i].Len() > 0 {
				t.Fatal(said[i].String())
			}
		}
		out, err := Command(program, a, "check").CombinedOutput()
		if err != nil {
			t.Fatalf("round %d: %v: %s", round, err, out)
		}
		if round == rounds-1 {
			t.Logf("%s", out)
		}
	}
}
