package chaos

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// The wall clock of one process, without touching the machine's: Go and the C library read it
// through the code that the kernel maps into every process (vdso(7)). The process's private copy of
// that is replaced by one that asks the kernel and adds an offset.

// clockGettime adds offset to CLOCK_REALTIME: mov $228,%eax; syscall; test %edi,%edi; jnz 1f;
// movabs $offset,%rcx; add %rcx,(%rsi); 1: ret
func clockGettime(offset int64) []byte {
	code := []byte{0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x0d, 0x48, 0xb9}
	code = binary.LittleEndian.AppendUint64(code, uint64(offset))
	return append(code, 0x48, 0x01, 0x0e, 0xc3)
}

// jump sets the wall clock of a process, and of those that it forks, so many seconds off the
// machine's.
func jump(t *testing.T, pid int, seconds int64) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Fatalf("the code that makes a clock jump is for amd64, this is %s", runtime.GOARCH)
	}
	code := clockGettime(seconds)
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	entry := vdso(t, pid, mem, "__vdso_clock_gettime")
	for try := 0; ; try++ {
		halt(t, pid)
		if clear(t, pid, entry, uint64(len(code))) {
			break
		}
		harness.Signal(t, pid, syscall.SIGCONT)
		if try > 1000 {
			t.Fatalf("process %d reads its clock all the time", pid)
		}
	}
	_, err = mem.WriteAt(code, int64(entry))
	harness.Signal(t, pid, syscall.SIGCONT)
	if err != nil {
		t.Fatal(err)
	}
}

// vdso is where a function of the mapping begins.
func vdso(t *testing.T, pid int, mem *os.File, name string) uint64 {
	t.Helper()
	for _, line := range strings.Split(readFile(fmt.Sprintf("/proc/%d/maps", pid)), "\n") {
		var from, to uint64
		if !strings.HasSuffix(line, "[vdso]") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		image := make([]byte, to-from)
		if _, err := mem.ReadAt(image, int64(from)); err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		symbols, err := file.DynamicSymbols()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range symbols {
			if s.Name == name {
				return from + s.Value
			}
		}
	}
	t.Fatalf("process %d has no %s", pid, name)
	return 0
}

// halt stops all threads of a process.
func halt(t *testing.T, pid int) {
	t.Helper()
	harness.Signal(t, pid, syscall.SIGSTOP)
	harness.Eventually(t, fmt.Sprintf("process %d stands still", pid), func() bool {
		for _, task := range tasks(pid) {
			stat := readFile(task + "/stat")
			if rest := stat[strings.LastIndexByte(stat, ')')+1:]; len(rest) < 2 || rest[1] != 'T' {
				return false
			}
		}
		return true
	})
}

// clear reports whether no thread is where the code shall be written.
func clear(t *testing.T, pid int, at, size uint64) bool {
	t.Helper()
	for _, task := range tasks(pid) {
		fields := strings.Fields(readFile(task + "/syscall"))
		if len(fields) < 2 {
			return false
		}
		pc, err := strconv.ParseUint(fields[len(fields)-1], 0, 64)
		if err != nil {
			t.Fatalf("%s: %v", task, err)
		}
		if pc >= at && pc < at+size {
			return false
		}
	}
	return true
}

func tasks(pid int) []string {
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	return dirs
}
