package app

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal opens a new one.
func newTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestLeavesTheTerminal: below a shell the server, and whatever it starts, has no terminal any more
// that could be typed into, and hears ^C all the same; as the leader of a session, as in a
// container, it keeps its own.
func TestLeavesTheTerminal(t *testing.T) {
	const role = "UWSGI_TEST_TERMINAL"
	again := func(as string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLeavesTheTerminal$", "-test.count=1")
		cmd.Env = append(os.Environ(), role+"="+as)
		return cmd
	}
	tell := func(who string) {
		_, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		fmt.Printf("%s: %t\n", who, err == nil)
	}
	switch os.Getenv(role) {
	case "leader":
		signal.Ignore(syscall.SIGINT)
		leaveTerminal()
		tell("leader")
		child := again("child")
		child.ExtraFiles = []*os.File{os.NewFile(3, "keyboard")}
		out, _ := child.CombinedOutput()
		fmt.Print(string(out))
		return
	case "child":
		tell("before")
		leaveTerminal()
		tell("after")
		out, _ := again("grandchild").CombinedOutput()
		fmt.Print(string(out))
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, syscall.SIGINT)
		os.NewFile(3, "keyboard").WriteString("\x03")
		<-interrupts
		fmt.Println("interrupted: true")
		return
	case "grandchild":
		tell("below")
		return
	}
	master, slave := newTerminal(t)
	cmd := again("leader")
	cmd.Stdin, cmd.ExtraFiles = slave, []*os.File{master}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"leader: true\n", "before: true\n", "after: false\n", "below: false\n",
		"interrupted: true\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("not %q:\n%s", want, out)
		}
	}
}
