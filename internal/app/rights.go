package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/access"
	"uwsgi/internal/config"
	"uwsgi/internal/control"
	"uwsgi/internal/hooks"
	"uwsgi/internal/keeper"
	"uwsgi/internal/listen"
	"uwsgi/internal/logging"
	"uwsgi/internal/option"
	"uwsgi/internal/pidfile"
	"uwsgi/internal/privilege"
)

// rights is what this instance may do. One that was started as root and given a user has that
// user's rights: at first by acting as him, file by file, and from settle on because it is him.
// What he may not do and the first configuration asks for, the keeper does.
type rights struct {
	cred   *syscall.Credential // whom to act as; nil = this process is who it should be
	keeper *keeper.Client      // nil = there is none
	as     string              // whom the process has become, for messages; "" = nobody
}

// denied reports whether somebody with more rights could do better.
func denied(err error) bool {
	return errors.Is(err, os.ErrPermission)
}

// try does something as the application's user, and where he may not, asks the keeper. The user's
// error stays the one that is told: the keeper's is of interest only where it is another one.
func (r *rights) try(do, ask func() error) error {
	err := privilege.As(r.cred, do)
	if !denied(err) {
		return err
	}
	if err = access.Explain(err, r.cred); r.keeper == nil {
		return err
	}
	asked := ask()
	if asked == nil {
		return nil
	}
	if denied(asked) && errors.Is(err, asked) {
		return err
	}
	return fmt.Errorf("%w (as root: %w)", err, asked)
}

// Open implements logging.Files.
func (r *rights) Open(path string, truncate bool, mode os.FileMode, owner *logging.Owner) (f *os.File, err error) {
	err = r.try(func() (err error) {
		f, err = logging.OwnFiles{}.Open(path, truncate, mode, owner)
		return err
	}, func() (err error) {
		f, err = r.keeper.Log(path)
		return err
	})
	return f, err
}

// Rotate implements logging.Files.
func (r *rights) Rotate(path, to string) error {
	return r.try(func() error { return logging.OwnFiles{}.Rotate(path, to) },
		func() error { return r.keeper.RotateLog(path) })
}

// remove unlinks what the instance made.
func (r *rights) remove(path string) error {
	return r.try(func() error {
		d, err := privilege.OpenAt(path)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Unlink()
	}, func() error { return r.keeper.Remove(path) })
}

// fifo makes a FIFO that belongs to the application's user.
func (r *rights) fifo(path string) (f *os.File, err error) {
	err = r.try(func() (err error) {
		f, err = control.MakeFIFO(path, nil)
		return err
	}, func() (err error) {
		f, err = r.keeper.FIFO(path)
		return err
	})
	return f, err
}

// writePidfile writes this process's id. The file of `pidfile` is root's, as uWSGI's is.
func (r *rights) writePidfile(path string, roots bool) error {
	write := func() error { return pidfile.Write(path, os.Getpid()) }
	ask := func() error { return r.keeper.WritePidfile(path) }
	if roots && r.keeper != nil && ask() == nil {
		return nil
	}
	return r.try(write, ask)
}

// removePidfile removes one that still names this process, and reports whether it did.
func (r *rights) removePidfile(path string) bool {
	return pidfile.Remove(path, os.Getpid()) || r.keeper != nil && r.keeper.Remove(path) == nil
}

// read reads a file of the configuration: one that only root may read is read as root, if the first
// configuration has it too.
func (r *rights) read(path string) ([]byte, error) {
	body, err := os.ReadFile(path)
	if r.keeper == nil || !denied(err) {
		return body, err
	}
	f, kerr := r.keeper.Config(path)
	if kerr != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// binder is the keeper as package listen knows it.
func (r *rights) binder() listen.Keeper {
	if r.keeper == nil {
		return nil
	}
	return r.keeper
}

// employ starts a keeper, where this process is root and the application shall not be. cfg is the
// first configuration, whose files lie below start, and d what is made of it.
func (in *instance) employ(cfg *config.Config, d *deployment) error {
	cred := d.ident.Credential
	if cred == nil || cred.Uid == 0 || os.Geteuid() != 0 {
		return nil
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	plan, err := in.plan(cfg, d)
	if err != nil {
		return err
	}
	in.rights.cred = cred
	in.rights.keeper, err = keeper.Start(binary, plan)
	return err
}

// plan is what the keeper will be able to do.
func (in *instance) plan(cfg *config.Config, d *deployment) (keeper.Plan, error) {
	s, cred := cfg.Settings, d.ident.Credential
	dir := in.startDir
	if s.Chdir != "" {
		dir = option.PathIn(in.startDir, s.Chdir)
	}
	env := append(environment(in.environ, s.Env), "UWSGI_ORIGINAL_PROC_NAME="+in.args[0])
	p := keeper.Plan{UID: int(cred.Uid), GID: int(cred.Gid), Groups: cred.Groups, Umask: s.Umask, Dir: in.startDir,
		Environ: env}
	var err error
	if p.Sockets, err = listen.Orders(s, dir); err != nil {
		return p, err
	}
	for _, f := range logging.FilesOf(s, in.startDir, in.journal) {
		p.Logs = append(p.Logs, keeper.Log{Path: f.Path, Truncate: f.Truncate, Mode: uint32(f.Mode), Chown: f.Chown,
			Backup: f.Backup})
	}
	for _, f := range in.pidfiles(s, dir) {
		p.Pidfiles = append(p.Pidfiles, f.path)
	}
	for _, path := range s.MasterFIFO {
		p.FIFOs = append(p.FIFOs, option.PathIn(dir, path))
	}
	p.Configs = configFiles(cfg, in.startDir)
	for _, h := range s.Hooks {
		if hooks.Privileged(h.Phase) {
			p.Hooks = append(p.Hooks, h)
		}
	}
	for _, k := range s.Daemons {
		if k.UID == "" && k.GID == "" {
			continue
		}
		id, err := listen.Lookup(k.UID, k.GID, nil, false)
		if err != nil {
			return p, err
		}
		if c := id.Credential; c != nil {
			p.Daemons = append(p.Daemons, keeper.Daemon{Command: k.Command,
				Dir: option.PathIn(dir, k.Chdir), Environ: env,
				UID: c.Uid, GID: c.Gid, Groups: c.Groups, Free: k.Pidfile != ""})
		}
	}
	return p, nil
}

// configFiles are the files that a configuration was read from, absolute.
func configFiles(cfg *config.Config, start string) []string {
	var out []string
	for _, p := range cfg.Pairs {
		if p.Origin.File == "" {
			continue
		}
		if path := option.PathIn(start, p.Origin.File); !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

// settle gives root up for good, once nothing of the first configuration takes it in this process.
// Limits that only root may raise are raised first: the workers are to have them.
func (in *instance) settle(d *deployment) error {
	cred := in.rights.cred
	if cred == nil {
		return nil
	}
	if err := raise(d.cfg.Settings); err != nil {
		return err
	}
	if err := in.title.hold(); err != nil {
		d.log.Warn(err.Error())
	}
	if err := in.rights.keeper.Settle(); err != nil {
		return err
	}
	if err := privilege.Drop(cred); err != nil {
		return fmt.Errorf("give up root: %w", err)
	}
	in.rights.cred, d.ident.Credential, d.hooks.Credential = nil, nil, nil
	in.rights.as = d.ident.User
	return nil
}

// raise lifts the limits of this process to what its workers shall have and only root may give
// them: max-fd, limit-nproc, prio.
func raise(s *option.Settings) error {
	for _, l := range []struct {
		what int
		n    int
		name string
	}{{unix.RLIMIT_NOFILE, s.MaxFD, "max-fd"}, {unix.RLIMIT_NPROC, s.LimitNproc, "limit-nproc"}} {
		if l.n <= 0 {
			continue
		}
		var have unix.Rlimit
		if err := unix.Getrlimit(l.what, &have); err != nil {
			return fmt.Errorf("%s: getrlimit: %w", l.name, err)
		}
		if have.Max >= uint64(l.n) {
			continue
		}
		have.Max = uint64(l.n)
		if err := unix.Setrlimit(l.what, &have); err != nil && !denied(err) { // a container's root may not
			return fmt.Errorf("%s: setrlimit to %d: %w", l.name, l.n, err)
		}
	}
	if s.Prio < 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, s.Prio); err != nil {
			return fmt.Errorf("prio=%d: setpriority: %w", s.Prio, err)
		}
	}
	return nil
}

// dismiss lets the keeper go where nothing is left that needs it: everything the instance made, the
// user could make again or remove himself.
func (in *instance) dismiss(d *deployment) {
	r := &in.rights
	if r.keeper == nil || in.needsRoot(d) {
		return
	}
	r.keeper.Close()
	r.keeper = nil
}

// needsRoot reports whether the first configuration asks for something that its user may not do.
func (in *instance) needsRoot(d *deployment) bool {
	s := d.cfg.Settings
	if s.MasterAsRoot || slices.ContainsFunc(s.Hooks, func(h option.Hook) bool { return hooks.Privileged(h.Phase) }) ||
		slices.ContainsFunc(s.Daemons, func(k option.Daemon) bool { return k.UID != "" || k.GID != "" }) {
		return true
	}
	var made []string
	for _, sock := range d.sockets.Sockets {
		switch {
		case sock.NeedsRoot():
			return true
		case sock.Path != "":
			made = append(made, sock.Path)
		}
	}
	for _, f := range in.pidfiles(s, d.dir) {
		made = append(made, f.path)
	}
	for _, f := range s.MasterFIFO {
		made = append(made, option.PathIn(d.dir, f))
	}
	for _, a := range s.Stats {
		if !strings.HasPrefix(a, "@") && !strings.Contains(a, ":") {
			made = append(made, option.PathIn(d.dir, a))
		}
	}
	for _, f := range logging.FilesOf(s, in.startDir, in.journal) {
		if unix.Access(f.Path, unix.W_OK) != nil {
			return true
		}
		made = append(made, f.Path)
	}
	for _, path := range made {
		if unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK) != nil {
			return true
		}
	}
	return slices.ContainsFunc(configFiles(d.cfg, in.startDir),
		func(path string) bool { return denied(unix.Access(path, unix.R_OK)) })
}
