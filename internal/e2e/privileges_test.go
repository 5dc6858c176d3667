package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// hostile is an application that does what it is told, as its user, and answers what that printed.
const hostile = `
import contextlib, io, os, uwsgi
def application(environ, start_response):
    out = io.StringIO()
    code = environ["wsgi.input"].read().decode()
    with contextlib.redirect_stdout(out):
        exec(code, {"uwsgi": uwsgi, "os": os})
    start_response("200 OK", [])
    return [out.getvalue().encode()]
`

// attack is a server that root has started for an application of www-data's: his is that user's
// folder, roots is root's, which holds a file that nobody else may read or write.
type attack struct {
	*harness.Server
	t          *testing.T
	his, roots string
	secret     string
	addr       string
}

const victim = 33 // www-data's number on Debian, who owns nothing else here

func newAttack(t *testing.T) *attack {
	t.Helper()
	needs.Root(t)
	a := &attack{Server: harness.New(t), t: t, addr: harness.Addr(t)}
	a.Setenv(harness.DebianPath)
	a.his, a.roots = a.Path("his"), a.Path("roots")
	for _, err := range []error{os.Chmod(a.Dir, 0o755), os.Mkdir(a.his, 0o755), os.Chown(a.his, victim, victim),
		os.Mkdir(a.roots, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	a.secret = filepath.Join(a.roots, "secret")
	if err := os.WriteFile(a.secret, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Write("his/app.py", hostile)
	return a
}

// begin starts it with a configuration of root's; HIS and ROOTS are the folders.
func (a *attack) begin(lines string) {
	a.t.Helper()
	lines = strings.NewReplacer("HIS", a.his, "ROOTS", a.roots).Replace(lines)
	a.Write("u.ini", "[uwsgi]\nmaster = true\nhttp = "+a.addr+"\nuid = www-data\ngid = www-data\nchdir = "+a.his+
		"\nmodule = app\n"+lines)
	a.Start("--ini", a.Path("u.ini"))
}

// as runs Python as the application.
func (a *attack) as(code string) string {
	a.t.Helper()
	code = strings.NewReplacer("HIS", a.his, "ROOTS", a.roots).Replace(code)
	return harness.HTTP(a.t, a.addr).Do("POST", "/", strings.NewReader(code)).Body
}

// reload has the application ask for one, and waits for its end.
func (a *attack) reload() {
	a.t.Helper()
	mark := a.Log.Mark()
	a.as("uwsgi.reload()")
	a.Log.WaitFrom(a.t, mark, `gracefully \(RE\)spawned uWSGI master process|reload failed|could not be loaded`)
}

// unharmed fails the test where root's file was touched.
func (a *attack) unharmed() {
	a.t.Helper()
	st, err := os.Stat(a.secret)
	if err != nil {
		a.t.Fatal(err)
	}
	b, _ := os.ReadFile(a.secret)
	if own := st.Sys().(*syscall.Stat_t); string(b) != "precious" || st.Mode() != 0o600 || own.Uid != 0 {
		a.t.Errorf("root's file: %q, mode %o, owner %d", b, st.Mode(), own.Uid)
	}
}

// owner is who a process belongs to.
func owner(t *testing.T, pid int) int {
	t.Helper()
	st, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid))
	status, rerr := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || rerr != nil {
		t.Fatal(st, err, rerr)
	}
	uid := -1
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Uid: %d", &uid)
	}
	return uid
}

// keepers are the keepers of a supervisor.
func keepers(pid int) (found []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(b)) {
			if line, _ := os.ReadFile("/proc/" + word + "/cmdline"); strings.HasPrefix(string(line),
				"uwsgi-keeper\x00") {
				var n int
				fmt.Sscan(word, &n)
				found = append(found, n)
			}
		}
	}
	return found
}

// The supervisor is the application's user; a keeper stays root where something needs it, and
// nowhere else.
func TestSupervisorBecomesTheUser(t *testing.T) {
	for lines, keeps := range map[string]bool{
		"pidfile = HIS/pid\nsocket = HIS/sock\nlogger = stdio\nlogger = file:HIS/log\n": false,
		"pidfile = ROOTS/pid\n":                     true,
		"socket = HIS/sock\nchown-socket = root\n":  true,
		"logger = stdio\nlogger = file:ROOTS/log\n": true,
		"exec-as-root = true\n":                     true,
		"master-as-root = true\n":                   true,
	} {
		t.Run(lines, func(t *testing.T) {
			t.Parallel()
			a := newAttack(t)
			if err := os.Chmod(a.Path("his"), 0o755); err != nil {
				t.Fatal(err)
			}
			a.begin(lines + "vacuum = true\n")
			if uid := owner(t, a.PID); uid != victim {
				t.Errorf("the supervisor is user %d's", uid)
			}
			found := keepers(a.PID)
			if (len(found) == 1) != keeps {
				t.Errorf("keepers %v, want one: %v", found, keeps)
			}
			if got := a.as("print(os.access('/proc/%d/environ' % uwsgi.masterpid(), " +
				"os.R_OK))"); strings.TrimSpace(got) != "False" {
				t.Errorf("the application may look into the supervisor: %s", got)
			}
			a.reload()
			a.Stop()
			if harness.Exists(filepath.Join(a.roots, "pid")) || harness.Exists(filepath.Join(a.his, "sock")) {
				t.Error("vacuum left something")
			}
			for _, pid := range found {
				harness.Eventually(t, "the keeper's end", func() bool { return !harness.Alive(pid) })
			}
		})
	}
}

// The application's account may do with its own instance what it may under uWSGI.
func TestTheUserCommandsHisInstance(t *testing.T) {
	t.Parallel()
	a := newAttack(t)
	a.begin("pidfile = ROOTS/pid\n")
	for _, command := range []string{"--reload", "reload"} {
		mark := a.Log.Mark()
		out := a.as(fmt.Sprintf("import subprocess; print(subprocess.run([%q, %q, 'ROOTS/pid']).returncode)",
			harness.Binary(), command))
		if strings.TrimSpace(out) != "0" {
			t.Errorf("%s: %s", command, out)
		}
		a.Log.WaitFrom(t, mark, `gracefully \(RE\)spawned`)
	}
	a.as(fmt.Sprintf("import subprocess; subprocess.Popen([%q, '--stop', 'ROOTS/pid'])", harness.Binary()))
	if code := a.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// Finding 01 and 06: whatever the user puts in the place of his log, root writes nothing where he
// could not, and nobody waits for a FIFO.
func TestLogsLeadNowhere(t *testing.T) {
	for name, trick := range map[string]string{
		"link":   "os.rename('HIS/log', 'HIS/old'); os.symlink('ROOTS/secret', 'HIS/log')",
		"fifo":   "os.rename('HIS/log', 'HIS/old'); os.mkfifo('HIS/log', 0o666)",
		"folder": "os.mkdir('HIS/away'); os.rename('HIS/sub', 'HIS/away/sub'); os.symlink('ROOTS', 'HIS/sub')",
	} {
		for _, chown := range []string{"", "logfile-chown = true\n"} {
			t.Run(name+"/"+chown, func(t *testing.T) {
				t.Parallel()
				a := newAttack(t)
				if err := os.Mkdir(a.Path("his/sub"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(a.Path("his/sub"), victim, victim); err != nil {
					t.Fatal(err)
				}
				a.LooseFDs() // a request log that was opened again has descriptors of its own until the loader goes
				a.Tolerate(`permission denied|no such device|is no regular file|link that user|unable to|reload failed|serves on`)
				a.begin("logger = stdio\nlogger = file:HIS/log\nlogger = file:HIS/sub/secret\nmaster-fifo = " +
					"HIS/fifo.master\nlog-maxsize = 100000\n" + chown)
				a.as(trick)
				a.reload()
				for _, command := range "lL" {
					a.as(fmt.Sprintf("open('HIS/fifo.master', 'w').write('%c')", command))
				}
				a.as("import sys; print('root::0:0::/:/bin/sh', file=sys.stderr, flush=True)")
				a.reload()
				a.unharmed()
				a.Stop()
				a.unharmed()
			})
		}
	}
}

// Finding 04: nor through his pidfiles.
func TestPidfilesLeadNowhere(t *testing.T) {
	for _, name := range []string{"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAttack(t)
			a.Tolerate(`permission denied|link that user|too many levels`)
			a.begin(name + " = HIS/pid\nmaster-fifo = HIS/fifo.master\nvacuum = true\n")
			mark := a.Log.Mark()
			a.as("os.rename('HIS/pid', 'HIS/old'); os.symlink('ROOTS/secret', 'HIS/pid'); " +
				"open('HIS/fifo.master', 'w').write('P')")
			a.Log.WaitFrom(t, mark, "permission denied")
			a.unharmed()
			a.Stop()
			a.unharmed()
		})
	}
}

// Finding 10: a configuration that the user can change gives him, at a reload, nothing that he has
// not.
func TestReloadReadsAsTheUser(t *testing.T) {
	t.Parallel()
	a := newAttack(t)
	a.Tolerate(`.`) // what it asks for is refused in several words
	ini := a.Write("his/more.ini", "[uwsgi]\n")
	if err := os.Chown(ini, victim, victim); err != nil {
		t.Fatal(err)
	}
	a.begin("ini = HIS/more.ini\nexec-as-root = true\n")
	a.as(`
open("HIS/more.ini", "w").write("""[uwsgi]
x = @(exec://id -u > HIS/read)
uid = root
exec-as-root = id -u > HIS/hook; echo pwned > ROOTS/secret
hook-pre-jail = write:ROOTS/secret pwned
hook-as-user = exec:id -u > HIS/user
attach-daemon2 = cmd=id -u > HIS/daemon; sleep 100,uid=0,gid=0
pidfile = ROOTS/new.pid
logger = file:ROOTS/new.log
stats = ROOTS/new.stats
""")`)
	a.reload()
	a.unharmed()
	for _, name := range []string{"new.pid", "new.log", "new.stats"} {
		if harness.Exists(filepath.Join(a.roots, name)) {
			t.Error(name, "was made in root's folder")
		}
	}
	if b, _ := os.ReadFile(filepath.Join(a.his, "read")); strings.TrimSpace(string(b)) != "33" {
		t.Errorf("exec:// ran as %q", b)
	}
	for _, name := range []string{"hook", "daemon"} {
		if b, err := os.ReadFile(filepath.Join(a.his, name)); err == nil && strings.TrimSpace(string(b)) == "0" {
			t.Errorf("%s ran as root", name)
		}
	}
	if uid := owner(t, a.PID); uid != victim {
		t.Errorf("the supervisor is user %d's", uid)
	}
}

// Finding 14: the mode of a socket is not set on what its name leads to.
func TestSocketsLeadNowhere(t *testing.T) {
	t.Parallel()
	a := newAttack(t)
	a.Tolerate(`replaced|permission denied|not a socket`)
	a.begin("stats = HIS/stats\nsocket = HIS/sock\nchmod-socket = 666\n")
	for range 5 {
		a.as("for n in ('stats', 'sock'):\n os.path.lexists('HIS/'+n) and os.unlink('HIS/'+n); " +
			"os.symlink('ROOTS/secret', 'HIS/'+n)")
		a.reload()
		a.unharmed()
	}
}

// Finding 08: a process is not signalled because a file names it.
func TestSmartDaemonsSignalNobodyElse(t *testing.T) {
	t.Parallel()
	a := newAttack(t)
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	other := cmd.Process.Pid
	a.begin("attach-daemon2 = cmd=exec sleep 98765,pidfile=HIS/daemon.pid,touch=HIS/touched,daemonize=true,freq=1000\n")
	a.Log.Wait(t, "spawning")
	a.as(fmt.Sprintf("open('HIS/daemon.pid', 'w').write('%d'); open('HIS/touched', 'w').write('')", other))
	a.Log.Wait(t, "has been touched")
	a.reload()
	if !harness.Alive(other) {
		t.Error("root's process was signalled")
	}
	// A daemon with a pidfile outlives its instance; these are not to outlive the test.
	a.as("import subprocess; subprocess.run(['pkill', '-u', '33', '-x', '-f', 'sleep 98765'])")
}
