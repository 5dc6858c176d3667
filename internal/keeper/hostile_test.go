package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/needs"
	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// In these tests the supervisor is somebody's puppet: it asks for what the plan has, and the names
// stand for what its user has laid there.

// The application's user, and somebody else of the host.
const (
	victim = 33
	other  = 34
)

// world is two folders: his is the application's user's, roots is root's.
type world struct {
	*testing.T
	his, roots string
}

func hostile(t *testing.T) world {
	t.Helper()
	needs.Root(t)
	dir := folder(t)
	w := world{t, filepath.Join(dir, "his"), filepath.Join(dir, "roots")}
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(w.his, 0o755), os.Chown(w.his, victim, victim),
		os.Mkdir(w.roots, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// settled is a keeper whose supervisor is not root any more.
func (w world) settled(p Plan) *Client {
	w.Helper()
	p.UID, p.GID, p.Umask = victim, victim, -1
	c := start(w.T, p)
	if err := c.Settle(); err != nil {
		w.Fatal(err)
	}
	return c
}

// as does something with a user's rights.
func (w world) as(uid uint32, do func() error) {
	w.Helper()
	if err := privilege.As(&syscall.Credential{Uid: uid, Gid: uid}, do); err != nil {
		w.Fatal(err)
	}
}

// plant makes a file of somebody's.
func (w world) plant(path string, uid int, mode os.FileMode) {
	w.Helper()
	for _, err := range []error{os.WriteFile(path, []byte("precious"), mode), os.Chmod(path, mode),
		os.Chown(path, uid, uid)} {
		if err != nil {
			w.Fatal(err)
		}
	}
}

// state is what must not change of a file.
func (w world) state(path string) string {
	w.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		w.Fatal(err)
	}
	return fmt.Sprintf("%d:%d %o %d bytes", st.Uid, st.Gid, st.Mode, st.Size)
}

// use writes to what the keeper gives.
func use(f *os.File, err error) {
	if err == nil {
		fmt.Fprint(f, "a line")
		f.Close()
	}
}

// No file of somebody else's is written to, given away or opened to all in the place of a log:
// through a link, or by another name.
func TestNothingPassesForALog(t *testing.T) {
	w := hostile(t)
	log := filepath.Join(w.his, "sub", "log")
	sub := filepath.Dir(log)
	device, everybodys, another := filepath.Join(w.roots, "null"), filepath.Join(w.roots, "everybodys"),
		filepath.Join(w.roots, "another")
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(device, 0o666); err != nil {
		t.Fatal(err)
	}
	w.plant(everybodys, 0, 0o622)
	w.plant(another, other, 0o600)
	for name, lay := range map[string]func() (target string){
		"link to a device":         func() string { w.as(victim, func() error { return os.Symlink(device, log) }); return device },
		"link to everybody's file": func() string { w.as(victim, func() error { return os.Symlink(everybodys, log) }); return everybodys },
		"another's link": func() string { // renamed: it was there under another name
			link := filepath.Join(w.his, "current")
			for _, err := range []error{os.Symlink(another, link), os.Lchown(link, other, other)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			w.as(victim, func() error { return os.Rename(link, log) })
			return another
		},
		"root's file": func() string {
			backup := filepath.Join(w.his, "backup")
			w.plant(backup, 0, 0o600)
			w.as(victim, func() error { return os.Rename(backup, log) })
			return log
		},
		"root's folder": func() string {
			inner := filepath.Join(w.his, "roots")
			if err := os.Mkdir(inner, 0o700); err != nil {
				t.Fatal(err)
			}
			w.plant(filepath.Join(inner, "log"), 0, 0o600)
			w.as(victim, func() error { return os.Remove(sub) })
			w.as(victim, func() error { return os.Rename(inner, sub) })
			return log
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := world{t, w.his, w.roots}
			w.as(victim, func() error { return os.Mkdir(sub, 0o755) })
			defer os.RemoveAll(sub)
			c := w.settled(Plan{Logs: []Log{{Path: log, Mode: 0o666, Chown: true, Truncate: true}}})
			target := lay()
			before := w.state(target)
			use(c.Log(log))
			if now := w.state(target); now != before {
				t.Errorf("%s was %s and is %s", target, before, now)
			}
			if err := c.RotateLog(log); err == nil {
				t.Error("it was rotated")
			}
		})
	}
}

// In a third user's folder, too, what is given away may be a file of root's that he has renamed.
func TestNothingIsGivenAwayInAnothersFolder(t *testing.T) {
	w := hostile(t)
	if err := os.Chown(w.his, other, other); err != nil {
		t.Fatal(err)
	}
	log, backup := filepath.Join(w.his, "log"), filepath.Join(w.his, "backup")
	w.plant(backup, 0, 0o600)
	w.as(other, func() error { return os.Rename(backup, log) })
	c := w.settled(Plan{Logs: []Log{{Path: log, Mode: 0o666, Chown: true}}})
	use(c.Log(log)) // root's log in such a folder is one as under uWSGI
	if s := w.state(log); s != "0:0 100600 14 bytes" {
		t.Error(s)
	}
}

// What root has made before goes on being the log: uWSGI's logs are root's, wherever they lie.
func TestRootsLogStaysOne(t *testing.T) {
	w := hostile(t)
	log := filepath.Join(w.his, "log")
	w.plant(log, 0, 0o640)
	c := start(t, Plan{UID: victim, GID: victim, Umask: -1, Logs: []Log{{Path: log, Chown: true, Mode: 0o666}}})
	use(c.Log(log))
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
	use(c.Log(log))
	if b, err := os.ReadFile(log); err != nil || string(b) != "preciousa linea line" {
		t.Errorf("%q %v", b, err)
	}
	if s := w.state(log); s != "0:0 100640 20 bytes" { // whose it was before is nobody's to say
		t.Error(s)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	use(c.Log(log)) // a new one is given to him
	if s := w.state(log); s != "33:33 100666 6 bytes" {
		t.Error(s)
	}
}

func TestNothingPassesForAConfiguration(t *testing.T) {
	w := hostile(t)
	his, roots, link := filepath.Join(w.his, "ini"), filepath.Join(w.roots, "ini"), filepath.Join(w.roots, "link")
	w.plant(his, 0, 0o600)
	w.plant(roots, 0, 0o600)
	if err := os.Symlink(his, link); err != nil {
		t.Fatal(err)
	}
	c := w.settled(Plan{Configs: []string{his, roots, link}})
	if f, err := c.Config(roots); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	for _, path := range []string{his, link} {
		if f, err := c.Config(path); err == nil {
			f.Close()
			t.Error(path, "was opened")
		}
	}
}

func TestNothingPassesForAPidfile(t *testing.T) {
	w := hostile(t)
	pid := filepath.Join(w.his, "pid")
	c := w.settled(Plan{Pidfiles: []string{pid}})
	w.plant(pid, 0, 0o600)
	if err := c.WritePidfile(pid); err == nil {
		t.Error("root's file was written over")
	}
	if err := os.WriteFile(pid, []byte("4711\n"), 0o644); err != nil { // one of an instance before
		t.Fatal(err)
	}
	if err := c.WritePidfile(pid); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(pid); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("%q", b)
	}
}

// A folder of root's does not fill with logs that were put aside.
func TestOneRotationASecond(t *testing.T) {
	w := hostile(t)
	log := filepath.Join(w.roots, "log")
	c := w.settled(Plan{Logs: []Log{{Path: log}}})
	began := time.Now()
	for range 200 {
		use(c.Log(log))
		if err := c.RotateLog(log); err != nil {
			t.Fatal(err)
		}
	}
	seconds := int(time.Now().Unix()-began.Unix()) + 1
	if found, _ := filepath.Glob(log + ".*"); len(found) == 0 || len(found) > seconds {
		t.Errorf("%d files in %d seconds", len(found), seconds)
	}
}

// A daemon is started again, and not in any number.
func TestDaemonsAreCounted(t *testing.T) {
	w := hostile(t)
	d := Daemon{Command: "exec sleep 100", Dir: "/", UID: other, GID: other}
	c := w.settled(Plan{Daemons: []Daemon{d}})
	var err error
	n := 0
	for ; n < 2*maxAlike && err == nil; n++ {
		_, err = c.Daemon(d, nil)
	}
	if err == nil || n != maxAlike+1 {
		t.Errorf("%d were started: %v", n, err)
	}
}

// Hooks run one after the other, however they are asked for.
func TestHooksRunOneByOne(t *testing.T) {
	w := hostile(t)
	h := option.Hook{Phase: "as-root", Action: "exec", Arg: "mkdir lock && rmdir lock"}
	c := w.settled(Plan{Hooks: []option.Hook{h}, Dir: w.roots})
	failed := make(chan error)
	for range 2 * maxRequests {
		go func() { failed <- c.Hook(h, nil) }()
	}
	for range 2 * maxRequests {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// puppet is the name of a supervisor that ends and leaves its end of the keeper's socket to another
// process.
const puppet = "puppet"

func leave() int {
	binary, err := os.Executable()
	if err != nil {
		return 1
	}
	c, err := Start(binary, Plan{Umask: -1})
	if err != nil {
		return 1
	}
	f, err := c.conn.File()
	if err != nil {
		return 1
	}
	heir := exec.Command("sleep", "100")
	heir.ExtraFiles = []*os.File{f}
	if err := heir.Start(); err != nil {
		return 1
	}
	fmt.Println(c.PID(), heir.Process.Pid)
	os.Stdout.Close()
	os.Stdin.Read(make([]byte, 1)) // until we may go
	return 0
}

// A keeper ends with its supervisor, not with the socket: who was handed that by a puppet would
// keep root after the instance was stopped.
func TestKeeperEndsWithItsSupervisor(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Args, cmd.Stderr = []string{puppet}, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var keeper, heir int
	if _, err := fmt.Fscan(out, &keeper, &heir); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(heir, syscall.SIGKILL)
	pidfd, err := unix.PidfdOpen(keeper, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	in.Close()
	cmd.Wait()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20_000); n != 1 {
		syscall.Kill(keeper, syscall.SIGKILL)
		t.Error("the keeper outlives its supervisor:", err)
	}
}
