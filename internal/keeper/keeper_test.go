package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/listen"
	"uwsgi/internal/needs"
	"uwsgi/internal/option"
)

// The test binary is the keeper, too.
func TestMain(m *testing.M) {
	if IsKeeper(os.Args[0]) {
		os.Exit(Serve())
	}
	if os.Args[0] == puppet {
		os.Exit(leave())
	}
	os.Exit(m.Run())
}

func start(t *testing.T, p Plan) *Client {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(binary, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "uwsgi-keeper") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestWhatIsPlanned(t *testing.T) {
	needs.Root(t)
	dir := folder(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	sock := listen.Order{Address: at("sock"), UID: -1, GID: -1, Mode: 0o640, ModeSet: true}
	hook := option.Hook{Phase: "as-root", Action: "exec", Arg: `echo "$NAME in $PWD"`}
	p := Plan{UID: os.Geteuid(), GID: os.Getegid(), Umask: 0o022, Sockets: []listen.Order{sock},
		Logs:     []Log{{Path: at("log"), Mode: 0o604}, {Path: at("kept"), Backup: at("old")}},
		Pidfiles: []string{at("pid")}, FIFOs: []string{at("fifo")}, Configs: []string{at("ini")},
		Hooks: []option.Hook{hook}, Dir: dir, Environ: []string{"NAME=hook"},
		Daemons: []Daemon{{Command: "exit 3", Dir: dir, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())},
			{Command: "exec sleep 100", Dir: dir, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}}
	if err := os.WriteFile(at("ini"), []byte("[uwsgi]"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, p)

	if fd, _, inode, err := c.Bind(sock.Key()); err != nil || inode == 0 {
		t.Error(err)
	} else {
		syscall.Close(fd)
	}
	if st, err := os.Stat(at("sock")); err != nil || st.Mode() != os.ModeSocket|0o640 {
		t.Error(st, err)
	}
	for _, name := range []string{"log", "kept"} {
		f, err := c.Log(at(name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, "a line")
		f.Close()
		if err := c.RotateLog(at(name)); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(at("old")); err != nil || string(b) != "a line" {
		t.Errorf("%q %v", b, err)
	}
	if rotated, _ := filepath.Glob(at("log.*")); len(rotated) != 1 {
		t.Error(rotated)
	}
	if err := c.WritePidfile(at("pid")); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(at("pid")); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("%q", b)
	}
	if f, err := c.FIFO(at("fifo")); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	if f, err := c.Config(at("ini")); err != nil {
		t.Error(err)
	} else if b, _ := io.ReadAll(f); string(b) != "[uwsgi]" {
		t.Errorf("%q", b)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hook(hook, w); err != nil {
		t.Error(err)
	}
	w.Close()
	if b, _ := io.ReadAll(r); string(b) != "hook in "+dir+"\n" {
		t.Errorf("%q", b)
	}
	if d, err := c.Daemon(p.Daemons[0], nil); err != nil || d.Wait() != "exited with status 3" {
		t.Error(err)
	}
	if d, err := c.Daemon(p.Daemons[1], nil); err != nil {
		t.Error(err)
	} else if err := d.Signal(syscall.SIGTERM); err != nil || d.Wait() != "killed by signal 15" {
		// SIGTERM is not ignored there
		t.Error(err)
	}
	for _, name := range []string{"sock", "pid", "fifo"} {
		if err := c.Remove(at(name)); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(at(name)); err == nil {
			t.Error(name, "is still there")
		}
	}
}

// Nothing but what the first configuration names, whatever is asked for; and what a name stands for
// by then must be of the kind.
func TestWhatIsNot(t *testing.T) {
	dir := folder(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	other := at("other")
	for _, name := range []string{"other", "fifo", "sock"} {
		if err := os.WriteFile(at(name), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("pid"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, Plan{Umask: -1, Sockets: []listen.Order{{Address: at("sock"), UID: -1, GID: -1}},
		Pidfiles: []string{at("pid")}, FIFOs: []string{at("fifo")}})
	for verb, err := range map[string]error{
		"bind": second(c.descriptor(request{Verb: verbBind, Name: "unix:" + other})), "log": second(c.Log(other)), "rotate": c.RotateLog(other),
		"pidfile": c.WritePidfile(other), "fifo": second(c.FIFO(other)), "remove": c.Remove(other), "config": second(c.Config(other)),
		"hook": c.Hook(option.Hook{Phase: "as-root", Action: "exec", Arg: "true"}, nil), "hook by number": second(c.ask(request{Verb: verbHook, Number: -1}, nil)),
		"daemon": second(c.Daemon(Daemon{Command: "true"}, nil)), "daemon by number": second(c.ask(request{Verb: verbDaemon, Number: 7}, nil)),
		"signal":     second(c.ask(request{Verb: verbSignal, Number: 1, Signal: 9}, nil)),
		"wait":       second(c.ask(request{Verb: verbWait, Number: os.Getpid()}, nil)),
		"no verb":    second(c.ask(request{Verb: "exec", Name: "true"}, nil)),
		"a pid of 1": c.Remove(at("pid")), "no FIFO": c.Remove(at("fifo")), "no socket": c.Remove(at("sock")),
	} {
		if err == nil {
			t.Error(verb, "was done")
		}
	}
	for _, name := range []string{"other", "fifo", "sock"} {
		if b, err := os.ReadFile(at(name)); string(b) != "precious" {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	// What is no message is passed over, and the next one is heard.
	for _, body := range []string{"\x00", "[[[[", `{"ID":"x"}`, strings.Repeat("a", maxPacket)} {
		if _, err := c.conn.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}
	if err := c.WritePidfile(at("pid")); err != nil {
		t.Error(err)
	}
}

// A keeper that is gone is said to be, by whoever waits for it and whoever comes later.
func TestGone(t *testing.T) {
	needs.Root(t)
	dir := folder(t)
	c := start(t, Plan{Umask: -1, Daemons: []Daemon{{Command: "exec sleep 100", Dir: dir, UID: uint32(os.Geteuid()),
		GID: uint32(os.Getegid())}}})
	d, err := c.Daemon(Daemon{Command: "exec sleep 100", Dir: dir, UID: uint32(os.Geteuid()),
		GID: uint32(os.Getegid())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string)
	go func() { ended <- d.Wait() }()
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if how := <-ended; how != "ended" {
		t.Error(how)
	}
	if err := c.WritePidfile("/x"); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	var none *Client
	if err := none.Remove("/x"); !errors.Is(err, ErrNotPlanned) {
		t.Error(err)
	}
	none.Close()
}

func second[T any](_ T, err error) error { return err }
