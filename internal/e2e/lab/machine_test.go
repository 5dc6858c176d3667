//go:build lab

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// patience bounds every wait for something that takes a moment when all is well.
const patience = 20 * time.Second

// Machine is one booted system.
type Machine struct {
	Suite   string
	Version int // systemd's

	dir, root string // the overlay, and where it is mounted
	group     string // its control group, "" where there is none of the second version
	console   *os.File
	nspawn    *exec.Cmd
	ended     chan struct{} // nspawn is gone
	init      int           // pid of its systemd
	booted    time.Duration // from the start of nspawn until everything was up
}

// newMachine lays an overlay over the suite's root file system and boots it.
func newMachine(t *testing.T, suite string) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can boot a container")
	}
	out, err := exec.Command("../../../packaging/lab/rootfs.sh", suite).Output()
	if err != nil {
		t.Fatalf("no root file system for %s: %v\n%s", suite, err, stderrOf(err))
	}
	m := &Machine{Suite: suite}
	if m.dir, err = os.MkdirTemp("", "uwsgi-lab-"+suite+"-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.remove(t) })
	// What a run writes is in memory, and gone with it.
	if err := syscall.Mount("tmpfs", m.dir, "tmpfs", 0, "size=2g,mode=0755"); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	m.root = filepath.Join(m.dir, "root")
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(m.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.TrimSpace(string(out)), m.dir, m.dir)
	if err := syscall.Mount("overlay", m.root, "overlay", 0, layers); err != nil {
		t.Fatalf("mount an overlay (%s): %v", layers, err)
	}
	if m.group, err = newGroup(filepath.Base(m.dir)); err != nil {
		t.Fatal(err)
	}
	m.boot(t)
	return m
}

// newGroup makes a control group below the one this process is in.
func newGroup(name string) (path string, err error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for mount := range strings.Lines(string(mounts)) {
		// Elsewhere it is somebody else's, a container's that shares our mounts.
		if f := strings.Fields(mount); f[2] == "cgroup2" &&
			(f[1] == "/sys/fs/cgroup" || f[1] == "/sys/fs/cgroup/unified") {
			path = f[1]
		}
	}
	for group := range strings.Lines(string(own)) {
		if below, ok := strings.CutPrefix(strings.TrimSpace(group), "0::"); ok && path != "" {
			path = filepath.Join(path, below, name)
			return path, os.Mkdir(path, 0o755)
		}
	}
	return "", nil
}

// removeGroup removes a control group and all below it, where no process is any more.
func removeGroup(path string) error {
	below, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range below {
		if e.IsDir() {
			err = errors.Join(err, removeGroup(filepath.Join(path, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(path))
}

// boot starts the system and waits until it is up.
func (m *Machine) boot(t *testing.T) {
	t.Helper()
	var err error
	if m.console, err = os.OpenFile(filepath.Join(m.dir, "console"),
		os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	m.nspawn = exec.Command("systemd-nspawn", "-q", "-D", m.root, "--register=no", "--keep-unit", "--boot",
		"--console=pipe", "--private-network",
		"--kill-signal=SIGRTMIN+4")
	// systemd 256 and newer do not run on the first version of control groups; the others do not
	// care.
	m.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	m.nspawn.Stdout, m.nspawn.Stderr = m.console, m.console
	m.nspawn.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// nspawn boots it in "payload" below its own group. Two that share it remove each other's units
	// there.
	if m.group != "" {
		group, err := os.Open(m.group)
		if err != nil {
			t.Fatal(err)
		}
		defer group.Close()
		m.nspawn.SysProcAttr.UseCgroupFD, m.nspawn.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	m.ended = make(chan struct{})
	started := make(chan error)
	go func() {
		// The death signal is the one of this thread: it stays as long as the container, and no
		// container stays when the test is killed.
		runtime.LockOSThread()
		defer close(m.ended)
		err := m.nspawn.Start()
		started <- err
		if err == nil {
			m.nspawn.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("this machine cannot boot a container: %v (packaging/deps.sh lab installs systemd-nspawn)", err)
	}
	// Until systemd is there it is a stub of nspawn's that has the pid.
	if !m.eventually(func() bool { m.init = m.child(); return m.init > 0 && m.answers() }) {
		t.Fatalf("this machine cannot boot a container: systemd of %s does not come up\n%s", m.Suite, m.Console())
	}
	m.Run("systemctl", "is-system-running", "--wait")
	m.booted = time.Since(begin)
	m.Sh(t, "ip link set lo up")
	if _, err := fmt.Sscanf(m.Sh(t, "systemctl --version"), "systemd %d", &m.Version); err != nil {
		t.Fatal(err)
	}
}

func (m *Machine) answers() bool {
	_, code := m.Run("systemctl", "list-jobs")
	return code == 0
}

// child is the pid of nspawn's only child, 0 if there is none.
func (m *Machine) child() int {
	select {
	case <-m.ended:
		return 0
	default:
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.nspawn.Process.Pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return pid
		}
	}
	return 0
}

// halt ends the system: orderly, or at once where it does not listen.
func (m *Machine) halt() {
	if m.nspawn == nil {
		return
	}
	m.nspawn.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(patience):
		syscall.Kill(-m.nspawn.Process.Pid, syscall.SIGKILL)
		<-m.ended
	}
	m.console.Close()
}

// Reboot ends the system and boots it again from the same files.
func (m *Machine) Reboot(t *testing.T) {
	t.Helper()
	m.halt()
	m.boot(t)
}

func (m *Machine) remove(t *testing.T) {
	m.halt()
	if m.group != "" {
		if err := removeGroup(m.group); err != nil {
			t.Error(err)
		}
	}
	for _, mount := range []string{m.root, m.dir} {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("umount %s: %v", mount, err)
		}
	}
	if err := os.Remove(m.dir); err != nil {
		t.Error(err)
	}
}

// Console is what the system wrote there.
func (m *Machine) Console() string {
	text, _ := os.ReadFile(m.console.Name())
	return string(text)
}

// Run runs a command in the system and gives what it wrote and its exit status.
func (m *Machine) Run(args ...string) (output string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	enter := []string{"-t", strconv.Itoa(m.init), "-a", "-r", "-w", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	code = cmd.ProcessState.ExitCode()
	if err != nil && code <= 0 {
		return b.String() + err.Error(), -1
	}
	return b.String(), code
}

// Sh runs a script that must succeed.
func (m *Machine) Sh(t *testing.T, script string) string {
	t.Helper()
	out, code := m.Run("sh", "-ec", script)
	if code != 0 {
		t.Fatalf("%s: %s\nexit status %d:\n%s", m.Suite, script, code, out)
	}
	return strings.TrimRight(out, "\n")
}

// Fails runs a script that must fail, and gives what it says.
func (m *Machine) Fails(t *testing.T, script string) string {
	t.Helper()
	out, code := m.Run("sh", "-ec", script)
	if code == 0 {
		t.Fatalf("%s: %s\nsucceeded:\n%s", m.Suite, script, out)
	}
	return out
}

// Show gives a unit's property.
func (m *Machine) Show(t *testing.T, unit, property string) string {
	t.Helper()
	return m.Sh(t, "systemctl show --value -p "+property+" "+unit)
}

// Path is the place of one of the system's files as this process sees it, sockets included.
func (m *Machine) Path(name string) string { return fmt.Sprintf("/proc/%d/root%s", m.init, name) }

// Write makes a file and the folders above it.
func (m *Machine) Write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.Path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Copy puts a file of this machine into the system.
func (m *Machine) Copy(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	m.Write(t, to, string(text))
}

// Eventually waits for a condition.
func (m *Machine) Eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if !m.eventually(cond) {
		t.Fatalf("%s: no %s; the journal ends with\n%s", m.Suite, what, m.tail())
	}
}

func (m *Machine) eventually(cond func() bool) bool {
	return harness.Within(patience, cond)
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
