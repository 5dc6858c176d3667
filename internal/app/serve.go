package app

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"uwsgi/internal/config"
	"uwsgi/internal/listen"
	"uwsgi/internal/loader"
	"uwsgi/internal/option"
	"uwsgi/internal/sd"
	"uwsgi/internal/supervisor"
)

// instance is one running server: what serve builds and a reload rebuilds.
type instance struct {
	args     []string // with the program's name
	environ  []string
	host     config.Host
	std      Streams
	startDir string
	lib      string
	log      *serverLog
	notify   *sd.Notifier
	sup      *supervisor.Supervisor

	current *deployment
}

// deployment is one configuration in force, with what it holds.
type deployment struct {
	cfg     *config.Config
	sockets *listen.Set
	ident   *listen.Identity
	dir     string // working directory of the application
	config  *supervisor.Config
}

func serve(cfg *config.Config, args, environ []string, host config.Host, std Streams) int {
	s := cfg.Settings
	if code, done := daemonize(s, args, environ, std); done {
		return code
	}
	in := &instance{args: args, environ: environ, host: host, std: std}
	code, err := in.run(cfg)
	if err != nil {
		tellParent(err)
		return complain(in.std.Err, err)
	}
	return code
}

// run is the life of the instance. An error means that it never served.
func (in *instance) run(cfg *config.Config) (int, error) {
	var err error
	if in.startDir, err = os.Getwd(); err != nil {
		return exitError, fmt.Errorf("getcwd: %w", err)
	}
	if in.lib, err = libDir(); err != nil {
		return exitError, err
	}
	if in.log, err = newServerLog(cfg.Settings, in.std); err != nil {
		return exitError, err
	}
	defer in.log.close()
	if in.notify, err = sd.NewNotifier(sd.NotifySocket()); err != nil {
		return exitError, err
	}
	defer in.notify.Close()
	in.banner(cfg)
	if in.current, err = in.deploy(cfg, nil); err != nil {
		return exitError, err
	}
	files, err := in.writePidfiles(cfg.Settings)
	if err != nil {
		return exitError, err
	}
	watchdog, err := sd.WatchdogInterval(os.Getenv, os.Getpid())
	if err != nil {
		return exitError, err
	}
	conf := in.current.config
	conf.Log, conf.Notify, conf.Watchdog = in.log.event, in.notify, watchdog
	conf.Reconfigure = in.reconfigure
	if in.sup, err = supervisor.New(*conf); err != nil {
		return exitError, err
	}
	stop := in.handleSignals()
	defer stop()
	tellParent(nil)
	code := in.sup.Run(context.Background())
	in.finish(cfg, files)
	return code, nil
}

// deploy makes everything a configuration needs: sockets, identity, interpreter. old is what a reload takes the sockets over from.
func (in *instance) deploy(cfg *config.Config, old *deployment) (*deployment, error) {
	s := cfg.Settings
	d := &deployment{cfg: cfg}
	var err error
	if err = os.Chdir(in.startDir); err != nil {
		return nil, fmt.Errorf("chdir() to %s: %w", in.startDir, err)
	}
	if d.ident, err = listen.Lookup(s.UID, s.GID, s.AddGIDs, s.NoInitgroups); err != nil {
		return nil, err
	}
	for _, note := range d.ident.Notes {
		in.log.say(note)
	}
	if s.Umask >= 0 {
		syscall.Umask(s.Umask)
	}
	if old == nil {
		inherited, err := sd.Activation()
		if err != nil {
			return nil, err
		}
		d.sockets, err = listen.Open(s, inherited, in.log.say)
		if err != nil {
			return nil, err
		}
	} else if d.sockets, err = listen.Reopen(old.sockets, s, in.log.say); err != nil {
		return nil, err
	}
	if err := in.place(d); err != nil {
		if old == nil {
			d.sockets.Vacuum(func(string) {})
			d.sockets.Close()
		} else {
			d.sockets.Discard(old.sockets, in.log.say)
		}
		return nil, err
	}
	return d, nil
}

// place goes to the application's folder and finds its interpreter.
func (in *instance) place(d *deployment) error {
	s := d.cfg.Settings
	d.dir = in.startDir
	if s.Chdir != "" {
		d.dir = absolute(in.startDir, s.Chdir)
		in.log.say("chdir() to " + s.Chdir)
	}
	if err := os.Chdir(d.dir); err != nil {
		return fmt.Errorf("chdir() to %s: %w", d.dir, err.(*os.PathError).Err)
	}
	env := environment(in.environ, s.Env)
	env = append(env, "UWSGI_ORIGINAL_PROC_NAME="+in.args[0])
	python, err := interpreter(s, d.dir, variable(env, "PATH"), d.ident.Credential, in.log.say)
	if err != nil {
		return err
	}
	d.config = &supervisor.Config{
		Settings: s, Python: python, PythonArgs: pythonArgs(s.Optimize, s.NoSite), LibDir: in.lib, Version: Version, Dir: d.dir, Env: env,
		Credential: d.ident.Credential, WorkerStderr: in.log.workerStderr,
	}
	d.config.RequestLog, d.config.RequestLogKind = in.log.requestLog()
	for _, sock := range d.sockets.Sockets {
		d.config.Listeners = append(d.config.Listeners, supervisor.Listener{
			Listener: loader.Listener{Name: sock.Name, Protocol: sock.Protocol, Option: sock.Option},
			File:     sock.File,
		})
	}
	return nil
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
	if err := os.Chdir(in.startDir); err != nil {
		return nil, err
	}
	cfg, err := config.Load(in.args[1:], in.environ, in.host)
	if err != nil {
		os.Chdir(in.current.dir)
		return nil, err
	}
	old := in.current
	d, err := in.deploy(cfg, old)
	if err != nil {
		os.Chdir(old.dir)
		return nil, err
	}
	applied := false
	d.config.Applied = func() {
		applied = true
		in.current = d
		d.sockets.Supersede(old.sockets, in.log.say)
	}
	d.config.Release = func() {
		if !applied {
			d.sockets.Discard(old.sockets, in.log.say)
			os.Chdir(old.dir)
		}
	}
	return d.config, nil
}

func (in *instance) banner(cfg *config.Config) {
	in.log.say(fmt.Sprintf("*** Starting uWSGI %s (64bit) on [%s] ***", Version, time.Now().Format("Mon Jan _2 15:04:05 2006")))
	for _, line := range cfg.StartReport() {
		in.log.say(line)
	}
	if cfg.ShowConfig {
		cfg.WriteShowConfig(in.std.Err)
	}
	in.log.say("current working directory: " + in.startDir)
	if cfg.Settings.UID == "" && os.Geteuid() == 0 {
		in.log.say("*** WARNING: you are running uWSGI as root !!! (use the --uid flag) ***")
	}
}

// pidfile is a file that this instance wrote.
type pidfile struct{ label, path string }

func (in *instance) writePidfiles(s *option.Settings) ([]pidfile, error) {
	var out []pidfile
	for _, p := range []pidfile{{"pidfile", s.Pidfile}, {"pidfile2", s.Pidfile2}, {"safe pidfile", s.SafePidfile}, {"safe pidfile2", s.SafePidfile2}} {
		if p.path == "" {
			continue
		}
		in.log.say("writing pidfile to " + p.path)
		p.path = absolute(in.startDir, p.path)
		if err := os.WriteFile(p.path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
			return nil, fmt.Errorf("write %s: %w", p.label, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// finish removes what vacuum is to remove.
func (in *instance) finish(cfg *config.Config, files []pidfile) {
	os.Chdir(in.startDir)
	if cfg.Settings.Vacuum {
		for _, f := range files {
			if os.Remove(f.path) == nil {
				in.log.say(fmt.Sprintf("VACUUM: %s removed.", f.label))
			}
		}
		in.current.sockets.Vacuum(in.log.say)
	}
	in.current.sockets.Close()
}
