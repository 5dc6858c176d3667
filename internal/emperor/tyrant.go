package emperor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/config"
	"uwsgi/internal/crash"
	"uwsgi/internal/listen"
	"uwsgi/internal/privilege"
	"uwsgi/internal/units"
)

// What the emperor does, as root, for a vassal that runs as its file's owner (emperor-tyrant): it
// finds out who that is, has a process of his read the file, and asks systemd for a unit that runs
// as him. Nothing that the owner writes is interpreted as root, and nothing of it but units.Wishes
// gets into the unit. The instance checks the owner once more, on the open file (config.OwnFile).

// ownable says why a vassal is not run as its file's owner.
func (v *vassal) ownable() error {
	if v.uid == 0 || v.gid == 0 {
		return fmt.Errorf("%s is not run: emperor-tyrant runs an instance as its file's owner and group, "+
			"and that is root", v.file)
	}
	// The instance is to read this very file, and what it belongs to is judged by its name.
	if strings.ContainsAny(v.file, ":%$") {
		return fmt.Errorf("%s is not run: with emperor-tyrant a name holds no colon, %% or $", v.file)
	}
	return nil
}

// environ tells the instance whose file it may read.
func (v vassal) environ() []string {
	switch v.judge {
	case byFile:
		return []string{config.OwnFile + "=" + v.file}
	case byLink:
		return []string{config.OwnLink + "=" + v.file}
	}
	return nil
}

// credential is the owner with all his groups. The file's group is the first of them only where he
// is a member of it: a setgid folder can give a file to any group.
func (v vassal) credential() (*syscall.Credential, error) {
	id, err := listen.Lookup(strconv.FormatUint(uint64(v.uid), 10), "", nil, false)
	if err != nil {
		return nil, err
	}
	cred := id.Credential
	if cred == nil { // an emperor that is not root runs its own files
		return nil, nil
	}
	if slices.Contains(cred.Groups, v.gid) {
		cred.Gid = v.gid
	}
	return cred, nil
}

// addressFile reads the address of an on-demand vassal from the file beside it, with the owner's
// rights: to open a device can be to use it.
func (v *vassal) addressFile(path string) (string, error) {
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return "", nil
	}
	var cred *syscall.Credential
	if v.judge != byItself {
		var err error
		if cred, err = v.credential(); err != nil {
			return "", err
		}
	}
	var f *os.File
	err := privilege.As(cred, func() (err error) {
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		return err
	})
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	address := firstLine(string(text))
	if v.judge == byItself {
		return address, nil
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || sys.Uid != v.uid {
		return "", fmt.Errorf("%s does not belong to the owner of %s", path, v.file)
	}
	if !units.Anybodys(address) {
		return "", fmt.Errorf("%s: %.80q is no address that anybody may open: write @NAME or HOST:PORT with a port "+
			"from 1024, or use emperor-on-demand-directory", path, address)
	}
	return address, nil
}

// answer is what came of a vassal's question.
type answer struct {
	wishes *units.Wishes
	err    error
}

const (
	askers      = 32                     // owners that are asked at a time
	askTime     = 5 * time.Second        // what an owner has in any case, on a machine that boots …
	askTimeEach = 100 * time.Millisecond // … and for each of his files
	askTimeMax  = 10 * time.Second       // and at most: the emperor waits
	askErrors   = 2048                   // bytes of what went wrong
)

// ask has the owners of a batch's vassals read their files, each for himself and one after the
// other: whoever keeps the emperor waiting does so at the cost of his own.
func (u *services) ask(batch []change) map[string]answer {
	byOwner := map[uint32][]vassal{}
	for _, c := range batch {
		if c.judge != byItself && c.op != stop {
			byOwner[c.uid] = append(byOwner[c.uid], c.vassal)
		}
	}
	out := map[string]answer{}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, askers)
	for _, list := range byOwner {
		all.Go(crash.Guarded(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(u.ctx, min(askTime+time.Duration(len(list))*askTimeEach, askTimeMax))
			defer cancel()
			for _, v := range list {
				w, err := v.ask(ctx, u.Binary, v.arguments(&u.Settings.Emperor))
				mu.Lock()
				out[v.name] = answer{w, err}
				mu.Unlock()
			}
		}))
	}
	all.Wait()
	return out
}

// ask runs a process of the owner's that reads his file, and takes in what it says as what anybody
// might say.
func (v vassal) ask(ctx context.Context, binary string, args []string) (*units.Wishes, error) {
	cred, err := v.credential()
	if err != nil {
		return nil, err
	}
	dir := v.dir
	if dir == "" {
		dir = "/"
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	said := &limited{left: askErrors}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Args = append([]string{"uwsgi-generator", "--wishes", dir}, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = "/", in, said, time.Second
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, v.environ()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	err = cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = out.SetReadDeadline(deadline)
	}
	w, err := units.ReadWishes(out)
	out.Close()
	switch failed := cmd.Wait(); {
	case ctx.Err() != nil:
		return nil, errors.New("reading its file takes too long")
	case failed != nil && said.Len() > 0:
		return nil, errors.New(said.text())
	case failed != nil:
		return nil, fmt.Errorf("read it as user %d: %w", v.uid, failed)
	}
	return w, err
}

// limited keeps the beginning of what a process says, and discards the rest.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.Buffer.Write(p[:n])
	return len(p), nil
}

// text is what was kept, made safe for the log: anybody may have written it.
func (l *limited) text() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, l.String()))
}
