package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/attached"
	"uwsgi/internal/control"
	"uwsgi/internal/crash"
	"uwsgi/internal/hooks"
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
	"uwsgi/internal/pidfile"
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
	spawner *attached.Spawner
	hooks   sync.Mutex // held while one runs

	mu       sync.Mutex // guards what follows
	settled  bool       // the supervisor is not root any more
	children map[int]*child
	opened   map[string]file // logs that were opened, as they were last
}

// child is a daemon.
type child struct {
	attached.Process
	number  int  // in the plan
	awaited bool // somebody waits for its end
}

// file is a file's identity.
type file struct{ dev, inode uint64 }

// What a supervisor that is somebody's puppet could ask for without end is bounded.
const (
	maxRequests = 32 // at a time, but for those that wait for a daemon
	maxAlike    = 8  // running daemons of one entry of the plan
)

// Serve is the life of a keeper. It returns the exit status, once the supervisor is gone or lets it
// go.
func Serve() int {
	// Who presses ^C, or stops a unit, means the supervisor: it still needs us on its way out.
	// (Caught, not ignored: what is ignored would be so in the commands of hooks, too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGTSTP, syscall.SIGUSR1, syscall.SIGUSR2)
	k := &keeper{children: map[int]*child{}, opened: map[string]file{}}
	plan := os.NewFile(planFD, "plan")
	err := json.NewDecoder(plan).Decode(&k.plan)
	plan.Close()
	if err == nil {
		err = endWith(k.plan.Master)
	}
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
	k.spawner = attached.NewSpawner()
	defer k.spawner.Close()
	slots := make(chan struct{}, maxRequests)
	for {
		slots <- struct{}{}
		var q request
		fd, err := k.conn.receive(&q)
		switch {
		case errors.Is(err, errNoMessage) || errors.Is(err, errTooLong):
			<-slots // whoever sends that is not our supervisor any more, and gets nothing
			continue
		case err != nil:
			return 0
		}
		var out *os.File
		if fd >= 0 {
			out = os.NewFile(uintptr(fd), "output")
		}
		if q.Verb == verbWait {
			<-slots
			crash.Go(func() { k.answer(q, out) })
			continue
		}
		crash.Go(func() {
			defer func() { <-slots }()
			k.answer(q, out)
		})
	}
}

// endWith has this process end with the supervisor, whoever holds the other end of our socket by
// then.
func endWith(master int) error {
	fd, err := unix.PidfdOpen(master, 0)
	if err == nil && os.Getppid() != master {
		err = unix.ESRCH
	}
	if err != nil {
		return fmt.Errorf("watch the supervisor: %w", err)
	}
	crash.Go(func() {
		for {
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); n > 0 ||
				err != nil && err != unix.EINTR {
				os.Exit(0)
			}
		}
	})
	return nil
}

// answer does what a request asks for and tells the outcome. out is where a hook or daemon writes
// to, nil = where we do.
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
	case verbSettle:
		k.mu.Lock()
		defer k.mu.Unlock()
		k.settled = true
		return nil, nil
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
		return k.config(q.Name)
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
	f, err := privilege.OpenFor(k.user(), path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o640)
	k.mu.Lock()
	defer k.mu.Unlock()
	var link *privilege.LinkError
	if errors.As(err, &link) && !k.settled { // with the rights of whose link it is
		flags := unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND
		if l.Truncate {
			flags |= unix.O_TRUNC
		}
		return privilege.OpenFile(path, flags, 0o640)
	}
	if err != nil {
		return nil, err
	}
	before, again := k.opened[path]
	now := file{uint64(f.Stat.Dev), f.Stat.Ino}
	ours := f.Roots || f.Made || int(f.Stat.Uid) == k.plan.UID // to give away
	switch {
	case !ours && !f.Firm && k.settled && before != now:
		err = &os.PathError{Op: "open", Path: path, Err: errPlanted}
	case f.Stat.Mode&unix.S_IFMT != unix.S_IFREG: // such as /dev/null
	default:
		if ours && l.Mode != 0 {
			err = f.Chmod(os.FileMode(l.Mode))
		}
		if ours && l.Chown && err == nil {
			err = f.Chown(k.plan.UID, k.plan.GID)
		}
		if l.Truncate && !again && err == nil {
			err = f.Truncate(0)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	k.opened[path] = now
	return f.File, nil
}

// errPlanted is a file that somebody else may have put where it is.
var errPlanted = errors.New("the application's user can put any file there, and this one is somebody else's")

// user is the application's.
func (k *keeper) user() *syscall.Credential {
	return &syscall.Credential{Uid: uint32(k.plan.UID), Gid: uint32(k.plan.GID), Groups: k.plan.Groups}
}

// config opens a file for reading, where the application's user cannot have put another one in its
// place.
func (k *keeper) config(path string) (*os.File, error) {
	if !has(k.plan.Configs, path) {
		return nil, ErrNotPlanned
	}
	f, err := privilege.OpenFor(k.user(), path, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if !f.Firm {
		f.Close()
		return nil, &os.PathError{Op: "open", Path: path, Err: errPlanted}
	}
	return f.File, nil
}

// rotate puts a log aside, under a name that is its own or, as uWSGI has it, the second's. There is
// one of each second, so that a folder of root's is not filled with them. In a folder of his own
// the application's user does that himself.
func (k *keeper) rotate(path string) error {
	l, err := k.log(path)
	if err != nil {
		return err
	}
	from, err := k.firm(path, "rename")
	if err != nil {
		return err
	}
	defer from.Close()
	if st, err := from.Stat(); err != nil {
		return err
	} else if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return &os.PathError{Op: "rename", Path: path, Err: privilege.ErrNotRegular}
	}
	backup := l.Backup
	if backup == "" {
		backup = path + "." + strconv.FormatInt(time.Now().Unix(), 10)
	}
	to, err := k.firm(backup, "rename")
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := to.Stat(); err == nil && l.Backup == "" {
		return nil
	}
	return from.Rename(to)
}

// firm opens the folder of a path that the application's user cannot make lead elsewhere.
func (k *keeper) firm(path, op string) (*privilege.Dir, error) {
	d, err := privilege.OpenDir(path)
	if err != nil {
		return nil, err
	}
	st, err := d.Stat()
	switch {
	case errors.Is(err, os.ErrNotExist):
		st.Uid = uint32(k.plan.UID) // where he may make one, he may make it
	case err != nil:
		d.Close()
		return nil, err
	}
	if !d.FirmFor(k.user(), &st) {
		d.Close()
		return nil, &os.PathError{Op: op, Path: path, Err: errPlanted}
	}
	return d, nil
}

// writePidfile writes over nothing but a pidfile, where the application's user can put any file.
func (k *keeper) writePidfile(path string) error {
	if !has(k.plan.Pidfiles, path) {
		return ErrNotPlanned
	}
	f, err := privilege.OpenFor(k.user(), path, unix.O_RDWR|unix.O_CREAT, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if !f.Firm && !pidfile.Is(f.File) {
		return &os.PathError{Op: "open", Path: path, Err: errPlanted}
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", k.plan.Master), 0)
	return err
}

func (k *keeper) makeFIFO(path string) (*os.File, error) {
	if !has(k.plan.FIFOs, path) {
		return nil, ErrNotPlanned
	}
	return control.MakeFIFO(path, &control.Owner{UID: k.plan.UID, GID: k.plan.GID})
}

// remove unlinks what the instance made: a name that stands for something of that kind, a pidfile
// only while it names the supervisor.
func (k *keeper) remove(path string) error {
	if has(k.plan.Pidfiles, path) {
		if !pidfile.Remove(path, k.plan.Master) {
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
	k.hooks.Lock() // one after the other, as at the start
	defer k.hooks.Unlock()
	h := &hooks.Runner{Settings: &option.Settings{}, Root: true, Environ: k.plan.Environ, Dir: k.plan.Dir, Output: out,
		Print: func(text string) { fmt.Fprintln(out, text) }}
	return h.Act(context.Background(), k.plan.Hooks[number], nil)
}

func (k *keeper) daemon(number int, out *os.File, r *reply) error {
	if number < 0 || number >= len(k.plan.Daemons) {
		return ErrNotPlanned
	}
	d := k.plan.Daemons[number]
	k.mu.Lock()
	defer k.mu.Unlock()
	alike := 0
	for _, c := range k.children {
		if c.number == number {
			alike++
		}
	}
	if alike >= maxAlike {
		return fmt.Errorf("%d of that daemon run already: %w", alike, unix.EAGAIN)
	}
	p, err := k.spawner.Start(attached.Command{Shell: d.Command, Dir: d.Dir, Env: d.Environ, Stderr: out,
		Group: true, Free: d.Free,
		Credential: &syscall.Credential{Uid: d.UID, Gid: d.GID, Groups: d.Groups}})
	if err != nil {
		return err
	}
	k.children[p.PID()] = &child{Process: p, number: number}
	r.PID = p.PID()
	return nil
}

// child waits for a daemon, or signals it. Until it was waited for, its process id is nobody
// else's.
func (k *keeper) child(q request, r *reply) error {
	k.mu.Lock()
	p := k.children[q.Number]
	if p == nil || q.Verb == verbWait && p.awaited {
		k.mu.Unlock()
		return fmt.Errorf("%d is no daemon of this keeper that is to be waited for", q.Number)
	}
	if q.Verb == verbSignal {
		defer k.mu.Unlock()
		return p.Signal(syscall.Signal(q.Signal))
	}
	p.awaited = true
	k.mu.Unlock()
	text := p.Wait()
	k.mu.Lock()
	delete(k.children, q.Number)
	k.mu.Unlock()
	r.Text = text
	return nil
}
