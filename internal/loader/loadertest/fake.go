// Package loadertest is a fake loader with fake workers, for tests: the test binary executes itself
// in their place and they speak the real wire, over real sockets, as real processes. What they do
// wrong is said by roles, words in the variable Roles of their environment:
//
//	import-fails          there is no application: failed, code 22
//	import-unless=FILE    the same, while FILE does not exist
//	import-exits=N        the loader exits with status N instead of an answer
//	import-waits=GATE     the import lasts until the Gate opens
//	lock=FILE             the application holds a lock on FILE; who finds it held fails as exclusive
//	lazy                  loaded comes without applications
//	fork-fails            every fork is answered with forkfailed
//	fork-hangs            no fork is answered
//	forks-once            only the first one is
//	fork-dies             the loader ends when it is asked for a fork
//	fork-lies=PID         the loader says that process is the worker it was asked for
//	fork-says=JSON        the loader answers with that message
//	forks-as=UID          workers have that user
//	says=JSON             the loader sends that instead of loaded
//	gives-away            a descriptor goes with loaded
//	forks-reaped          the loader tells of a worker, and right after of its end, once it has ended and was waited for
//	never-ready           workers start and that is all
//	never-ready=N         worker N does
//	ready-waits=GATE      workers but the first are ready when the Gate opens
//	asks-early=WHAT       before it is ready worker 1 asks, in the first process that can make the file that WHAT=FILE names, to recycle or reload
//	asks=WHAT             the same, once it is ready
//	dies-early            workers exit with status 1 before they are ready
//	dies-unless=FILE      the same, while FILE does not exist
//	lazy-fails            workers cannot import the application: failed, exit 22
//	lazy-exclusive        the same, and it was a lock
//	worker-lock=FILE      a worker that imports the application holds a lock on FILE; who finds it held fails as exclusive
//	ignores-drain         workers serve on
//	drain-waits=GATE      a draining worker exits when the Gate opens
//	exits-untold          the loader does not tell how workers end
//	orphans               a worker leaves a child of a child behind, which ends
//	answers               a worker says answered after harakiri
//
// Once told to serve a worker accepts connections on all listening sockets and writes "generation
// slot" to each. SIGUSR1 makes it ask for its recycling, SIGUSR2 for a reload; the dump signal
// makes it write "stacks" to its stderr, each order but serve makes it write that.
package loadertest

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"uwsgi/internal/wire"

	"golang.org/x/sys/unix"
)

// Roles is the name of the variable with the roles, separated by blanks.
const Roles = "UWSGI_FAKE_ROLES"

// workerVar marks a process as a worker: "slot row".
const workerVar = "UWSGI_FAKE_WORKER"

// Main plays the process's role, if it has one, and does not return then. Call it first in
// TestMain.
func Main() {
	roles, ok := os.LookupEnv(Roles)
	if !ok {
		return
	}
	p := &player{roles: map[string]string{}, conn: newConn(3), boot: readBoot()}
	for _, word := range strings.Fields(roles) {
		name, arg, _ := strings.Cut(word, "=")
		p.roles[name] = arg
	}
	if id, ok := os.LookupEnv(workerVar); ok {
		fmt.Sscan(id, &p.slot, &p.row)
		p.work()
	}
	p.load()
}

// Env is an environment with those roles.
func Env(roles ...string) []string {
	return []string{Roles + "=" + strings.Join(roles, " "), "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
}

// player is this process in its role.
type player struct {
	roles     map[string]string
	conn      *conn
	boot      wire.Boot
	slot, row int
	forks     int // so far
}

func (p *player) is(role string) bool { _, ok := p.roles[role]; return ok }

// wait returns once the Gate that the role names is open.
func (p *player) wait(role string) {
	if path := p.roles[role]; path != "" {
		pass(path)
	}
}

func readBoot() wire.Boot {
	var st unix.Stat_t
	must(unix.Fstat(4, &st))
	body := make([]byte, st.Size)
	_, err := unix.Pread(4, body, 0) // the offset is shared with the loader and its other workers
	must(err)
	var b wire.Boot
	must(json.Unmarshal(body, &b))
	return b
}

// load is a loader's life.
func (p *player) load() {
	p.wait("import-waits")
	if path := p.roles["lock"]; path != "" {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		must(err)
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
			p.conn.send(map[string]any{"op": "failed", "error": "LockError: " + path, "exclusive": true, "code": 22})
			os.Exit(22)
		}
	}
	switch {
	case p.is("import-exits"):
		n, _ := strconv.Atoi(p.roles["import-exits"])
		os.Exit(n)
	case p.is("import-fails"), p.is("import-unless") && !exists(p.roles["import-unless"]):
		p.conn.send(map[string]any{"op": "failed", "error": "ImportError: no module named fake",
			"exclusive": false, "code": 22})
		os.Exit(22)
	}
	apps := []map[string]any{{"mount": "", "seconds": 0.1, "source": "fake"}}
	if p.is("lazy") {
		apps = apps[:0]
	}
	var gift []int
	if p.is("gives-away") {
		fd, err := unix.MemfdCreate("given-away", unix.MFD_CLOEXEC)
		must(err)
		gift = append(gift, fd)
	}
	m := map[string]any{"op": "loaded", "apps": apps, "python": "3.99"}
	if p.is("says") {
		clear(m)
		must(json.Unmarshal([]byte(p.roles["says"]), &m))
	}
	p.conn.send(m, gift...)
	closeAll(gift)
	orders := make(chan order)
	exits := make(chan map[string]any)
	go p.conn.receive(orders)
	quit, children := false, 0
	for !quit || children > 0 {
		select {
		case o, ok := <-orders:
			switch {
			case !ok:
				os.Exit(0)
			case o.Op == "quit":
				quit = true
			case o.Op == "fork":
				if p.fork(o, exits) {
					children++
				}
				closeAll(o.fds)
			}
		case e := <-exits:
			children--
			if !p.is("exits-untold") {
				p.conn.send(e)
			}
		}
	}
	os.Exit(0)
}

// fork starts a worker: Go cannot fork, so this binary is executed once more.
func (p *player) fork(o order, exits chan<- map[string]any) bool {
	switch {
	case p.is("fork-dies"):
		os.Exit(9)
	case p.is("fork-hangs"), p.is("forks-once") && p.forks > 0:
		return false
	case p.is("fork-fails"):
		p.conn.send(map[string]any{"op": "forkfailed", "slot": o.Slot, "row": o.Row,
			"error": "Resource temporarily unavailable"})
		return false
	case p.is("fork-lies"):
		pid, _ := strconv.Atoi(p.roles["fork-lies"])
		fd, err := unix.PidfdOpen(pid, 0)
		must(err)
		p.conn.send(map[string]any{"op": "forked", "slot": o.Slot, "row": o.Row, "pid": pid}, fd)
		return false
	case p.is("fork-says"):
		m := map[string]any{}
		must(json.Unmarshal([]byte(p.roles["fork-says"]), &m))
		p.conn.send(m)
		return false
	}
	files := []uintptr{0, 1, 2, uintptr(o.fds[0])}
	if len(o.fds) > 1 {
		files[1], files[2] = uintptr(o.fds[1]), uintptr(o.fds[1])
	}
	for fd := 4; fd <= p.lastFD(); fd++ {
		files = append(files, uintptr(fd))
	}
	var credential *syscall.Credential
	if p.is("forks-as") {
		uid, _ := strconv.Atoi(p.roles["forks-as"])
		credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	pid, _, err := syscall.StartProcess("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), fmt.Sprintf("%s=%d %d", workerVar, o.Slot, o.Row)),
		Files: files, Sys: &syscall.SysProcAttr{Credential: credential},
	})
	must(err)
	p.forks++
	if p.is("forks-reaped") {
		var status unix.WaitStatus
		unix.Wait4(pid, &status, 0, nil)
		p.conn.send(map[string]any{"op": "forked", "slot": o.Slot, "row": o.Row, "pid": pid})
		p.conn.send(map[string]any{"op": "exited", "slot": o.Slot, "pid": pid, "status": uint32(status)})
		return false
	}
	p.conn.send(map[string]any{"op": "forked", "slot": o.Slot, "row": o.Row, "pid": pid})
	go func() {
		var status unix.WaitStatus
		for {
			if _, err := unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
				break
			}
		}
		exits <- map[string]any{"op": "exited", "slot": o.Slot, "pid": pid, "status": uint32(status)}
	}()
	return true
}

// lastFD is the highest descriptor that a loader hands to its workers.
func (p *player) lastFD() int {
	last := max(5, p.boot.RequestLog.FD, p.boot.HandoffFD, p.boot.HandoffInFD, p.boot.LockFD, p.boot.RedisFD)
	for _, l := range p.boot.Listeners {
		last = max(last, l.FD)
	}
	return last
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadertest:", err)
		os.Exit(70)
	}
}
