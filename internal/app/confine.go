package app

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine has what this process starts begin with what it is meant to have: no descriptor that the
// shell, or whoever else started us, left open, since those that the configuration names are handed
// on one by one; and no capability to inherit but those that were made ambient on purpose
// (AmbientCapabilities= of a unit).
func confine() error {
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		closeOnExec() // before Linux 5.11
	}
	return disinherit()
}

func closeOnExec() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// disinherit takes the inheritable capabilities that are not ambient from every thread.
func disinherit() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	before := sets
	for i := range sets {
		for bit := range 32 {
			if sets[i].Inheritable&(1<<bit) == 0 {
				continue
			}
			ambient, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(32*i+bit), 0, 0)
			if err != nil || ambient == 0 || os.Geteuid() == 0 {
				sets[i].Inheritable &^= 1 << bit
			}
		}
	}
	if sets == before {
		return nil
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)),
		uintptr(unsafe.Pointer(&sets[0])), 0); errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// leaveTerminal gives up the controlling terminal, for this process and all that it starts: whoever
// has it can type into it (TIOCSTI), and behind it waits the shell of root, who has started us. ^C
// still reaches us, by our process group. The leader of a session has no shell behind it and keeps
// it.
func leaveTerminal() {
	if sid, err := unix.Getsid(0); err != nil || sid == os.Getpid() {
		return
	}
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return // there is none
	}
	defer unix.Close(fd)
	_ = unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0)
}

// giveNothingMore has no program that is started from here on get more rights than its starter:
// no-new-privs. There is no way back.
func giveNothingMore() error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("no-new-privs: prctl: %w", errno)
	}
	return nil
}
