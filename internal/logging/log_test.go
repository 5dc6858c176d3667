package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/needs"
	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

func TestStamps(t *testing.T) {
	for _, c := range []struct{ date, prefix, want string }{
		{"", "", "plain\nSun Nov 22 11:05:07 2026 - timed\n"},
		{option.DefaultLogDate, "", "Sun Nov 22 11:05:07 2026 - plain\nSun Nov 22 11:05:07 2026 - timed\n"},
		{"%Y", "", "2026 - plain\n2026 - timed\n"},
		{"", "PFX", "PFX - plain\nPFX - timed\n"},
	} {
		s := testSettings()
		s.LogDate, s.LogPrefix = c.date, c.prefix
		l, read := testLog(t, s, nil)
		l.Print("plain")
		l.Timed("timed\n")
		if got := read(); got != c.want {
			t.Errorf("log-date=%q log-prefix=%q:\n%swant:\n%s", c.date, c.prefix, got, c.want)
		}
	}
}

func TestFileTakesThePlaceOfStderr(t *testing.T) {
	s := testSettings()
	s.LogTo = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(s.LogTo, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr *os.File
	l, read := testLog(t, s, func(e *Env) { stderr = e.Stderr })
	l.Print("one")
	fmt.Fprintln(stderr, "by itself")
	if f, err := l.WorkerStderr(1); f != nil || err != nil {
		t.Error("a worker of a plain file needs no pipe", f, err)
	}
	f, kind, err := l.RequestLog()
	if err != nil || kind != "stream" {
		t.Fatal(kind, err)
	}
	fmt.Fprintln(f, "request")
	f.Close()
	if got := readFile(t, s.LogTo); got != "old\none\nby itself\nrequest\n" || read() != "" {
		t.Errorf("file %q, stderr %q", got, read())
	}
}

func TestFileModeAndTruncate(t *testing.T) {
	s := testSettings()
	s.LogTo, s.LogTruncate, s.LogfileChmod = filepath.Join(t.TempDir(), "log"), true, "604"
	if err := os.WriteFile(s.LogTo, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, _ := testLog(t, s, nil)
	l.Print("new")
	st, err := os.Stat(s.LogTo)
	if err != nil || st.Mode().Perm() != 0o604 || readFile(t, s.LogTo) != "new\n" {
		t.Errorf("%v %v %q", err, st.Mode(), readFile(t, s.LogTo))
	}
	// A reload does not empty it again.
	l, _ = testLog(t, s, func(e *Env) { e.Reload = true })
	l.Print("more")
	if got := readFile(t, s.LogTo); got != "new\nmore\n" {
		t.Errorf("%q", got)
	}
}

func TestLogto2OpensWithTheUsersRights(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := testSettings()
	s.LogTo2 = filepath.Join(dir, "denied")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	user := UserFiles{&syscall.Credential{Uid: 4242, Gid: 4242}}
	if _, err := New(s, Env{Stderr: null, UserFiles: user}); !errors.Is(err, os.ErrPermission) {
		t.Error("root's directory:", err)
	}
	if err := os.Chown(dir, 4242, 4242); err != nil {
		t.Fatal(err)
	}
	l, err := New(s, Env{Stderr: null, UserFiles: user})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, err := os.ReadDir(dir); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
}

func TestRotation(t *testing.T) {
	s := testSettings()
	dir := t.TempDir()
	s.LogTo, s.LogMaxSize = filepath.Join(dir, "log"), 20
	l, _ := testLog(t, s, nil)
	l.Print("0123456789")
	l.Print("0123456789")
	l.Print("after")
	old := fmt.Sprintf("%s.%d", s.LogTo, at.Unix())
	if got := readFile(t, old); got != "0123456789\n0123456789\nSun Nov 22 11:05:07 2026 - logsize: 22, triggering "+
		"rotation to "+old+"...\n" {
		t.Errorf("%q", got)
	}
	if got := readFile(t, s.LogTo); got != "after\n" {
		t.Errorf("%q", got)
	}
	if f, err := l.WorkerStderr(1); f == nil || err != nil {
		t.Error("rotation needs a pipe", err)
	} else {
		f.Close()
	}
	s.LogBackupName = filepath.Join(dir, "backup")
	if err := l.Rotate(); err != nil {
		t.Fatal(err)
	}
}

// No line is lost to a second file of the same second, whether it is put aside for its size or by
// hand.
func TestRotationKeepsEveryLine(t *testing.T) {
	s := testSettings()
	dir := t.TempDir()
	s.LogTo, s.LogMaxSize = filepath.Join(dir, "log"), 20
	l, _ := testLog(t, s, nil)
	for range 100 {
		l.Print("0123456789")
	}
	for range 3 {
		if err := l.Rotate(); err != nil {
			t.Fatal(err)
		}
		l.Print("0123456789")
	}
	files, err := filepath.Glob(s.LogTo + "*")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, f := range files {
		lines += strings.Count(readFile(t, f), "0123456789\n")
	}
	if lines != 103 || len(files) != 5 {
		t.Errorf("%d lines in %q, not 103 in 5 files", lines, files)
	}
}

func TestRotateToBackupName(t *testing.T) {
	s := testSettings()
	dir := t.TempDir()
	s.LogTo, s.LogBackupName = filepath.Join(dir, "log"), filepath.Join(dir, "backup")
	l, _ := testLog(t, s, nil)
	l.Print("x")
	if err := l.Rotate(); err != nil || !strings.HasPrefix(readFile(t, s.LogBackupName), "x\n") {
		t.Error(err)
	}
}

func TestReopen(t *testing.T) {
	s := testSettings()
	s.LogTo = filepath.Join(t.TempDir(), "log")
	l, _ := testLog(t, s, nil)
	l.Print("x")
	if err := os.Rename(s.LogTo, s.LogTo+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Print("y")
	if got, want := readFile(t, s.LogTo+".1"), fmt.Sprintf("x\n[%d] logsize: 2, triggering log-reopen...\n",
		at.Unix()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := readFile(t, s.LogTo), fmt.Sprintf("[%d] %s reopened.\ny\n", at.Unix(), s.LogTo); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLoggersAndRoutes(t *testing.T) {
	dir := t.TempDir()
	p := func(n string) string { return filepath.Join(dir, n) }
	s := testSettings()
	s.Loggers = []option.Logger{{Kind: "file", Arg: p("all")},
		{ID: "slow", Kind: "file", Arg: "logfile=" + p("slow") + ",maxsize=100000"}}
	s.LogRoutes = []option.LogRoute{{ID: "slow", Pattern: "took [0-9]{4,} msecs"}}
	s.LogDrain = []string{"^health"}
	s.LogEncoders = []option.LogEncoder{{Kind: "prefix", Logger: "slow", Arg: "SLOW "}}
	s.ReqLoggers = []option.Logger{{Kind: "file", Arg: p("req")}}
	s.LogReqEncoders = []option.LogEncoder{{Kind: "json", Arg: `{"t":${unix},"m":"${msg}"}`}, {Kind: "nl"}}
	l, read := testLog(t, s, nil)
	for _, m := range []string{"hello", "health check", "it took 12345 msecs"} {
		l.Print(m)
	}
	f, kind, err := l.RequestLog()
	if err != nil || kind != "packet" {
		t.Fatal(kind, err)
	}
	for _, m := range []string{"GET /a", "GET /\"b\x01\xff"} {
		if _, err := f.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, p("all")); got != "hello\n" {
		t.Errorf("all: %q", got)
	}
	if got := readFile(t, p("slow")); got != "SLOW it took 12345 msecs\n" {
		t.Errorf("slow: %q", got)
	}
	var entries []string
	for line := range strings.Lines(readFile(t, p("req"))) {
		var e struct {
			T int64
			M string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.T != at.Unix() {
			t.Errorf("%q: %v", line, err)
		}
		entries = append(entries, e.M)
	}
	if got := fmt.Sprintf("%q", entries); got != `["GET /a" "GET /\"b\x01ÿ"]` || read() != "" {
		t.Errorf("%s, stderr %q", got, read())
	}
}

func TestFilterKeepsOnlyMatches(t *testing.T) {
	s := testSettings()
	s.LogFilter = []string{"keep", "me too"}
	l, read := testLog(t, s, nil)
	for _, m := range []string{"keep 1", "drop", "me too"} {
		l.Print(m)
	}
	if got := read(); got != "keep 1\nme too\n" {
		t.Errorf("%q", got)
	}
}

func TestEncoders(t *testing.T) {
	for _, c := range []struct {
		list []option.LogEncoder
		want string
	}{
		{[]option.LogEncoder{{Kind: "format", Arg: "[FOO ${msg}]"}, {Kind: "nl"}}, "[FOO a\"b]\n"},
		{[]option.LogEncoder{{Kind: "format", Arg: "${msgnl}"}}, "a\"b\n"},
		{[]option.LogEncoder{{Kind: "prefix", Arg: "<"}, {Kind: "suffix", Arg: ">"}}, "<a\"b\n>"},
		{[]option.LogEncoder{{Kind: "format", Arg: "${strftime:%H:%M} ${unix} ${millis} ${micros} ${what} ${"}},
			fmt.Sprintf("11:05 %d %d %d ${what} ${", at.Unix(), at.UnixMilli(), at.UnixMicro())},
		{[]option.LogEncoder{{Kind: "json", Arg: `"${msg}" "${msgnl}"`}}, `"a\"b" "a\"b\n"`},
		{[]option.LogEncoder{{Kind: "nl", Logger: "other"}}, "a\"b\n"},
	} {
		s := testSettings()
		s.LogEncoders = c.list
		l, read := testLog(t, s, nil)
		l.Print(`a"b`)
		if got := read(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.list, got, c.want)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	for want, change := range map[string]func(*option.Settings){
		"logger named nobody": func(s *option.Settings) { s.LogRoutes = []option.LogRoute{{ID: "nobody", Pattern: "x"}} },
		"log-drain = (":       func(s *option.Settings) { s.LogDrain = []string{"("} },
		"RE2":                 func(s *option.Settings) { s.LogFilter = []string{"(?!x)"} },
		"compressed":          func(s *option.Settings) { s.LogEncoders = []option.LogEncoder{{Kind: "gzip"}} },
		"unable to find log encoder rot13": func(s *option.Settings) {
			s.LogReqEncoders = []option.LogEncoder{{Kind: "rot13"}}
		},
		"unable to find logger redislog": func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "redislog"}} },
		"no such file":                   func(s *option.Settings) { s.LogTo = "/no/such/dir/log" },
		"invalid udp address":            func(s *option.Settings) { s.LogTo = ":514" },
		"facility":                       func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "syslog", Arg: "me,what"}} },
		"descriptor 999":                 func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "fd", Arg: "999"}} },
		"a path is missing":              func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "file"}} },
		"three octal":                    func(s *option.Settings) { s.LogTo, s.LogfileChmod = filepath.Join(t.TempDir(), "l"), "abc" },
	} {
		s := testSettings()
		change(s)
		if _, err := New(s, Env{Stderr: os.Stderr}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want …%s…", err, want)
		}
	}
}

// receiver is a datagram socket that tests read.
func receiver(t *testing.T, network, address string) (string, func() string) {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String(), func() string {
		buf := make([]byte, 4096)
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestDatagrams(t *testing.T) {
	udp, nextUDP := receiver(t, "udp", "127.0.0.1:0")
	path, nextUnix := receiver(t, "unixgram", filepath.Join(tempDir(t), "s"))
	devlog, nextSyslog := receiver(t, "unixgram", filepath.Join(tempDir(t), "log"))
	for _, c := range []struct {
		change func(*option.Settings)
		next   func() string
		want   string
	}{
		{func(s *option.Settings) { s.LogTo = udp }, nextUDP, "hello\n"},
		{func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "socket", Arg: udp + ",pre:"}} }, nextUDP, "pre:hello\n"},
		{func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "socket", Arg: path}} }, nextUnix, "hello\n"},
		{func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "rsyslog", Arg: udp}} }, nextUDP, "<29>Nov 22 11:05:07 box uwsgi: hello"},
		{func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "rsyslog", Arg: udp + ",tag"}} }, nextUDP, "<29>Nov 22 11:05:07 tag: hello"},
		{func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "syslog"}} }, nextSyslog, "<30>Nov 22 11:05:07 uwsgi[77]: hello"},
		{func(s *option.Settings) { s.Loggers = []option.Logger{{Kind: "syslog", Arg: "me,local7"}} }, nextSyslog, "<190>Nov 22 11:05:07 me[77]: hello"},
	} {
		s := testSettings()
		c.change(s)
		l, _ := testLog(t, s, func(e *Env) { e.SyslogPath = devlog })
		l.Print("hello")
		if got := c.next(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestFailingLoggerIsNamedOnce(t *testing.T) {
	s := testSettings()
	s.Loggers = []option.Logger{{Kind: "socket", Arg: filepath.Join(tempDir(t), "nobody")}}
	l, read := testLog(t, s, nil)
	for range 3 {
		l.Print("lost")
	}
	if got := read(); strings.Count(got, "its messages are lost until it works again") != 1 {
		t.Errorf("%q", got)
	}
	_, next := receiver(t, "unixgram", s.Loggers[0].Arg)
	l.Print("here")
	if got := next(); got != "here\n" || !strings.Contains(read(), "works again; 3 messages were lost") {
		t.Errorf("%q %q", got, read())
	}
}

func TestMessageIDs(t *testing.T) {
	seen := map[string]bool{}
	for name, e := range events {
		if e.message == "" {
			continue
		}
		if len(e.message) != 32 || MessageID(name) != e.message {
			t.Error(name, e.message)
		}
		seen[e.message] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d identifiers", len(seen))
	}
	if priority(slog.LevelError) != sd.PriErr || priority(slog.LevelDebug) != sd.PriDebug ||
		fieldName("worker-id") != "UWSGI_WORKER_ID" {
		t.Error("mapping")
	}
}

// TestCutLineEnds: what a full disk has cut ends before the next line begins.
func TestCutLineEnds(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	defer r.Close()
	defer w.Close()
	s := &fdSink{f: w}
	if err := sendTimeout(w, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := s.write(nil, []byte(strings.Repeat("x", 1<<20)+"\n")); err == nil {
		t.Fatal("a socket took a line of a megabyte that nobody reads")
	}
	if err := sendTimeout(w, 0); err != nil { // none
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(r)
		text <- strings.TrimLeft(string(all), "x")
	}()
	for range 2 {
		if err := errors.Join(s.write(nil, []byte("next\n")), s.flush()); err != nil {
			t.Error(err)
		}
	}
	w.Close()
	if got := <-text; got != "\nnext\nnext\n" {
		t.Errorf("behind the cut line %q", got)
	}
}
