package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
	"uwsgi/internal/sd/entry"
)

func journalLog(t *testing.T, s *option.Settings) (*Log, *journald, func() string) {
	t.Helper()
	j := newJournald(t)
	l, read := testLog(t, s, func(e *Env) { e.Journal, e.JournalPath, e.Unit = true, j.path, "uwsgi@mysite.service" })
	return l, j, read
}

func TestJournalEntries(t *testing.T) {
	s := testSettings()
	s.Daemonize, s.LogDate = "/var/log/uwsgi.log", option.DefaultLogDate
	l, j, read := journalLog(t, s)
	if e := j.next(); e["MESSAGE"] != "daemonize = /var/log/uwsgi.log is not used under systemd: the log is in the "+
		"journal, read it with journalctl -u uwsgi@mysite" {
		t.Errorf("%v", e)
	}
	l.Timed("dated elsewhere")
	if e := j.next(); e["MESSAGE"] != "dated elsewhere" || e["PRIORITY"] != "6" || e["SYSLOG_IDENTIFIER"] != "uwsgi" ||
		e["UWSGI_APP"] != "mysite" {
		t.Errorf("%v", e)
	}
	l.Event(slog.LevelError, "worker.died", "DAMN ! worker 1 (pid: 9) died :( trying respawn ...",
		slog.Int("worker", 1), slog.Int("pid", 9))
	e := j.next()
	if e["PRIORITY"] != "3" || e["MESSAGE_ID"] != sd.MessageWorkerDied || e["UWSGI_WORKER"] != "1" ||
		e["UWSGI_PID"] != "9" || e["UWSGI_EVENT"] != "worker.died" {
		t.Errorf("%v", e)
	}
	if read() != "" {
		t.Errorf("standard error has %q", read())
	}
}

func TestJournalOfAWorker(t *testing.T) {
	l, j, _ := journalLog(t, testSettings())
	w, err := l.WorkerStderr(3)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "print\n")
	if e := j.next(); e["MESSAGE"] != "print" || e["UWSGI_WORKER"] != "3" || e["PRIORITY"] != "6" {
		t.Errorf("%v", e)
	}
	// As Python does: a write a piece. Silence ends it.
	for _, piece := range []string{"Traceback (most recent call last):\n", "  File \"x.py\", line 1, in f\n",
		"Value", "Error: x\n"} {
		fmt.Fprint(w, piece)
	}
	if e := j.next(); e["MESSAGE"] != "Traceback (most recent call last):\n  File \"x.py\", line 1, in "+
		"f\nValueError: x" || e["PRIORITY"] != "3" {
		t.Errorf("%v", e)
	}
	fmt.Fprint(w, "no newline")
	if e := j.next(); e["MESSAGE"] != "no newline" {
		t.Errorf("%v", e)
	}
	big := strings.Repeat("x", 150<<10)
	fmt.Fprint(w, "head\n  "+big[:60<<10]+"\n")
	if e := j.next(); !strings.HasPrefix(e["MESSAGE"], "head") {
		t.Errorf("%.80v", e)
	}
	w.Close()
}

func TestRequestLogUnderJournald(t *testing.T) {
	s := testSettings()
	s.LogMaster = true
	l, j, _ := journalLog(t, s)
	f, kind, err := l.RequestLog()
	if err != nil || kind != "journal" {
		t.Fatal(kind, err)
	}
	defer f.Close()
	if _, err := f.Write(entry.AppendField(entry.AppendField(nil, "MESSAGE", "GET /"), "STATUS", "200")); err != nil {
		t.Fatal(err)
	}
	if e := j.next(); e["MESSAGE"] != "GET /" || e["STATUS"] != "200" {
		t.Errorf("%v", e)
	}
}

// Request lines that were lost are reported by the journal's own count, which is told again until
// it is taken; elsewhere by a line.
func TestLostRequestLines(t *testing.T) {
	j := newJournald(t)
	l, _ := testLog(t, testSettings(), func(e *Env) { e.Journal, e.JournalPath = true, j.path })
	l.Event(slog.LevelWarn, "log.lost", "7 request lines were lost", slog.Int64("lost", 7))
	if e := j.next(); !strings.HasPrefix(e["MESSAGE"], "7 log entries were lost") || e["PRIORITY"] != "4" ||
		e["UWSGI_APP"] != "mysite" {
		t.Errorf("%q", e)
	}
	l, read := testLog(t, testSettings(), nil)
	l.Event(slog.LevelWarn, "log.lost", "7 request lines were lost", slog.Int64("lost", 7))
	if got := read(); got != "7 request lines were lost\n" {
		t.Errorf("%q", got)
	}
}

func TestJournalOutOfReach(t *testing.T) {
	l, read := testLog(t, testSettings(), func(e *Env) { e.Journal, e.JournalPath = true, "/no/such/socket" })
	l.Print("hello")
	if got := read(); !strings.HasSuffix(got, "hello\n") || !strings.Contains(got, "logging to standard error") {
		t.Errorf("%q", got)
	}
	if f, kind, err := l.RequestLog(); err != nil || kind != "stream" {
		t.Error(kind, err)
	} else {
		f.Close()
	}
}

func TestWorkerThroughTheSupervisor(t *testing.T) {
	s := testSettings()
	path := filepath.Join(t.TempDir(), "log")
	s.Loggers = []option.Logger{{Kind: "file", Arg: path}}
	l, _ := testLog(t, s, nil)
	var all []*os.File
	for slot := range 4 {
		w, err := l.WorkerStderr(slot)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	const n = 500
	done := make(chan error, len(all))
	for i, w := range all {
		go func() {
			for k := range n {
				if _, err := fmt.Fprintf(w, "worker %d line %d\r\n", i, k); err != nil {
					done <- err
					return
				}
			}
			done <- w.Close()
		}()
	}
	for range all {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[int]int{}
	for line := range strings.Lines(readFile(t, path)) {
		var i, k int
		if _, err := fmt.Sscanf(line, "worker %d line %d\n", &i, &k); err != nil || next[i] != k {
			t.Fatalf("%q: want line %d of it (%v)", line, next[i], err)
		}
		next[i]++
	}
	for i := range all {
		if next[i] != n {
			t.Errorf("worker %d: %d lines", i, next[i])
		}
	}
}

func TestCloseTakesInWhatIsWritten(t *testing.T) {
	s := testSettings()
	s.LogMaster = true
	l, read := testLog(t, s, nil)
	w, err := l.WorkerStderr(1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() // still open: the worker lives on
	r, kind, err := l.RequestLog()
	if err != nil || kind != "packet" {
		t.Fatal(kind, err)
	}
	defer r.Close()
	fmt.Fprint(w, "last words\nwithout newline")
	for i := range 100 {
		if _, err := fmt.Fprintf(r, "request %d", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := read()
	if !strings.Contains(got, "last words\n") || !strings.Contains(got, "without newline\n") ||
		strings.Count(got, "request ") != 100 {
		t.Errorf("%q", got)
	}
	if _, err := l.WorkerStderr(1); err == nil {
		t.Error("a closed log gives out pipes")
	}
	if _, err := io.WriteString(w, "x"); err == nil {
		t.Error("the pipe of a closed log still has a reader")
	}
}
