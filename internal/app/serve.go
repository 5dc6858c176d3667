package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/access"
	"uwsgi/internal/alarm"
	"uwsgi/internal/attached"
	"uwsgi/internal/config"
	"uwsgi/internal/crash"
	"uwsgi/internal/hooks"
	"uwsgi/internal/listen"
	"uwsgi/internal/loader"
	"uwsgi/internal/logging"
	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
	"uwsgi/internal/redis"
	"uwsgi/internal/sd"
	"uwsgi/internal/supervisor"
	"uwsgi/internal/sys"
	"uwsgi/internal/wire"
)

// instance is one running server: what serve builds and a reload rebuilds.
type instance struct {
	args     []string // with the program's name
	environ  []string
	host     config.Host
	std      Streams
	startDir string
	lib      string
	journal  bool // standard error is the journal's
	stays    bool // daemonize is not obeyed
	notify   *sd.Notifier
	title    title
	rights   rights
	sup      *supervisor.Supervisor
	signals  *signals
	daemons  atomic.Pointer[attached.Daemons] // nil = none were ever asked for
	crons    atomic.Pointer[attached.Crons]
	redis    *redis.Agent   // nil = nothing has needed it yet
	cluster  *redis.Cluster // of the deployment in force, guarded by controlsMu

	controlsMu sync.Mutex
	over       bool                       // guarded by controlsMu: nothing is to be started any more
	controls   *controls                  // guarded by controlsMu: those that run
	current    atomic.Pointer[deployment] // the one in force; the supervisor's loop changes it, everybody reads it
}

func (in *instance) log() *logging.Log { return in.current.Load().log }

// deployment is one configuration in force, with what it holds.
type deployment struct {
	cfg     *config.Config
	sockets *listen.Set
	ident   *listen.Identity
	log     *logging.Log
	alarms  *alarm.Alarms
	hooks   *hooks.Runner
	dir     string // working directory of the application
	config  *supervisor.Config
	cluster *redis.Cluster // nil = it is of none
}

func serve(cfg *config.Config, args, environ []string, host config.Host, std Streams, hangups chan os.Signal) int {
	defer crash.Guard()
	s := cfg.Settings
	if err := kernelFits(); err != nil {
		return startFailed(std, s.Name, err)
	}
	if s.Pyrun != "" {
		forScript(s)
	}
	stays := mustStay(s, std)
	if stays {
		stay(s)
	}
	if code, done := daemonize(s, args, environ, std); done {
		return code
	}
	if len(s.Emperor.Sources) > 0 {
		code, err := runEmperor(cfg, args, environ, host, std)
		if err = cfg.Locate(err); err != nil {
			tellParent(code, "")
			return startFailed(std, s.Name, err)
		}
		return code
	}
	in := &instance{args: args, environ: environ, host: host, std: std, stays: stays, signals: handleSignals(hangups)}
	if s.Pyrun != "" {
		in.signals.forScript(std.In)
	}
	crash.Handle(in.crashed)
	code, err := in.run(cfg)
	var exit *hooks.ExitError
	if errors.As(err, &exit) {
		tellParent(exit.Code, exit.Error())
		return exit.Code
	}
	err = cfg.Locate(err)
	if code == exitError && s.FallbackConfig != "" {
		if err != nil {
			complain(std.Err, err)
		}
		fallBack(s, args, std)
	}
	if err != nil {
		why := err.Error()
		if in.current.Load() == nil || s.Daemonize == "" {
			why = "" // our standard error is still the one of who started us
		}
		tellParent(code, why)
		return startFailed(std, s.Name, err)
	}
	tellParent(code, "the application could not be served; the log says why")
	return code
}

// notifier tells the service manager, and the process in the foreground that daemonize2 left
// waiting.
type notifier struct {
	*sd.Notifier
	ready func() // for the first time
	once  sync.Once
}

// Ready implements supervisor.Notifier.
func (n *notifier) Ready(status string) error {
	n.once.Do(n.ready)
	tellParent(exitOK, "")
	return n.Notifier.Ready(status)
}

// processors are as many as the supervisor ever needs at once, and blocked its threads that wait in
// the kernel.
const processors, blocked = 2, 4

// run is the life of the instance. An error means that it never served.
func (in *instance) run(cfg *config.Config) (int, error) {
	runtime.GOMAXPROCS(processors)
	if note, hopeless := tasksNote(cfg.Settings); hopeless {
		return exitError, errors.New(note)
	} else if note != "" {
		fmt.Fprintln(in.std.Err, "*** WARNING: "+note+" ***")
	}
	sys.ReserveThreads(processors + blocked)
	if err := confine(); err != nil {
		return exitError, err
	}
	var err error
	if in.startDir, err = os.Getwd(); errors.Is(err, fs.ErrNotExist) {
		in.startDir, err = deletedDir, os.Chdir("/")
	}
	if err != nil {
		return exitError, fmt.Errorf("getcwd: %w", err)
	}
	if in.lib, err = libDir(); err != nil {
		return exitError, err
	}
	in.journal = sd.JournalStream(os.Getenv("JOURNAL_STREAM"), 2)
	if in.notify, err = sd.NewNotifier(sd.NotifySocket()); err != nil {
		return exitError, err
	}
	defer in.notify.Close()
	d, err := in.deploy(cfg, nil)
	if err != nil {
		return exitError, err
	}
	if err := in.writePidfiles(d, bound); err != nil {
		in.discard(d, nil)
		return exitError, err
	}
	watchdog, err := sd.WatchdogInterval(os.Getenv, os.Getpid())
	if err != nil {
		return exitError, err
	}
	in.entitle(d)
	conf := d.config
	conf.Log, conf.Notify, conf.Watchdog = in.event, &notifier{Notifier: in.notify,
		ready: func() { in.complain(in.writePidfiles(d, safe)) }}, watchdog
	conf.SlowImport, conf.Commands = slowImport(), in.tendCrons
	conf.Reconfigure, conf.Release = in.reconfigure, d.retire
	conf.Loaded = func() { crash.Go(func() { in.startAside(d) }) }
	if in.sup, err = supervisor.New(*conf); err != nil {
		return exitError, err
	}
	d.alarms.Start()
	defer in.serveControl().Close()
	if in.controls, err = in.startControls(d, nil); err != nil {
		in.controls.stop()
		return exitError, err
	}
	in.dismiss(d)
	crash.Go(func() { in.signals.serve(in.obey) })
	defer in.signals.stop()
	if !cfg.Settings.DaemonizeLate {
		tellParent(exitOK, "")
	}
	code := in.sup.Run(context.Background())
	in.finish()
	return code, nil
}

// deploy makes everything a configuration needs: sockets, identity, interpreter. old is what a
// reload takes the sockets over from.
func (in *instance) deploy(cfg *config.Config, old *deployment) (*deployment, error) {
	s := cfg.Settings
	d := &deployment{cfg: cfg}
	var err error
	if d.ident, err = in.identify(s); err != nil {
		return nil, err
	}
	if d.ident.Credential != nil {
		leaveTerminal()
	}
	if old == nil {
		if err := in.employ(cfg, d); err != nil {
			return nil, err
		}
	}
	if err := in.newAlarms(d); err != nil {
		return nil, err
	}
	if d.log, err = in.openLog(d, old != nil); err != nil {
		d.alarms.Stop()
		return nil, err
	}
	if old == nil {
		in.current.Store(d)
		in.banner(d)
	}
	for _, note := range d.ident.Notes {
		d.log.Print(note)
	}
	if s.Umask >= 0 {
		syscall.Umask(s.Umask)
	}
	if s.NoNewPrivs {
		if err := giveNothingMore(); err != nil {
			return nil, err
		}
	} else if old != nil && old.cfg.Settings.NoNewPrivs {
		d.log.Print("no-new-privs holds until the next start: there is no way back")
	}
	d.hooks = in.newHooks(d)
	if err := d.runHooks(option.PhaseASAP); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return in.prepare(d, old) },
		func() error { return in.chdir(d, old) },
		func() error { return in.settle(d) },
		func() error { return in.spoolers(d) },
		func() error { return in.listen(d, old) },
		func() error { return in.buildConfig(d) },
		func() error { return in.connect(d) },
	} {
		if err := step(); err != nil {
			in.discard(d, old)
			return nil, err
		}
	}
	d.describe()
	return d, nil
}

// prepare does what comes before the sockets, in the folder of the start: hooks make the folders
// that sockets are bound in.
func (in *instance) prepare(d, old *deployment) error {
	if old == nil {
		if err := prepare(d.cfg.Settings, d.log.Print); err != nil {
			return err
		}
	}
	return d.runHooks(option.PhasePreJail, option.PhaseInJail, option.PhaseAsRoot, option.PhaseAsUser)
}

// chdir finds the application's folder: from here on relative paths, those of unix sockets too,
// start there. The start goes there, as uWSGI does, and that is where this process stays, whatever
// a reload brings: other things run in it meanwhile.
func (in *instance) chdir(d, old *deployment) error {
	if d.dir = in.base(); d.dir != in.startDir {
		d.log.Warn("the folder that this instance was started in is gone: relative names are looked for in /")
	}
	if chdir := d.cfg.Settings.Chdir; chdir != "" {
		d.dir = option.PathIn(d.dir, chdir)
		d.log.Print("chdir() to " + chdir)
	}
	err := error(nil)
	switch at, werr := os.Getwd(); {
	case werr == nil && at == d.dir: // nobody has to enter where he is
	case old == nil:
		err = os.Chdir(d.dir)
	default:
		err = enterable(d.dir)
	}
	if err != nil {
		err = fmt.Errorf("chdir() to %s: %w", d.dir, err.(*os.PathError).Err)
		var b *access.Blocked
		if errors.As(access.Check(d.dir, access.Enter, nil), &b) {
			err = fmt.Errorf("%w: %v (%s)", err, b, b.Hint())
		}
		return option.Wrong("chdir", d.cfg.Settings.Chdir, err)
	}
	d.hooks.Dir = in.reach(d.dir)
	return nil
}

// enterable returns an error unless dir is a folder that this process may enter.
func enterable(dir string) error {
	st, err := os.Stat(dir)
	if err == nil && !st.IsDir() {
		err = &os.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err == nil {
		if aerr := unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS); aerr != nil {
			err = &os.PathError{Op: "chdir", Path: dir, Err: aerr}
		}
	}
	return err
}

// listen makes the sockets, or takes over those of the deployment in force.
func (in *instance) listen(d, old *deployment) (err error) {
	if d.cfg.Settings.Pyrun != "" {
		d.sockets = &listen.Set{}
		return nil
	}
	if old != nil {
		d.sockets, err = listen.Reopen(old.sockets, d.cfg.Settings, d.dir, in.rights.binder(), d.log.Print)
		return err
	}
	inherited, err := sd.Activation()
	if err != nil {
		return err
	}
	d.sockets, err = listen.Open(d.cfg.Settings, d.dir, inherited, in.rights.binder(), d.log.Print)
	if errors.Is(err, listen.ErrNoSocket) && len(d.cfg.Settings.Apps) == 0 {
		return fmt.Errorf("%w\nno application is named either: write --module mysite.wsgi, or "+
			"module = mysite.wsgi below [uwsgi] in a file; `uwsgi init` writes one for the project in a folder", err)
	}
	return err
}

// deletedDir stands for a folder that was deleted before this program started in it: no name leads
// there.
const deletedDir = "/proc/self/none"

// base is where relative names of a configuration begin: the folder of the start, or the root where
// that was deleted, before or after.
func (in *instance) base() string {
	if in.startDir == "" { // the emperor's, which stays where it is
		return ""
	}
	if _, err := os.Stat(in.startDir); errors.Is(err, fs.ErrNotExist) {
		return "/"
	}
	return in.startDir
}

// reach is a folder for commands to run in: "" for the one that this process is in, and for one
// that it may not enter any more since it has given root up. What lies there is the keeper's to do.
func (in *instance) reach(dir string) string {
	if at, err := os.Getwd(); err == nil && at == dir || in.rights.as != "" && denied(enterable(dir)) {
		return ""
	}
	return dir
}

// identify finds who the application runs as. That is decided once: who has given root up cannot
// become another user.
func (in *instance) identify(s *option.Settings) (*listen.Identity, error) {
	if in.rights.as == "" {
		return listen.Lookup(s.UID, s.GID, s.AddGIDs, s.NoInitgroups)
	}
	id := &listen.Identity{User: in.rights.as}
	if cred, err := listen.Resolve(s.UID, s.GID, s.AddGIDs, s.NoInitgroups); err != nil {
		return nil, err
	} else if cred == nil || !privilege.Same(cred) {
		id.Notes = append(id.Notes, fmt.Sprintf("uid, gid or add-gid has changed: this instance stays what it became "+
			"when it started (uid %d, gid %d), a restart applies the change",
			os.Geteuid(), os.Getegid()))
	}
	return id, nil
}

// discard lets go of a deployment that did not come to serve.
func (in *instance) discard(d, old *deployment) {
	switch {
	case old != nil && d.sockets != nil:
		d.sockets.Discard(old.sockets, old.log.Print)
		fallthrough
	case old != nil:
		d.retire()
	case d.sockets != nil:
		d.sockets.Vacuum(func(string) {})
		d.sockets.Close()
	}
}

// retire closes the log of a deployment whose workers are gone: nobody writes to it any more.
func (d *deployment) retire() {
	if d.config != nil && d.config.RequestLog != nil {
		d.config.RequestLog.Close()
	}
	d.alarms.Stop()
	d.log.Close()
}

// buildConfig finds the application's interpreter and makes what the supervisor runs with.
func (in *instance) buildConfig(d *deployment) error {
	s := d.cfg.Settings
	env := d.env(in)
	python, err := interpreter(s, in.base(), d.dir, env, d.ident.Credential, d.log.Print)
	if err != nil {
		return err
	}
	d.config = &supervisor.Config{
		Locate:   d.cfg.Locate,
		Settings: s, Python: python, PythonArgs: pythonArgs(s.Optimize, s.NoSite), LibDir: in.lib, Version: Version,
		Dir: d.dir, Env: env,
		StopWithin: stopWithin(s, os.Getpid(), terminal(in.std.In)),
		Credential: d.ident.Credential, WorkerStderr: d.log.WorkerStderr,
		Alarm: d.alarms.Raise, AlarmFile: d.alarms.File(),
		Hooks: func(ctx context.Context, phase string) error {
			err := d.hooks.Run(ctx, phase)
			if phase == option.PhasePreApp {
				d.config.Env = d.env(in) // the loader is started next
			}
			return err
		},
	}
	if d.config.RequestLog, d.config.RequestLogKind, err = d.log.RequestLog(); err != nil {
		return err
	}
	for _, sock := range d.sockets.Sockets {
		d.config.Listeners = append(d.config.Listeners, supervisor.Listener{
			Listener: wire.Listener{Name: sock.Name, Protocol: sock.Protocol, Option: sock.Option,
				Inherited: sock.Inherited, Backlog: d.sockets.Backlog},
			File:  sock.File,
			FD:    sock.FD(),
			Queue: sock.Queue,
		})
	}
	return nil
}

// env is the application's environment, with what hooks have put into it so far.
func (d *deployment) env(in *instance) []string {
	return append(d.hooks.Env(), "UWSGI_ORIGINAL_PROC_NAME="+in.args[0])
}

func pythonArgs(optimize int, noSite bool) []string {
	var args []string
	switch {
	case optimize >= 2:
		args = append(args, "-OO")
	case optimize == 1:
		args = append(args, "-O")
	}
	if noSite {
		args = append(args, "-S")
	}
	return args
}

// reconfigure reads the configuration again, for a reload: the files may have changed.
func (in *instance) reconfigure(context.Context) (*supervisor.Config, error) {
	host := in.host.In(in.startDir, in.reach(in.base()))
	host.ReadFile = func(path string) ([]byte, error) { return in.rights.read(option.PathIn(in.startDir, path)) }
	cfg, err := config.Load(in.args[1:], in.environ, host)
	if err != nil {
		return nil, err
	}
	if in.stays {
		stay(cfg.Settings)
	}
	old := in.current.Load()
	d, err := in.deploy(cfg, old)
	if err != nil {
		return nil, cfg.Locate(err)
	}
	d.alarms.Start()
	applied := false
	d.config.Applied = func() {
		applied = true
		in.current.Store(d)
		in.entitle(d)
		// closing the old ones may wait for a command that waits for the supervisor
		crash.Go(func() { in.changeControls(d) })
		d.sockets.Supersede(old.sockets, d.log.Print)
		old = nil // each would hold the one before it, back to the first
	}
	d.config.Release = func() {
		if applied {
			d.retire()
			return
		}
		in.discard(d, old)
	}
	return d.config, nil
}

// crashed is the end of the program by a panic of one of its goroutines.
func (in *instance) crashed(text string) {
	loader.KillAll()
	if in.current.Load() == nil {
		fmt.Fprintln(in.std.Err, text)
		return
	}
	in.event(slog.LevelError, "panic", "internal error: "+text, slog.Int(supervisor.KeyExit, crash.Status))
}

// entitle gives this process the title that the configuration asks for.
func (in *instance) entitle(d *deployment) {
	if title := masterTitle(d.cfg.Settings); title != "" {
		if err := in.title.set(title); err != nil {
			d.log.Warn(err.Error())
		}
	}
}

// event is the supervisor's log: that of the deployment in force.
func (in *instance) event(level slog.Level, event, text string, attrs ...slog.Attr) {
	if level >= slog.LevelInfo {
		in.log().Event(level, event, text, attrs...)
	}
}

// changeControls replaces the controls by those of d, unless another configuration has followed it
// meanwhile.
func (in *instance) changeControls(d *deployment) {
	in.controlsMu.Lock()
	defer in.controlsMu.Unlock()
	if in.over || in.current.Load() != d {
		return
	}
	var err error
	if in.controls, err = in.startControls(d, in.controls); err != nil {
		d.log.Error("after the reload: " + d.cfg.Locate(err).Error())
	}
	in.runAside(d)
}

// startAside starts what runs beside the application, once there is one: a start that fails leaves
// nothing behind and sends no mail.
func (in *instance) startAside(d *deployment) {
	in.controlsMu.Lock()
	defer in.controlsMu.Unlock()
	if !in.over && in.current.Load() == d {
		in.runAside(d)
	}
}

// finish puts away what the instance made.
func (in *instance) finish() {
	in.controlsMu.Lock()
	defer in.controlsMu.Unlock()
	in.over = true
	d := in.current.Load()
	in.controls.stop()
	in.stopAside()
	in.cluster.Leave()
	in.redis.Stop()
	in.vacuum(d)
	d.sockets.Close()
	in.rights.keeper.Close()
	d.alarms.Close()
	d.retire()
}
