package logging

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/option"
	"uwsgi/internal/sd/entry"
)

// requestEntry is what a worker sends of one request.
func requestEntry(message string) []byte {
	b := entry.AppendField(nil, "PRIORITY", "4")
	b = entry.AppendField(b, "UWSGI_APP", "mysite")
	b = entry.AppendField(b, "MESSAGE", message)
	return entry.AppendField(b, "STATUS", "500")
}

// A log file is written beside the journal, which loses neither a line nor a field by it, and
// standard error stays the journal's.
func TestFileBesideTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for name, set := range map[string]func(*option.Settings){
		"logto":  func(s *option.Settings) { s.LogTo = path },
		"logto2": func(s *option.Settings) { s.LogTo2 = path },
		"logger": func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "file", Arg: path}} },
		"logger beside the default one": func(s *option.Settings) {
			s.Loggers = []option.Logger{{Kind: "file", Arg: path}, {Kind: "stdio"}, {Kind: "systemd"}}
		},
		"daemonize and logto": func(s *option.Settings) { s.Daemonize, s.LogTo = "/none/x", path },
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			s.LogDate = option.DefaultLogDate
			set(s)
			os.Remove(path)
			l, j, read := journalLog(t, s)
			if s.Daemonize != "" {
				if e := j.next(); !strings.HasPrefix(e["MESSAGE"], "daemonize = /none/x is not used under systemd") {
					t.Errorf("%v", e)
				}
			}
			l.Print("hello")
			times := 1
			if len(s.Loggers) > 1 {
				times = 2 // asked for twice
			}
			for range times {
				if e := j.next(); e["MESSAGE"] != "hello" || e["UWSGI_APP"] != "mysite" {
					t.Errorf("%v", e)
				}
			}
			w, err := l.WorkerStderr(2)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(w, "printed\n")
			for range times {
				if e := j.next(); e["MESSAGE"] != "printed" || e["UWSGI_WORKER"] != "2" {
					t.Errorf("%v", e)
				}
			}
			w.Close()
			f, kind, err := l.RequestLog()
			if err != nil || kind != "entry" {
				t.Fatal(kind, err)
			}
			if _, err := f.Write(requestEntry("GET / 500")); err != nil {
				t.Fatal(err)
			}
			f.Close()
			for range times {
				if e := j.next(); e["MESSAGE"] != "GET / 500" || e["STATUS"] != "500" || e["PRIORITY"] != "4" {
					t.Errorf("%v", e)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := readFile(t, path); !strings.HasSuffix(got, " - hello\nprinted\nGET / 500\n") {
				t.Errorf("the file has %q", got)
			}
			if read() != "" {
				t.Errorf("standard error has %q", read())
			}
		})
	}
}

// req-logger takes the request lines, the journal has them still, and what an encoder makes of
// them.
func TestRequestLoggerBesideTheJournal(t *testing.T) {
	s := testSettings()
	path := filepath.Join(t.TempDir(), "requests")
	s.ReqLoggers = []option.Logger{{Kind: "file", Arg: path}}
	s.LogReqEncoders = []option.LogEncoder{{Kind: "format", Arg: "<${msg}>"}}
	l, j, _ := journalLog(t, s)
	l.Print("hello")
	if e := j.next(); e["MESSAGE"] != "hello" {
		t.Errorf("%v", e)
	}
	f, kind, err := l.RequestLog()
	if err != nil || kind != "entry" {
		t.Fatal(kind, err)
	}
	long := requestEntry(strings.Repeat("x", 2*entrySize))
	for _, p := range [][]byte{requestEntry("GET /"), long} {
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if e := j.next(); e["MESSAGE"] != "<GET />" || e["STATUS"] != "500" || e["UWSGI_APP"] != "mysite" {
		t.Errorf("%v", e)
	}
	// cut where it does not fit
	if e := j.next(); !strings.HasPrefix(e["MESSAGE"], "<xxx") || !strings.HasSuffix(e["MESSAGE"], "x>") {
		t.Errorf("%.40v", e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); !strings.HasPrefix(got, "<GET />") || strings.Contains(got, "hello") {
		t.Errorf("the file has %.40q", got)
	}
}

// logrotate's copytruncate leaves no hole: the file is appended to.
func TestTruncatedBesideTheJournal(t *testing.T) {
	s := testSettings()
	s.LogTo = filepath.Join(t.TempDir(), "log")
	l, _, _ := journalLog(t, s)
	l.Print("before")
	if err := os.Truncate(s.LogTo, 0); err != nil {
		t.Fatal(err)
	}
	l.Print("after")
	if got := readFile(t, s.LogTo); got != "after\n" {
		t.Errorf("%q", got)
	}
}

// A file that cannot be opened costs the file, not the start: the journal has all.
func TestNoFileBesideTheJournal(t *testing.T) {
	s := testSettings()
	s.LogTo = "/none/log"
	l, j, _ := journalLog(t, s)
	if e := j.next(); e["MESSAGE"] != "logto = /none/log: open /none/log: no such file or directory; the log "+
		"is in the journal alone" {
		t.Errorf("%v", e)
	}
	if f, kind, err := l.RequestLog(); err != nil || kind != "journal" {
		t.Error(kind, err)
	} else {
		f.Close()
	}
}
