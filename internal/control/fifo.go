package control

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// Commands is what the bytes of the master FIFO do. A nil function: the byte is answered by a line
// in the log.
type Commands struct {
	Reload        func() // r
	BrutalReload  func() // R
	ChainReload   func() // c
	ReloadWorkers func() // w
	KillWorkers   func() // W
	Stop          func() // q
	BrutalStop    func() // Q
	TogglePause   func() // p
	MoreWorkers   func() // +
	FewerWorkers  func() // -
	Cheap         func() // C
	Report        func() // s: configuration and counters to the log
	ReopenLog     func() // l
	RotateLog     func() // L
	WritePidfiles func() // P
}

// command gives the function of a byte; ok is false for bytes that mean nothing.
func (c *Commands) command(b byte) (f func(), ok bool) {
	switch b {
	case 'r':
		f = c.Reload
	case 'R':
		f = c.BrutalReload
	case 'c':
		f = c.ChainReload
	case 'w':
		f = c.ReloadWorkers
	case 'W':
		f = c.KillWorkers
	case 'q':
		f = c.Stop
	case 'Q':
		f = c.BrutalStop
	case 'p':
		f = c.TogglePause
	case '+':
		f = c.MoreWorkers
	case '-':
		f = c.FewerWorkers
	case 'C':
		f = c.Cheap
	case 's':
		f = c.Report
	case 'l':
		f = c.ReopenLog
	case 'L':
		f = c.RotateLog
	case 'P':
		f = c.WritePidfiles
	case 'B', 'E', 'f', 'S': // reinforcements, the emperor, a second master, subscriptions: not here
	default:
		return nil, false
	}
	return f, true
}

// Owner is a user and a group.
type Owner struct{ UID, GID int }

// FIFO is the master FIFO: one byte, one command.
type FIFO struct {
	paths    []string
	files    FIFOFiles
	commands *Commands
	log      func(string)

	mu     sync.Mutex // guards what follows
	active int
	file   *os.File
	inode  uint64
	closed bool
	done   chan struct{}
}

// FIFOFiles is how a FIFO is made and removed; MakeFIFO and os.Remove do it with this process's
// rights.
type FIFOFiles struct {
	Make   func(path string) (*os.File, error)
	Remove func(path string) error
}

// OpenFIFO makes the first of the paths, which are absolute, a FIFO and obeys what is written to it
// until Close. The digits 0 to 9 switch to another path. timed writes a dated line to the log.
func OpenFIFO(paths []string, files FIFOFiles, commands *Commands, timed func(string)) (*FIFO, error) {
	f := &FIFO{paths: slices.Clone(paths), files: files, commands: commands, log: timed, done: make(chan struct{})}
	if err := f.open(0); err != nil {
		return nil, err
	}
	crash.Go(f.run)
	return f, nil
}

// Is reports whether this FIFO is what OpenFIFO would make of these paths, and is still there.
func (f *FIFO) Is(paths []string) bool {
	if !slices.Equal(paths, f.paths) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active == 0 && f.onDisk(f.paths[0])
}

// Close stops listening. It removes the path first, so that nobody blocks in open(2) waiting for a
// reader.
func (f *FIFO) Close() error {
	f.mu.Lock()
	f.closed = true
	var err error
	if path := f.paths[f.active]; f.onDisk(path) {
		err = f.files.Remove(path)
	}
	err = errors.Join(err, f.file.Close())
	f.mu.Unlock()
	<-f.done
	return err
}

// MakeFIFO makes path a FIFO of mode 0600, in the place of one that is there, gives it to owner
// (nil = this user) and opens it, for writing too: without a writer there would be an end of file
// after each client.
func MakeFIFO(path string, owner *Owner) (*os.File, error) {
	d, err := privilege.OpenAt(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if st, err := d.Stat(); err == nil {
		if st.Mode&unix.S_IFMT != unix.S_IFIFO {
			return nil, errors.New("the path exists and is not a FIFO")
		}
		if err := d.Unlink(); err != nil {
			return nil, err
		}
	}
	if err := d.Mkfifo(0o600); err != nil {
		return nil, err
	}
	file, err := d.Open(unix.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err == nil && st.Mode()&os.ModeType != os.ModeNamedPipe {
		err = fmt.Errorf("%s was replaced by somebody else", path)
	}
	if err == nil && owner != nil {
		err = file.Chown(owner.UID, owner.GID)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// open makes path number n and switches to it.
func (f *FIFO) open(n int) error {
	path := f.paths[n]
	file, err := f.files.Make(path)
	if err != nil {
		return option.Wrong("master-fifo", path, err)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return option.Wrong("master-fifo", path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return file.Close()
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.active, f.inode = file, n, inodeOf(st)
	return nil
}

func (f *FIFO) run() {
	defer close(f.done)
	buf := make([]byte, 128)
	for {
		f.mu.Lock()
		file := f.file
		f.mu.Unlock()
		n, err := file.Read(buf)
		for _, b := range buf[:n] {
			f.obey(b)
		}
		if err != nil {
			f.mu.Lock()
			over := f.closed || f.file == file
			f.mu.Unlock()
			if over {
				return
			}
		}
	}
}

func (f *FIFO) obey(b byte) {
	if b >= '0' && b <= '9' {
		n := int(b - '0')
		if n >= len(f.paths) || n == f.active {
			return
		}
		if err := f.open(n); err != nil {
			f.log(err.Error())
			return
		}
		f.log("active master fifo is now " + f.paths[n])
		return
	}
	do, ok := f.commands.command(b)
	switch {
	case !ok:
	case do == nil:
		f.log(fmt.Sprintf("master fifo: %q does nothing here", b))
	default:
		do()
	}
}

// onDisk reports whether the path is the FIFO that is listened to. f.mu is held.
func (f *FIFO) onDisk(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && inodeOf(st) == f.inode
}

func inodeOf(st os.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
