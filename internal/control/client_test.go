package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPidfile(t *testing.T) {
	p := filepath.Join(t.TempDir(), "pid")
	if err := WritePidfile(p, 123); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(p); string(b) != "123\n" {
		t.Errorf("%q", b)
	}
	if n, err := ReadPidfile(p); n != 123 || err != nil {
		t.Error(n, err)
	}
	if RemovePidfile(p, 124) {
		t.Error("removed another's pidfile")
	}
	if !RemovePidfile(p, 123) || RemovePidfile(p, 123) {
		t.Error("not removed once")
	}
	for text, want := range map[string]string{"": "is empty", "\n": "is empty", "x": "not a process id", "0": "not a process id", "-5": "not a process id"} {
		if _, err := ReadPidfile(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := WritePidfile("/no/such/dir/pid", 1); err == nil {
		t.Error("no error")
	}
}

// fakes is a process table.
type fakes struct {
	comm string
	err  error
	sent []string
}

func (f *fakes) client() client {
	return client{
		kill: func(pid int, sig syscall.Signal) error {
			if sig != 0 {
				f.sent = append(f.sent, fmt.Sprint(pid, " ", int(sig)))
			}
			return f.err
		},
		comm: func(int) string { return f.comm },
	}
}

func TestSignalling(t *testing.T) {
	const pid = 1<<22 + 5 // beyond pid_max: no control socket
	file := write(t, fmt.Sprintln(pid))
	for _, c := range []struct {
		name, target string
		fake         fakes
		sent, err    string
		gone         bool
	}{
		{"uWSGI itself", file, fakes{comm: "uwsgi"}, fmt.Sprintf("[%d 1]", pid), "", false},
		{"by number", fmt.Sprint(pid), fakes{comm: "uwsgi-core"}, fmt.Sprintf("[%d 1]", pid), "", false},
		{"a stranger", file, fakes{comm: "postgres"}, "[]", "which is postgres: the pidfile is out of date", true},
		{"nobody", file, fakes{err: syscall.ESRCH}, "[]", "signal_pidfile()/kill(): No such process", true},
		{"init", "1", fakes{}, "[]", "not the process id of an instance", false},
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
	f := fakes{comm: "uwsgi"}
	if err := f.client().send(file, syscall.SIGTSTP); err != nil || fmt.Sprint(f.sent) != fmt.Sprintf("[%d 20]", pid) {
		t.Error(err, f.sent)
	}
}

func TestReloadThroughTheSocket(t *testing.T) {
	outcome := make(chan error, 1)
	s, err := Serve(os.Getpid(), map[string]Handler{"reload": func(context.Context, string) (string, error) {
		return "generation 2 serves", <-outcome
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file := write(t, fmt.Sprintln(os.Getpid()))
	var out bytes.Buffer
	outcome <- nil
	if err := Reload(file, &out); err != nil || out.String() != "generation 2 serves\n" {
		t.Error(err, out.String())
	}
	outcome <- errors.New("ImportError: no module named x")
	if err := Reload(file, &out); err == nil || err.Error() != "reload failed: ImportError: no module named x" {
		t.Error(err)
	}
	for req, want := range map[string]string{
		`{"command":"dance"}`: `there is no command "dance"`,
		"hello\n":             "one JSON object",
	} {
		c, err := net.Dial("unix", controlName(os.Getpid()))
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
	if _, err := Serve(os.Getpid(), nil); err == nil {
		t.Error("two control sockets")
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	entered := make(chan struct{})
	s, err := Serve(os.Getpid(), map[string]Handler{"reload": func(ctx context.Context, _ string) (string, error) {
		close(entered)
		<-ctx.Done()
		return "", ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		a, err := Ask(os.Getpid(), Request{Command: "reload"})
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
	if _, err := Ask(os.Getpid(), Request{}); !errors.Is(err, ErrNoControl) {
		t.Error(err)
	}
}

func TestTakenNameIsNotBelieved(t *testing.T) {
	const other = 1<<22 + 9
	l, err := net.Listen("unix", controlName(other)) // somebody else takes the name of process other
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Ask(other, Request{Command: "reload"}); !errors.Is(err, ErrNoControl) {
		t.Error(err)
	}
}

func TestConnectAndRead(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(shortDir(t), "s")} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err == nil {
				fmt.Fprint(c, "hello")
				c.Close()
			}
		}()
		var out bytes.Buffer
		if err := ConnectAndRead(l.Addr().String(), &out); err != nil || out.String() != "hello" {
			t.Error(err, out.String())
		}
	}
	if err := ConnectAndRead("/no/such/socket", nil); err == nil {
		t.Error("no error")
	}
}
