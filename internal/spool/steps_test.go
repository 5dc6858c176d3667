package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/python/pythontest"
)

// steps is testdata/steps.py, which makes processes that put and run jobs.
type steps struct {
	*pythontest.Program
	t *testing.T
}

// ended is what became of such a process.
type ended struct {
	Killed bool
	Code   int
	Out    string
}

func startSteps(t *testing.T) *steps {
	t.Helper()
	return &steps{pythontest.Start(t, "../python", "testdata/steps.py", nil), t}
}

// try has a process do something in dir and die before step at; 0: it shall not die.
func (s *steps) try(what, dir string, at, attempts int) (e ended) {
	s.t.Helper()
	s.Ask(&e, what, dir, at, attempts)
	return e
}

// whole has a process do something to its end.
func (s *steps) whole(what, dir string) string {
	s.t.Helper()
	e := s.try(what, dir, 0, 25)
	if e.Code != 0 {
		s.t.Fatalf("%s: %+v", what, e)
	}
	return e.Out
}

// ran is how often jobs of dir have run, each time whole.
func ran(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(dir + ".ran")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	times := strings.Count(string(text), "1 body\n")
	if len(text) != times*len("1 body\n") {
		t.Fatalf("a torn job ran, or one beside itself, or one that is not counted: %q", text)
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

func spoolFolder(t *testing.T) string {
	t.Helper()
	at, err := os.MkdirTemp("/dev/shm", "spool") // where fsync(2) takes no time
	if err != nil {
		at = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(at) })
	dir := filepath.Join(at, "spool")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// everyStep calls try for each step that a process can die before, until it lives.
func everyStep(t *testing.T, try func(s *steps, dir string, at int) (killed bool)) {
	t.Parallel()
	s := startSteps(t)
	for at := 1; try(s, spoolFolder(t), at); at++ {
		if at == 100 {
			t.Fatal("there is no end of steps")
		}
	}
}

// TestKilledWhilePutting: whoever dies while he puts a job leaves a whole one, or none; what was
// acknowledged is there.
func TestKilledWhilePutting(t *testing.T) {
	everyStep(t, func(s *steps, dir string, at int) bool {
		put := s.try("put", dir, at, 25)
		there := len(jobs(t, dir))
		s.whole("run", dir)
		if n := ran(t, dir); n != there || n > 1 || strings.Contains(put.Out, "uwsgi_spoolfile") && n != 1 {
			t.Errorf("killed before step %d: %d jobs are there, %d ran, the putter was told %q", at, there, n, put.Out)
		}
		return put.Killed
	})
}

// TestKilledWhileRunning: the job of a process that dies is run again, and none is lost.
func TestKilledWhileRunning(t *testing.T) {
	everyStep(t, func(s *steps, dir string, at int) bool {
		s.whole("put", dir)
		first := s.try("run", dir, at, 25)
		before := ran(t, dir)
		left := len(jobs(t, dir))
		out := s.whole("run", dir)
		if n := ran(t, dir); n != before+left || n < 1 || n > 2 {
			t.Errorf("killed before step %d: it ran %d times before and %d in all\n%s", at, before, n, out)
		}
		nothingLeft(t, dir, at)
		return first.Killed
	})
}

// TestClockSetBack: the spooler looks for jobs as often as ever once the clock has been set back.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	slept, err := strconv.Atoi(strings.TrimSpace(startSteps(t).whole("back", spoolFolder(t))))
	if err != nil || slept > 1 {
		t.Errorf("it sleeps for %d seconds (%v), the frequency is one", slept, err)
	}
}

// TestKilledWhileFailing: a job that fails for the last time is in failed/ with its traceback, or
// fails once more.
func TestKilledWhileFailing(t *testing.T) {
	everyStep(t, func(s *steps, dir string, at int) bool {
		s.whole("put", dir)
		s.try("fail", dir, 0, 2)
		second := s.try("fail", dir, at, 2)
		for range 2 {
			s.try("fail", dir, 0, 2)
		}
		all := jobs(t, dir)
		if len(all) != 1 || all[0].State != Failed || !strings.Contains(all[0].Why, "ValueError: this job fails") &&
			!strings.Contains(all[0].Why, "The process that ran it died") {
			t.Errorf("killed before step %d: %+v", at, all)
		}
		return second.Killed
	})
}

// TestKillersAreGivenUp: a job that kills its process is counted, too.
func TestKillersAreGivenUp(t *testing.T) {
	t.Parallel()
	s, dir := startSteps(t), spoolFolder(t)
	s.whole("put", dir)
	for range 5 {
		s.try("die", dir, 0, 3)
	}
	all := jobs(t, dir)
	if n := ran(t, dir); n != 2 && n != 3 || len(all) != 1 || all[0].State != Failed ||
		!strings.Contains(all[0].Why, "The process that ran it died") {
		t.Errorf("it ran %d times: %+v", n, all)
	}
}

// TestDoneOnce: a job that is done does not run again, though it has removed its file, as
// django-uwsgi-taskmanager's do, or its file cannot be removed.
func TestDoneOnce(t *testing.T) {
	t.Parallel()
	s := startSteps(t)
	for what, said := range map[string]string{"gone": "", "stay": "is done, and cannot be removed"} {
		dir := spoolFolder(t)
		s.whole("put", dir)
		if out := s.whole(what, dir); !strings.Contains(out, said) || said == "" && out != "" {
			t.Errorf("%s: %s", what, out)
		}
		s.whole("run", dir)
		if n := ran(t, dir); n != 1 {
			t.Errorf("%s: it ran %d times", what, n)
		}
		for _, job := range jobs(t, dir) {
			if job.State != Failed || what == "gone" {
				t.Errorf("%s: %+v", what, job)
			}
		}
	}
}

// nothingLeft: but what a putter that died was writing.
func nothingLeft(t *testing.T, dir string, at int) {
	t.Helper()
	for _, folder := range []string{dir, filepath.Join(dir, "3")} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".uwsgi_spooling_") && e.Name() != "3" {
				t.Errorf("killed before step %d: %s is left", at, e.Name())
			}
		}
	}
}

// TestFullDisk: a job that does not fit raises OSError where it is put, and leaves nothing; those
// that were acknowledged run whole, once each, though nothing can be written beside them.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, dir := startSteps(t), spoolFolder(t)
	small(t, dir)
	full := s.try("puts", dir, 0, 25)
	put := strings.Count(full.Out, "uwsgi_spoolfile")
	if full.Code != 1 || put == 0 || !strings.Contains(full.Out, "SpoolError: [Errno 28] unable to spool job") {
		t.Fatalf("%+v", full)
	}
	if n := len(jobs(t, dir)); n != put {
		t.Errorf("%d jobs were put, %d are there", put, n)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != put {
		t.Errorf("%v, %v", entries, err)
	}
	s.whole("run", dir)
	text, err := os.ReadFile(dir + ".ran")
	if n := strings.Count(string(text), "1 body\n"); err != nil || n != put || strings.Contains(string(text), "twice") {
		t.Errorf("%d jobs were put, %d ran: %v %q", put, n, err, text)
	}
	nothing, err := os.ReadDir(dir)
	if err != nil || len(nothing) != 0 {
		t.Errorf("%v, %v", nothing, err)
	}
}

// TestFailingOnAFullDisk: attempts are counted there, too: what fails, and what kills its process,
// ends in failed/.
func TestFailingOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"fail", "die"} {
		s, dir := startSteps(t), spoolFolder(t)
		small(t, dir)
		s.whole("put", dir)
		filler, err := os.Create(filepath.Join(dir, "filler"))
		for err == nil {
			_, err = filler.Write(make([]byte, 4096))
		}
		filler.Close()
		out := ""
		for range 6 { // one whose process died is put off before the next attempt
			out += s.try(what, dir, 0, 3).Out
		}
		given := 0
		for _, job := range jobs(t, dir) {
			if job.State == Failed {
				given++
			}
		}
		if n := strings.Count(readFile(t, dir+".ran"), "1 body"); given != 1 || n < 2 || n > 3 {
			t.Errorf("%s: it ran %d times, %d are given up: %q", what, n, given, out)
		}
		if !strings.Contains(out, "is given up is kept in this log only") {
			t.Errorf("%s: %q", what, out)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestForeignFiles: what is no job is not run, hinders no other, and what looks like one without
// being whole goes to failed/.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	s, dir := startSteps(t), spoolFolder(t)
	name := func(n int) string { return filepath.Join(dir, fmt.Sprintf("uwsgi_spoolfile_on_here_1_%d_1_1_1", n)) }
	for n, text := range []string{"", "\x11", "\x11\x05\x00\x00", "\x00\x00\x00\x00",
		"\x11\x04\x00\x00\xff\xff\x00\x00",
		"\x11\x03\x00\x00\x01\x00a", "#!/bin/sh\nexit 1\n"} {
		write(t, name(n), text)
	}
	write(t, name(100), "not a job")
	write(t, name(101), "\x11\x00\x00\x00")
	for _, sparse := range []string{name(100), name(101)} {
		if err := os.Truncate(sparse, 1<<42); err != nil {
			t.Fatal(err)
		}
	}
	for n, create := range []func(string) error{
		func(p string) error { return os.Mkdir(p, 0o700) },
		func(p string) error { return os.Symlink("/etc/passwd", p) },
		func(p string) error { return mkfifo(p) },
	} {
		if err := create(name(200 + n)); err != nil {
			t.Fatal(err)
		}
	}
	deep := dir
	for range 200 {
		deep = filepath.Join(deep, "1")
	}
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "notes.txt"), "mine")
	write(t, filepath.Join(dir, "7"), "no folder")
	s.whole("put", dir)
	for _, record := range []string{`[[`, `{"attempts": 1e999, "running": 1, "why": ""}`, `[1]`,
		strings.Repeat("[", 100000)} {
		for _, job := range jobs(t, dir) {
			if strings.HasPrefix(job.Name, "3/") {
				write(t, filepath.Join(dir, recordOf(job.Name)), record)
			}
		}
		s.whole("run", dir)
		s.whole("put", dir)
	}
	s.whole("run", dir)
	if n := ran(t, dir); n != 5 {
		t.Errorf("%d jobs ran", n)
	}
	for _, kept := range []string{"notes.txt", "7", filepath.Base(name(200)), filepath.Base(name(201)),
		filepath.Base(name(202))} {
		if _, err := os.Lstat(filepath.Join(dir, kept)); err != nil {
			t.Error(err)
		}
	}
	odd := 0
	for _, job := range jobs(t, dir) {
		if job.State != Failed || !strings.Contains(job.Why, "It is no whole job: ") {
			t.Errorf("%+v", job)
		}
		odd++
	}
	if odd != 9 {
		t.Errorf("%d files are in failed/", odd)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestManyDrain: several processes at one folder run each job once, and none beside itself.
func TestManyDrain(t *testing.T) {
	t.Parallel()
	putter, dir := startSteps(t), spoolFolder(t)
	const all = 40
	for range all {
		putter.whole("put", dir)
	}
	drained := make(chan ended)
	for range 4 {
		s := startSteps(t)
		go func() { drained <- s.try("run", dir, 0, 25) }()
	}
	for range 4 {
		if e := <-drained; e.Code != 0 {
			t.Errorf("%+v", e)
		}
	}
	if n := ran(t, dir); n != all || len(jobs(t, dir)) != 0 {
		t.Errorf("%d of %d jobs ran: %+v", n, all, jobs(t, dir))
	}
}
