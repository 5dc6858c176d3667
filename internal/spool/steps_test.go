package spool

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// step runs testdata/steps.py: what of it was killed, and what it wrote.
func step(t *testing.T, what, dir string, at int, more ...string) (killed bool, out string) {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-S", "testdata/steps.py", what, dir, fmt.Sprint(at)}, more...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH=../python", "PYTHONDONTWRITEBYTECODE=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
			t.Fatalf("%s at step %d: %v\n%s", what, at, err, stderr.String())
		}
		return true, stdout.String()
	}
	return false, stdout.String() + stderr.String()
}

// ran is how often the job of dir has run, each time whole.
func ran(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(dir + ".ran")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	times := strings.Count(string(text), "1 body\n")
	if len(text) != times*len("1 body\n") {
		t.Fatalf("a torn job ran: %q", text)
	}
	return times
}

func jobs(t *testing.T, dir string) []Job {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// everyStep calls try for each step that a process can die before, until it lives.
func everyStep(t *testing.T, try func(t *testing.T, dir string, at int) (killed bool)) {
	t.Helper()
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "spool")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if !try(t, dir, at) {
			if at < 4 {
				t.Fatalf("there are but %d steps", at)
			}
			return
		}
		if at == 100 {
			t.Fatal("there is no end of steps")
		}
	}
}

// TestKilledWhilePutting: whoever dies while he puts a job leaves a whole one, or none; what was
// acknowledged is there.
func TestKilledWhilePutting(t *testing.T) {
	everyStep(t, func(t *testing.T, dir string, at int) bool {
		killed, out := step(t, "put", dir, at)
		there := len(jobs(t, dir))
		step(t, "run", dir, 0)
		if n := ran(t, dir); n != there || n > 1 || strings.Contains(out, "uwsgi_spoolfile") && n != 1 {
			t.Errorf("killed before step %d: %d jobs are there, %d ran, the putter was told %q", at, there, n, out)
		}
		return killed
	})
}

// TestKilledWhileRunning: the job of a process that dies is run again, and none is lost.
func TestKilledWhileRunning(t *testing.T) {
	everyStep(t, func(t *testing.T, dir string, at int) bool {
		step(t, "put", dir, 0)
		killed, _ := step(t, "run", dir, at)
		before := ran(t, dir)
		left := len(jobs(t, dir))
		_, out := step(t, "run", dir, 0)
		if n := ran(t, dir); n != before+left || n < 1 || n > 2 {
			t.Errorf("killed before step %d: it ran %d times before and %d in all\n%s", at, before, n, out)
		}
		nothingLeft(t, dir, at)
		return killed
	})
}

// TestKilledWhileFailing: a job that fails for the last time is in failed/ with its traceback, or
// fails once more.
func TestKilledWhileFailing(t *testing.T) {
	everyStep(t, func(t *testing.T, dir string, at int) bool {
		step(t, "put", dir, 0)
		step(t, "fail", dir, 0, "2")
		killed, _ := step(t, "fail", dir, at, "2")
		for range 3 {
			step(t, "fail", dir, 0, "2")
		}
		all := jobs(t, dir)
		if len(all) != 1 || all[0].State != Failed || !strings.Contains(all[0].Why, "ValueError: this job fails") &&
			!strings.Contains(all[0].Why, "The process that ran it died") {
			t.Errorf("killed before step %d: %+v", at, all)
		}
		return killed
	})
}

// TestKillersAreGivenUp: a job that kills its process is counted, too.
func TestKillersAreGivenUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	os.Mkdir(dir, 0o700)
	step(t, "put", dir, 0)
	for range 4 {
		step(t, "die", dir, 0, "3")
	}
	step(t, "die", dir, 0, "3")
	all := jobs(t, dir)
	if n := ran(t, dir); n != 2 && n != 3 || len(all) != 1 || all[0].State != Failed ||
		!strings.Contains(all[0].Why, "The process that ran it died") {
		t.Errorf("it ran %d times: %+v", n, all)
	}
}

// nothingLeft: but what a putter that died was writing.
func nothingLeft(t *testing.T, dir string, at int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".uwsgi_spooling_") {
			t.Errorf("killed before step %d: %s is left", at, e.Name())
		}
	}
}
