package sd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain plays the activated service where the environment says so: LISTEN_PID has to be this
// process's own.
func TestMain(m *testing.M) {
	if os.Getenv("SD_TEST_ROLE") != "activated" {
		os.Exit(m.Run())
	}
	if os.Getenv("LISTEN_PID") == "self" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	in, err := Activation()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	for _, i := range in {
		flags, err := unix.FcntlInt(i.File.Fd(), unix.F_GETFD, 0)
		l, lerr := net.FileListener(i.File)
		if lerr != nil {
			fmt.Println("no listener:", lerr)
			return
		}
		fmt.Println(i.Name, l.Addr().Network(), flags&unix.FD_CLOEXEC != 0, err)
	}
	fmt.Println(os.Getenv("LISTEN_PID")+os.Getenv("LISTEN_FDS")+os.Getenv("LISTEN_FDNAMES") == "")
}

func TestActivation(t *testing.T) {
	tcp, err := net.ListenTCP("tcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	f, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		env  []string
		want string
	}{
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=2", "LISTEN_FDNAMES=web.socket:unknown"}, "web.socket tcp true <nil>\n tcp true <nil>\ntrue\n"},
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=1"}, " tcp true <nil>\ntrue\n"},
		{[]string{"LISTEN_PID=1", "LISTEN_FDS=2"}, "true\n"},
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=9"}, "error: LISTEN_FDS=9: descriptor "},
		{nil, "true\n"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(c.env, "SD_TEST_ROLE=activated", "GORACE=atexit_sleep_ms=0")
		cmd.ExtraFiles = []*os.File{f, f}
		out, err := cmd.Output()
		if err != nil || !strings.HasPrefix(string(out), c.want) {
			t.Errorf("%v: %q, %v; want %q", c.env, out, err, c.want)
		}
	}
}

func TestParseActivation(t *testing.T) {
	for _, c := range []struct{ pid, fds, names, want, err string }{
		{"", "", "", "[]", ""},
		{"7", "0", "", "[]", ""},
		{"7", "2", "", "[ ]", ""},
		{"7", "2", "a:b", "[a b]", ""},
		{"7", "1", "unknown", "[]", ""},
		{"8", "2", "", "[]", ""},
		{"7", "-1", "", "", "LISTEN_FDS"},
		{"7", "two", "", "", "LISTEN_FDS"},
		{"7", "99999", "", "", "LISTEN_FDS"},
		{"7", "2", "a", "", "LISTEN_FDNAMES"},
		{"x", "1", "", "", "LISTEN_PID"},
		{"", "1", "", "", "LISTEN_PID"},
	} {
		env := map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds, "LISTEN_FDNAMES": c.names}
		got, err := parseActivation(func(k string) string { return env[k] }, 7)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: error %v", c, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v: %q, %v", c, got, err)
		}
	}
}
