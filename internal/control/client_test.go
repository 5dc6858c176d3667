package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/testlog"
)

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// fakes is a process table with one process.
type fakes struct {
	id   int
	name string
	user uint32
	err  error
	sent []string
}

func (f *fakes) client() client {
	return client{open: func(pid int) (instance, error) { f.id = pid; return f, f.err }}
}

func (f *fakes) pid() int            { return f.id }
func (f *fakes) comm() string        { return f.name }
func (f *fakes) uid() (uint32, bool) { return f.user, true }
func (f *fakes) close()              {}
func (f *fakes) signal(sig syscall.Signal) error {
	f.sent = append(f.sent, fmt.Sprint(f.id, " ", int(sig)))
	return nil
}

func TestSignalling(t *testing.T) {
	const pid = 1<<22 + 5 // beyond pid_max: no control socket
	file, others := write(t, fmt.Sprintln(pid)), write(t, fmt.Sprintln(pid))
	if err := os.Chown(others, 4242, -1); err != nil {
		t.Skip("a pidfile of another user needs root:", err)
	}
	for _, c := range []struct {
		name, target string
		fake         fakes
		sent, err    string
		gone         bool
	}{
		{"uWSGI itself", file, fakes{name: "uwsgi"}, fmt.Sprintf("[%d 1]", pid), "", false},
		{"by number", fmt.Sprint(pid), fakes{name: "uwsgi-core"}, fmt.Sprintf("[%d 1]", pid), "", false},
		{"a stranger", file, fakes{name: "postgres"}, "[]", fmt.Sprintf("kill(): process %d of %s is postgres, no instance: the pidfile is out of date", pid, file), true},
		{"nobody", file, fakes{err: syscall.ESRCH}, "[]",
			fmt.Sprintf("signal_pidfile()/kill(): No such process: process %d of %s has ended: the pidfile is out "+
				"of date", pid, file), true},
		{"nobody by number", "4", fakes{err: syscall.ESRCH}, "[]", "No such process: process 4 has ended", true},
		{"init", "1", fakes{name: "systemd"}, "[]", "process 1 is systemd, no instance", true},
		{"a hidden init", "1", fakes{}, "[]", "no instance", true},
		{"a container's", "1", fakes{name: "uwsgi"}, "[1 1]", "", false},
		{"everybody", "-1", fakes{name: "uwsgi"}, "[]", "not the process id of an instance", false},
		{"own file", others, fakes{name: "uwsgi", user: 4242}, fmt.Sprintf("[%d 1]", pid), "", false},
		{"another's file", others, fakes{name: "uwsgi", user: 0}, "[]", "belongs to user 4242 and names process", false},
		{"empty", write(t, ""), fakes{}, "[]", "is empty", false},
		{"missing", "/no/such/pidfile", fakes{}, "[]", "no such file", false},
	} {
		err := c.fake.client().reload(c.target, nil)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", c.name, err)
		}
		var gone *SignalError
		if errors.As(err, &gone) != c.gone {
			t.Errorf("%s: %T", c.name, err)
		}
		if got := fmt.Sprint(c.fake.sent); got != c.sent {
			t.Errorf("%s: sent %s, want %s", c.name, got, c.sent)
		}
	}
	f := fakes{name: "uwsgi"}
	if err := f.client().send(file, syscall.SIGTSTP); err != nil || fmt.Sprint(f.sent) != fmt.Sprintf("[%d 20]", pid) {
		t.Error(err, f.sent)
	}
}

func TestReloadThroughTheSocket(t *testing.T) {
	outcome := make(chan error, 1)
	s, err := Serve(map[string]Handler{"reload": func(context.Context, string) (string, error) {
		return "generation 2 serves\x1b[2J\nfor now", <-outcome
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file := write(t, fmt.Sprintln(os.Getpid()))
	var out bytes.Buffer
	outcome <- nil
	// whoever owns the process may answer
	if err := Reload(file, &out); err != nil || out.String() != "generation 2 serves\\x1b[2J\nfor now\n" {
		t.Error(err, out.String())
	}
	outcome <- errors.New("ImportError: no module named \x07x")
	if err := Reload(file, &out); err == nil || err.Error() != `reload failed: ImportError: no module named \x07x` {
		t.Error(err)
	}
	for req, want := range map[string]string{
		`{"command":"dance"}`: `there is no command "dance"`,
		"hello\n":             "one JSON object",
	} {
		c, err := dial(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, req)
		var a Answer
		if err := json.NewDecoder(c).Decode(&a); err != nil || a.OK || !strings.Contains(a.Message, want) {
			t.Errorf("%s: %+v, %v", req, a, err)
		}
		c.Close()
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	entered := make(chan struct{})
	s, err := Serve(map[string]Handler{"reload": func(ctx context.Context, _ string) (string, error) {
		close(entered)
		<-ctx.Done()
		return "", ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		a, err := Ask(t.Context(), os.Getpid(), Request{Command: "reload"})
		if err == nil && !a.OK {
			err = errors.New(a.Message)
		}
		asked <- err
	}()
	<-entered
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-asked; err == nil {
		t.Error("an interrupted reload succeeded")
	}
	if _, err := Ask(t.Context(), os.Getpid(), Request{}); !errors.Is(err, ErrNoControl) {
		t.Error(err)
	}
}

// A name that somebody else has made is not believed, whatever it says, and is in nobody's way.
func TestNamesAreNotBelieved(t *testing.T) {
	const other = 1<<22 + 9
	for _, name := range []string{socketPrefix + fmt.Sprint(os.Getpid()), socketPrefix + fmt.Sprint(other),
		socketPrefix + "x y\n"} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	if _, err := Ask(t.Context(), other, Request{Command: "reload"}); !errors.Is(err, ErrNoControl) {
		t.Error(err)
	}
	s, err := Serve(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := Instances(); !slices.Contains(got, os.Getpid()) || slices.Contains(got, other) {
		t.Errorf("instances: %v", got)
	}
}

// The id that a socket was made with is believed only of a process that still has that user.
func TestGenuine(t *testing.T) {
	for _, c := range []struct {
		name    string
		cred    unix.Ucred
		running bool
		user    uint32
		inner   bool
		want    bool
	}{
		{"the user's", unix.Ucred{Pid: 9, Uid: 33}, true, 33, false, true},
		{"root's, who has become the user since", unix.Ucred{Pid: 9, Uid: 0}, true, 33, false, true},
		{"another's, who had this id before", unix.Ucred{Pid: 9, Uid: 1000}, true, 33, false, false},
		{"another's, against root", unix.Ucred{Pid: 9, Uid: 33}, true, 0, false, false},
		{"of a process that is gone", unix.Ucred{Pid: 9, Uid: 33}, false, 0, false, false},
		{"a container's, seen from the host", unix.Ucred{Pid: 9, Uid: 0}, true, 0, true, false},
		{"of another PID namespace", unix.Ucred{Pid: 0, Uid: 0}, true, 0, false, false},
	} {
		if got := genuine(&c.cred, func(int) (standing, bool) {
			return standing{c.user, c.inner},
				c.running
		}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if got, ok := standingOf(os.Getpid()); !ok || got.inner || int(got.uid) != os.Geteuid() {
		t.Error(got, ok)
	}
}

// An instance that takes a request and does not answer holds nobody up who does not want to wait.
func TestAskEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	s, err := Serve(map[string]Handler{"stats": func(ctx context.Context, _ string) (string, error) {
		close(entered)
		<-ctx.Done()
		return "", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := Ask(ctx, os.Getpid(), Request{Command: "stats"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Who may not ask is told so, although nobody has read what he asks.
func TestRefusedBeforeItIsAsked(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(testlog.ShortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	reply(s, Answer{Message: "not you"})
	s.Close()
	if a, err := exchange(c, Request{Command: "reload"}); err != nil || a.OK || a.Message != "not you" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestConnectAndRead(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0",
		"unix": filepath.Join(testlog.ShortDir(t), "s")} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err == nil {
				fmt.Fprint(c, "{\n\t\"a\": \"\xc3")
				fmt.Fprint(c, "\xa9\x1b]0;x\x07\"\n\xc3")
				c.Close()
			}
		}()
		var out bytes.Buffer
		if err := ConnectAndRead(l.Addr().String(), &out); err != nil ||
			out.String() != "{\n\t\"a\": \"é\\x1b]0;x\\x07\"\n\\xc3" {
			t.Error(err, out.String())
		}
	}
	if err := ConnectAndRead("/no/such/socket", nil); err == nil {
		t.Error("no error")
	}
}

// TestNameIsNoPidfile: who gives the name of an instance or a unit is told what these commands
// take; a path that is not there speaks for itself.
func TestNameIsNoPidfile(t *testing.T) {
	t.Chdir(t.TempDir())
	for target, told := range map[string]bool{"mysite": true, "./mysite.pid": false, "/nowhere/x.pid": false} {
		err := Stop(target, io.Discard)
		if err == nil || strings.Contains(err.Error(), "uwsgi list") != told {
			t.Errorf("stop %s: %v", target, err)
		}
	}
}
