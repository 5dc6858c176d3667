package dataplane

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuseVar makes this test binary one that the kernel refuses sendfile with that errno, as a
// container's filter of system calls does.
const refuseVar = "DATAPLANE_REFUSE_SENDFILE"

func init() {
	errno, err := strconv.Atoi(os.Getenv(refuseVar))
	if err != nil {
		return
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SENDFILE},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const ofAllThreads = 1 // SECCOMP_FILTER_FLAG_TSYNC
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	if _, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, ofAllThreads,
		uintptr(unsafe.Pointer(&prog))); errno != 0 {
		fmt.Fprintln(os.Stderr, "seccomp:", errno)
		os.Exit(77)
	}
}

// Where sendfile is refused files are read and written: all that is tested of files holds, and
// nobody blames the client.
func TestSendfileRefused(t *testing.T) {
	if os.Getenv(refuseVar) != "" {
		if n, errno := sendfile(-1, -1, 0, 1); errno == unix.EBADF || errno == 0 {
			t.Fatalf("sendfile is not refused: %d, %v", n, errno)
		}
		return
	}
	for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP} {
		which := "^(TestSendfileRefused|TestSlowShortFile|TestStatic.*|TestRange.*)$"
		if errno == unix.EPERM {
			which = "^(TestSendfileRefused|TestSlowShortFile|TestStatic.*|TestRange.*|" +
				"TestSlowReaders|TestFile.*|TestCutIsTold|TestLag.*)$"
		}
		cmd := exec.Command(os.Args[0], "-test.run="+which, "-test.count=1")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", refuseVar, errno))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() == 77 {
			t.Skipf("%s", out)
		}
		if err != nil || strings.Contains(string(out), "no tests to run") {
			t.Errorf("%v: %v\n%s", errno, err, out)
		}
	}
}
