package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/control"
	"uwsgi/internal/crash"
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// name is the name by which a process is a keeper. It is not on anybody's PATH.
const name = "uwsgi-keeper"

// IsKeeper reports whether a process of that name (argv[0]) is one.
func IsKeeper(arg0 string) bool { return arg0 == name }

// The descriptors of a keeper.
const (
	socketFD = 3
	planFD   = 4
)

// keeper is the process that stays root.
type keeper struct {
	plan    Plan
	conn    conn
	master  int // the supervisor's process id
	spawner *control.Spawner

	mu       sync.Mutex // guards what follows
	children map[int]control.Process
	opened   map[string]bool // logs that were opened once
}

// Serve is the life of a keeper. It returns the exit status, once the supervisor is gone or lets it go.
func Serve() int {
	// Who presses ^C, or stops a unit, means the supervisor: it still needs us on its way out.
	// (Caught, not ignored: what is ignored would be so in the commands of hooks, too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGUSR1, syscall.SIGUSR2)
	k := &keeper{master: os.Getppid(), children: map[int]control.Process{}, opened: map[string]bool{}}
	plan := os.NewFile(planFD, "plan")
	err := json.NewDecoder(plan).Decode(&k.plan)
	plan.Close()
	if err == nil {
		unix.CloseOnExec(socketFD)
		k.conn, err = newConn(os.NewFile(socketFD, "supervisor"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "uwsgi keeper:", err)
		return 1
	}
	if k.plan.Umask >= 0 {
		syscall.Umask(k.plan.Umask)
	}
	k.spawner = control.NewSpawner()
	defer k.spawner.Close()
	for {
		var q request
		fd, err := k.conn.receive(&q)
		switch {
		case errors.Is(err, errNoMessage) || errors.Is(err, errTooLong):
			continue // whoever sends that is not our supervisor any more, and gets nothing
		case err != nil:
			return 0
		}
		var out *os.File
		if fd >= 0 {
			out = os.NewFile(uintptr(fd), "output")
		}
		crash.Go(func() { k.answer(q, out) })
	}
}

// answer does what a request asks for and tells the outcome. out is where a hook or daemon writes to, nil = where we do.
func (k *keeper) answer(q request, out *os.File) {
	r := reply{ID: q.ID}
	file, err := k.do(q, out, &r)
	if out != nil {
		out.Close()
	}
	if err != nil {
		r.Error = fmt.Sprintf("%.2000s", err.Error())
		var errno syscall.Errno
		if errors.As(err, &errno) {
			r.Errno = int(errno)
		}
	}
	if file == nil {
		_ = k.conn.send(r, -1)
		return
	}
	defer file.Close()
	raw, err := file.SyscallConn() // Fd would let a FIFO wait
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = k.conn.send(r, int(fd)) })
	}
	if err != nil {
		_ = k.conn.send(reply{ID: q.ID, Error: err.Error()}, -1)
	}
}

// ErrNotPlanned is what is asked for and stands in no Plan.
var ErrNotPlanned = errors.New("the first configuration names no such thing")

func (k *keeper) do(q request, out *os.File, r *reply) (*os.File, error) {
	switch q.Verb {
	case verbBind:
		return k.bind(q.Name, r)
	case verbLog:
		return k.openLog(q.Name)
	case verbRotate:
		return nil, k.rotate(q.Name)
	case verbPidfile:
		return nil, k.writePidfile(q.Name)
	case verbFIFO:
		return k.makeFIFO(q.Name)
	case verbRemove:
		return nil, k.remove(q.Name)
	case verbConfig:
		if !has(k.plan.Configs, q.Name) {
			return nil, ErrNotPlanned
		}
		return privilege.OpenFile(q.Name, unix.O_RDONLY, 0)
	case verbHook:
		return nil, k.hook(q.Number, out)
	case verbDaemon:
		return nil, k.daemon(q.Number, out, r)
	case verbWait, verbSignal:
		return nil, k.child(q, r)
	}
	return nil, fmt.Errorf("there is no verb %q", q.Verb)
}

func has(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}

func (k *keeper) bind(key string, r *reply) (*os.File, error) {
	for _, o := range k.plan.Sockets {
		if o.Key() != key {
			continue
		}
		s, err := listen.Bind(o)
		if err != nil {
			return nil, err
		}
		r.Dev, r.Inode = s.Dev, s.Inode
		return s.File, nil
	}
	return nil, ErrNotPlanned
}

func (k *keeper) log(path string) (*Log, error) {
	for i := range k.plan.Logs {
		if k.plan.Logs[i].Path == path {
			return &k.plan.Logs[i], nil
		}
	}
	return nil, ErrNotPlanned
}

func (k *keeper) openLog(path string) (*os.File, error) {
	l, err := k.log(path)
	if err != nil {
		return nil, err
	}
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND
	k.mu.Lock()
	if l.Truncate && !k.opened[path] {
		flags |= unix.O_TRUNC
	}
	k.opened[path] = true
	k.mu.Unlock()
	f, err := privilege.OpenFile(path, flags, 0o640)
	if err != nil {
		return nil, err
	}
	if l.Mode != 0 {
		err = f.Chmod(os.FileMode(l.Mode))
	}
	if err == nil && l.Chown {
		err = f.Chown(k.plan.UID, k.plan.GID)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// rotate puts a log aside, under a name that is its own or, as uWSGI has it, the time's.
func (k *keeper) rotate(path string) error {
	l, err := k.log(path)
	if err != nil {
		return err
	}
	d, err := privilege.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if st, err := d.Stat(); err != nil {
		return err
	} else if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return &os.PathError{Op: "rename", Path: path, Err: privilege.ErrNotRegular}
	}
	to := l.Backup
	if to == "" {
		to = filepath.Join(filepath.Dir(path), d.Unused(filepath.Base(path)+"."+strconv.FormatInt(time.Now().Unix(), 10)))
	}
	return privilege.Rename(path, to)
}

func (k *keeper) writePidfile(path string) error {
	if !has(k.plan.Pidfiles, path) {
		return ErrNotPlanned
	}
	return control.WritePidfile(path, k.master)
}

func (k *keeper) makeFIFO(path string) (*os.File, error) {
	if !has(k.plan.FIFOs, path) {
		return nil, ErrNotPlanned
	}
	return control.MakeFIFO(path, &control.Owner{UID: k.plan.UID, GID: k.plan.GID})
}

// remove unlinks what the instance made: a name that stands for something of that kind, a pidfile only while it names the supervisor.
func (k *keeper) remove(path string) error {
	if has(k.plan.Pidfiles, path) {
		if !control.RemovePidfile(path, k.master) {
			return fmt.Errorf("%s is not this instance's pidfile any more", path)
		}
		return nil
	}
	kind := uint32(unix.S_IFIFO)
	if !has(k.plan.FIFOs, path) {
		kind = unix.S_IFSOCK
		planned := false
		for _, o := range k.plan.Sockets {
			planned = planned || o.Path() == path
		}
		if !planned {
			return ErrNotPlanned
		}
	}
	d, err := privilege.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if st, err := d.Stat(); err != nil {
		return err
	} else if st.Mode&unix.S_IFMT != kind {
		return fmt.Errorf("%s is something else by now", path)
	}
	return d.Unlink()
}

// hook carries out one of the plan's hooks.
func (k *keeper) hook(number int, out *os.File) error {
	if number < 0 || number >= len(k.plan.Hooks) {
		return ErrNotPlanned
	}
	if out == nil {
		out = os.Stderr
	}
	h := &control.Hooks{Settings: &option.Settings{}, Root: true, Environ: k.plan.Environ, Dir: k.plan.Dir, Output: out,
		Print: func(text string) { fmt.Fprintln(out, text) }}
	return h.Act(context.Background(), k.plan.Hooks[number], nil)
}

func (k *keeper) daemon(number int, out *os.File, r *reply) error {
	if number < 0 || number >= len(k.plan.Daemons) {
		return ErrNotPlanned
	}
	d := k.plan.Daemons[number]
	p, err := k.spawner.Start(control.Command{Shell: d.Command, Dir: d.Dir, Env: d.Environ, Stderr: out, Group: true, Free: d.Free,
		Credential: &syscall.Credential{Uid: d.UID, Gid: d.GID, Groups: d.Groups}})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.children[p.PID()] = p
	k.mu.Unlock()
	r.PID = p.PID()
	return nil
}

// child waits for a daemon, or signals it. Until it was waited for, its process id is nobody else's.
func (k *keeper) child(q request, r *reply) error {
	k.mu.Lock()
	p := k.children[q.Number]
	if p == nil {
		k.mu.Unlock()
		return fmt.Errorf("%d is no daemon of this keeper", q.Number)
	}
	if q.Verb == verbSignal {
		defer k.mu.Unlock()
		return p.Signal(syscall.Signal(q.Signal))
	}
	k.mu.Unlock()
	text := p.Wait()
	k.mu.Lock()
	delete(k.children, q.Number)
	k.mu.Unlock()
	r.Text = text
	return nil
}
