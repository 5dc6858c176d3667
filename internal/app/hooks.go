package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/attached"
	"uwsgi/internal/hooks"
	"uwsgi/internal/keeper"
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
)

// newHooks makes the hooks of a deployment.
func (in *instance) newHooks(d *deployment) *hooks.Runner {
	h := &hooks.Runner{
		Settings: d.cfg.Settings, Credential: d.ident.Credential, Root: os.Getuid() == 0 || in.rights.as != "",
		Dir: in.reach(in.base()), Environ: environment(in.environ, d.cfg.Settings.Env), Print: d.log.Print,
		Signal: in.tieSignal, Alarm: d.alarms.Raise,
	}
	if in.rights.as != "" {
		h.AsRoot = func(k option.Hook) error {
			err := in.rights.keeper.Hook(k, os.Stderr)
			if errors.Is(err, keeper.ErrNotPlanned) {
				d.log.Warn(k.Option + " = " + k.Arg +
					" is left out: this instance gave root up when it had started, and a restart runs " +
					"what has been added since")
				return nil
			}
			return err
		}
	}
	return h
}

// runHooks runs the hooks of several phases in turn.
func (d *deployment) runHooks(phases ...string) error {
	for _, phase := range phases {
		if err := d.hooks.Run(context.Background(), phase); err != nil {
			return err
		}
	}
	return nil
}

// tieSignal is the unix_signal hook: from now on that signal does what uWSGI's function of that
// name does.
func (in *instance) tieSignal(number int, handler string) error {
	do := map[string]func(){
		"gracefully_kill_them_all": func() { in.sup.Shutdown("signal") },
		"kill_them_all":            func() { in.sup.Stop("signal", false) },
		"grace_them_all":           in.reload("signal"),
		"reap_them_all":            in.reload("signal"),
	}
	act, ok := do[handler]
	if !ok {
		return fmt.Errorf("unix_signal: unknown function %s (there are %s)", handler,
			strings.Join(slices.Sorted(maps.Keys(do)), ", "))
	}
	in.signals.tie(syscall.Signal(number), act)
	return nil
}

// asideEnv is the world of attached daemons and timed commands.
func (in *instance) asideEnv(d *deployment) attached.Env {
	s := d.cfg.Settings
	return attached.Env{
		Credential: d.ident.Credential, Environ: d.env(in), Dir: d.dir, Mercy: s.ReloadMercy,
		HonourStdin: s.DaemonsHonourStdin,
		Print:       func(text string) { in.log().Print(text) },
		Timed:       func(text string) { in.log().Timed(text) },
		Stop:        func(reason string) { in.sup.Stop(reason, true) },
		Look:        in.sup.Tick,
		Lookup:      func(uid, gid string) (*syscall.Credential, error) { return in.lookup(uid, gid) },
		StartAs:     in.startAs(),
		Lease:       d.lease(),
	}
}

// lookup finds the identity of a daemon. Who never was root has no choice.
func (in *instance) lookup(uid, gid string) (*syscall.Credential, error) {
	if in.rights.as != "" {
		return listen.Resolve(uid, gid, nil, false)
	}
	id, err := listen.Lookup(uid, gid, nil, false)
	if err != nil {
		return nil, err
	}
	return id.Credential, nil
}

// startAs starts daemons that have a user of their own, once this process is not root any more.
func (in *instance) startAs() func(attached.Command) (attached.Process, error) {
	if in.rights.as == "" {
		return nil
	}
	return func(c attached.Command) (attached.Process, error) {
		return in.rights.keeper.Daemon(keeper.Daemon{Command: c.Shell, Dir: c.Dir, UID: c.Credential.Uid,
			GID: c.Credential.Gid}, os.Stderr)
	}
}

// runAside starts what runs beside the application, or goes over to what a new configuration names.
func (in *instance) runAside(d *deployment) {
	s := d.cfg.Settings
	in.runCluster(d)
	if running := in.daemons.Load(); running != nil {
		running.Reload(s.Daemons, in.asideEnv(d))
	} else if len(s.Daemons) > 0 {
		in.daemons.Store(attached.StartDaemons(s.Daemons, in.asideEnv(d)))
	}
	if running := in.crons.Load(); running != nil {
		running.Reload(s.Crons, s.CronHarakiri, in.asideEnv(d))
	} else if len(s.Crons) > 0 {
		in.crons.Store(attached.NewCrons(s.Crons, s.CronHarakiri, in.asideEnv(d)))
	}
	in.sup.Tick()
}

// tendCrons is the clock of the timed commands.
func (in *instance) tendCrons(now time.Time) time.Duration {
	if c := in.crons.Load(); c != nil {
		return c.Tick(now)
	}
	return -1
}

// stopAside ends it.
func (in *instance) stopAside() {
	if d := in.daemons.Load(); d != nil {
		d.Stop()
	}
	if c := in.crons.Load(); c != nil {
		c.Stop()
	}
}

// touchHook runs a hook-touch.
func (in *instance) touchHook(d *deployment, h option.Hook) {
	in.complainAbout("hook-touch", d.hooks.Do(context.Background(), h, h.Phase))
}
