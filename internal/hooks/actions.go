package hooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/privilege"
)

// action is what a hook can do; cred is whom it acts as, nil = this process's user.
type action func(ctx context.Context, r *Runner, arg string, cred *syscall.Credential) error

// actions are those of option.HookActions.
var actions = map[string]action{
	"exec": func(ctx context.Context, r *Runner, arg string, cred *syscall.Credential) error {
		return r.shell(ctx, arg, cred)
	},
	"safeexec": func(ctx context.Context, r *Runner, arg string, cred *syscall.Credential) error {
		if err := r.shell(ctx, arg, cred); err != nil {
			r.Print(err.Error())
		}
		return nil
	},
	"cd":     enter,
	"chdir":  enter,
	"mkdir":  path(at(func(d *privilege.Dir) error { return d.Mkdir(0o777) })),
	"unlink": path(remove),
	"create": path(create),
	"creat":  path(create),
	"sticky": path(func(p string) error { return chmod(p, 0o777|unix.S_ISVTX) }),
	"hostname": func(_ context.Context, _ *Runner, name string, cred *syscall.Credential) error {
		return privilege.As(cred, func() error { return unix.Sethostname([]byte(name)) })
	},
	"putenv": func(_ context.Context, r *Runner, pair string, _ *syscall.Credential) error {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("putenv: %q is not NAME=VALUE", pair)
		}
		r.setenv(name, value)
		return nil
	},
	"chmod": words(2, func(w []string) error {
		mode, err := strconv.ParseUint(w[1], 8, 32)
		if err != nil {
			return fmt.Errorf("chmod: %q is not an octal mode", w[1])
		}
		return chmod(w[0], uint32(mode))
	}),
	"chown":     words(3, func(w []string) error { return chown(w, true) }),
	"chown2":    words(3, func(w []string) error { return chown(w, false) }),
	"write":     words(2, func(w []string) error { return put(w, os.O_TRUNC, "") }),
	"writen":    words(2, func(w []string) error { return put(w, os.O_TRUNC, "\n") }),
	"append":    words(2, func(w []string) error { return put(w, os.O_APPEND, "") }),
	"appendn":   words(2, func(w []string) error { return put(w, os.O_APPEND, "\n") }),
	"writefifo": words(2, writeFIFO),
	"print":     say,
	"log":       say,
	"alarm": func(_ context.Context, r *Runner, arg string, _ *syscall.Credential) error {
		name, message, ok := strings.Cut(arg, " ")
		if !ok {
			return fmt.Errorf("alarm: %q is not NAME MESSAGE", arg)
		}
		r.Alarm(name, message)
		return nil
	},
	"exit": func(_ context.Context, _ *Runner, arg string, _ *syscall.Credential) error {
		code := 0
		if arg != "" {
			n, err := strconv.Atoi(arg)
			if err != nil || n < 0 || n > 255 {
				return fmt.Errorf("exit: %q is not an exit status", arg)
			}
			code = n
		}
		return &ExitError{Code: code}
	},
	"unix_signal": func(_ context.Context, r *Runner, arg string, _ *syscall.Credential) error {
		w := strings.Fields(arg)
		if len(w) != 2 || r.Signal == nil {
			return fmt.Errorf("unix_signal: %q is not NUMBER HANDLER", arg)
		}
		n, err := strconv.Atoi(w[0])
		if err != nil {
			return fmt.Errorf("unix_signal: %q is not a signal number", w[0])
		}
		return r.Signal(n, w[1])
	},
	"wait_for_fs": waitFor(fsPatience, func(r *Runner, p string) bool {
		_, err := os.Stat(r.at(p))
		return err == nil
	}),
	"wait_for_file": waitFor(fsPatience, isKind(0)),
	"wait_for_dir":  waitFor(fsPatience, isKind(os.ModeDir)),
	"wait_for_socket": waitFor(func(r *Runner) time.Duration { return r.Settings.WaitForSocketTimeout },
		func(r *Runner, address string) bool {
			network := "unix"
			if strings.Contains(address, ":") && !strings.HasPrefix(address, "/") {
				network = "tcp"
			} else {
				address = r.at(address)
			}
			c, err := net.DialTimeout(network, address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		}),
}

// path is an action on the path that its argument is.
func path(do func(string) error) action {
	return func(_ context.Context, r *Runner, arg string, cred *syscall.Credential) error {
		return privilege.As(cred, func() error { return do(r.at(arg)) })
	}
}

// enter is cd: for the hooks to come, and not for the process, which other things run in.
func enter(_ context.Context, r *Runner, arg string, cred *syscall.Credential) error {
	dir := r.at(arg)
	err := privilege.As(cred, func() error {
		st, err := os.Stat(dir)
		switch {
		case err != nil:
			return err
		case !st.IsDir():
			return &os.PathError{Op: "chdir", Path: dir, Err: unix.ENOTDIR}
		}
		return nil
	})
	if err == nil {
		r.Enter(dir)
	}
	return err
}

// words is an action on n words, of which the first is a path and the last takes the rest of the
// line.
func words(n int, do func([]string) error) action {
	return func(_ context.Context, r *Runner, arg string, cred *syscall.Credential) error {
		w := strings.SplitN(arg, " ", n)
		if len(w) != n {
			return fmt.Errorf("%q: %d words are expected", arg, n)
		}
		w[0] = r.at(w[0])
		return privilege.As(cred, func() error { return do(w) })
	}
}

func say(_ context.Context, r *Runner, arg string, _ *syscall.Credential) error {
	r.Print(arg)
	return nil
}

// at is an action in the folder of a path, which nobody can exchange meanwhile. What is a link is
// one: it is not followed.
func at(do func(*privilege.Dir) error) func(string) error {
	return func(path string) error {
		d, err := privilege.OpenAt(path)
		if err != nil {
			return err
		}
		defer d.Close()
		return do(d)
	}
}

// on is an action on what a path stands for, a link of root's followed.
func on(path string, do func(*privilege.Handle) error) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	d, err := privilege.Follow(abs)
	if err != nil {
		return err
	}
	defer d.Close()
	h, err := d.Handle()
	if err != nil {
		return err
	}
	defer h.Close()
	return do(h)
}

func chmod(path string, mode uint32) error {
	return on(path, func(h *privilege.Handle) error { return h.Chmod(mode) })
}

// remove is os.Remove: a folder, too, if it is empty.
func remove(path string) error {
	return at(func(d *privilege.Dir) error {
		err := d.Unlink()
		if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
			if d.Rmdir() == nil {
				return nil
			}
		}
		return err
	})(path)
}

func create(path string) error {
	f, err := privilege.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// put writes w[1] and end to the file w[0].
func put(w []string, flag int, end string) error {
	f, err := privilege.OpenFile(w[0], os.O_WRONLY|os.O_CREATE|flag, 0o666)
	if err != nil {
		return err
	}
	_, werr := f.WriteString(w[1] + end)
	return errors.Join(werr, f.Close())
}

// writeFIFO writes w[1] to the FIFO w[0] if somebody reads it, and does not wait for one.
func writeFIFO(w []string) error {
	return at(func(d *privilege.Dir) error {
		f, err := d.Open(unix.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = unix.Write(int(f.Fd()), []byte(w[1]))
		return err
	})(w[0])
}

// chown gives w[0] to user w[1] and group w[2]: names, or numbers only.
func chown(w []string, names bool) error {
	uid, err := id(w[1], "/etc/passwd", names)
	if err != nil {
		return fmt.Errorf("unable to find uid %s", w[1])
	}
	gid, err := id(w[2], "/etc/group", names)
	if err != nil {
		return fmt.Errorf("unable to find gid %s", w[2])
	}
	return on(w[0], func(h *privilege.Handle) error { return h.Chown(uid, gid) })
}

// id finds a number, or the third field of a name's line.
func id(text, database string, names bool) (int, error) {
	if n, err := strconv.Atoi(text); err == nil || !names {
		return n, err
	}
	b, err := os.ReadFile(database)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == text {
			return strconv.Atoi(f[2])
		}
	}
	return 0, errors.New("not found")
}

func fsPatience(r *Runner) time.Duration { return r.Settings.WaitForFSTimeout }

func isKind(kind os.FileMode) func(*Runner, string) bool {
	return func(r *Runner, p string) bool {
		st, err := os.Stat(r.at(p))
		return err == nil && st.Mode()&os.ModeType == kind
	}
}

// waitFor looks once a second until test holds, for as long as the settings say (0 = a minute).
func waitFor(limit func(*Runner) time.Duration, test func(*Runner, string) bool) action {
	return func(ctx context.Context, r *Runner, arg string, _ *syscall.Credential) error {
		most := limit(r)
		if most <= 0 {
			most = time.Minute
		}
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for !test(r, arg) {
			r.Print("waiting for " + arg + " ...")
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for %s: %w", arg, context.Cause(ctx))
			case <-tick.C:
			}
		}
		return nil
	}
}
