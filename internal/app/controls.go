package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"uwsgi/internal/control"
	"uwsgi/internal/crash"
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
	"uwsgi/internal/touch"
)

// controls is how people and programs reach the instance while one configuration is in force: its
// FIFO, touch files and stats. A reload keeps a FIFO and stats that stay where they are: what is
// being written or asked there meanwhile is not lost.
type controls struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	fifo   *control.FIFO
	touch  *touch.Watcher
	stats  []*stats.Server
	print  func(string)
}

// startControls starts those of d, in the place of those before, nil = none. An error is of those
// that are missing in what it gives.
func (in *instance) startControls(d *deployment, before *controls) (*controls, error) {
	s := d.cfg.Settings
	ctx, cancel := context.WithCancel(context.Background())
	c := &controls{cancel: cancel, print: d.log.Print}
	var seen *touch.Watcher
	opts := stats.Options{HTTP: s.StatsHTTP, Minified: s.StatsMinified, NoCores: s.StatsNoCores,
		NoMetrics: s.StatsNoMetrics, Prometheus: s.StatsPrometheusPath,
		Mode: s.ChmodSocket}
	if s.Vacuum {
		opts.Remove = in.rights.remove
	}
	if before != nil {
		c.keep(before, d, opts)
		before.stop()
		seen = before.touch
	}
	var errs []error
	if len(s.MasterFIFO) > 0 && c.fifo == nil {
		var err error
		files := control.FIFOFiles{Make: in.rights.fifo, Remove: in.rights.remove}
		timed := func(text string) { in.log().Timed(text) }
		if c.fifo, err = control.OpenFIFO(d.fifos(), files, in.commands(), timed); err != nil {
			errs = append(errs, err)
		}
	}
	for _, address := range s.Stats {
		if slices.ContainsFunc(c.stats, func(s *stats.Server) bool { return s.At(address, d.dir) }) {
			continue
		}
		l, path, err := in.listenStats(address, d)
		if err != nil {
			errs = append(errs, option.Wrong("stats", address, err))
			continue
		}
		c.stats = append(c.stats, stats.Serve(l, address, path, opts, in.snapshot, d.log.Print))
	}
	c.touch = touch.Watch(s, d.dir, seen, in.touchActions(d), d.log.Print, d.log.Timed)
	if !c.touch.Empty() {
		c.wg.Go(crash.Guarded(func() { c.touch.Run(ctx, time.Second) }))
	}
	return c, errors.Join(errs...)
}

// listenStats binds the address of a stats server; path is that of a unix socket.
func (in *instance) listenStats(address string, d *deployment) (l net.Listener, path string, err error) {
	sock, err := listen.Stats(address, d.dir, d.cfg.Settings, in.rights.binder())
	var e *listen.Error
	if errors.As(err, &e) && e.Text == "" && e.Op == "" {
		err = e.Err // the caller names option and address
	}
	if err != nil {
		return nil, "", err
	}
	defer sock.File.Close()
	l, err = net.FileListener(sock.File)
	return l, sock.Path, err
}

// fifos are the paths of master-fifo, absolute.
func (d *deployment) fifos() []string {
	var out []string
	for _, path := range d.cfg.Settings.MasterFIFO {
		out = append(out, option.PathIn(d.dir, path))
	}
	return out
}

// keep takes from those before what serves d as it is.
func (c *controls) keep(before *controls, d *deployment, opts stats.Options) {
	if len(d.cfg.Settings.MasterFIFO) > 0 && before.fifo != nil && before.fifo.Is(d.fifos()) {
		c.fifo, before.fifo = before.fifo, nil
	}
	for i, stats := range before.stats {
		at := func(address string) bool { return stats.At(address, d.dir) }
		if slices.ContainsFunc(d.cfg.Settings.Stats, at) && stats.Is(opts) {
			c.stats = append(c.stats, stats)
			before.stats[i] = nil
		}
	}
	before.stats = slices.DeleteFunc(before.stats, func(s *stats.Server) bool { return s == nil })
}

// stop ends all of them and waits.
func (c *controls) stop() {
	if c == nil {
		return
	}
	c.cancel()
	c.wg.Wait()
	if c.fifo != nil {
		c.fifo.Close()
	}
	for _, s := range c.stats {
		s.Close(c.print)
	}
}

func (in *instance) commands() *control.Commands {
	return &control.Commands{
		Reload:        in.reload("master FIFO"),
		BrutalReload:  func() { crash.Go(func() { in.sup.BrutalReload(context.Background(), "master FIFO") }) },
		ChainReload:   func() { in.sup.ChainReload("master FIFO") },
		ReloadWorkers: func() { in.sup.ReloadWorkers("master FIFO", true) },
		KillWorkers:   func() { in.sup.ReloadWorkers("master FIFO", false) },
		Stop:          func() { in.sup.Shutdown("master FIFO") },
		BrutalStop:    func() { in.sup.Stop("master FIFO", false) },
		TogglePause:   in.sup.TogglePause,
		MoreWorkers:   func() { in.sup.Cheaper(1) },
		FewerWorkers:  func() { in.sup.Cheaper(-1) },
		Cheap:         func() { in.sup.Sleep("master FIFO") },
		Report:        in.reportStatus,
		ReopenLog:     in.reopenLog,
		RotateLog:     func() { in.complainAbout("rotate the log", in.log().Rotate()) },
		WritePidfiles: func() { in.complain(in.writePidfiles(in.current.Load(), bound|safe)) },
	}
}

// reload asks for a reload and does not wait: its outcome is in the log.
func (in *instance) reload(why string) func() {
	return func() { crash.Go(func() { in.sup.Reload(context.Background(), why) }) }
}

func (in *instance) complain(err error) {
	if err != nil {
		in.log().Error(err.Error())
	}
}

func (in *instance) complainAbout(what string, err error) {
	if err != nil {
		in.complain(fmt.Errorf("%s: %w", what, err))
	}
}

func (in *instance) reopenLog() {
	in.complainAbout("reopen the log", in.log().Reopen())
	f, _, err := in.log().RequestLog()
	if err != nil {
		in.complainAbout("reopen the request log", err)
		return
	}
	in.sup.ReopenRequestLog(f)
	if f != nil {
		f.Close()
	}
}

func (in *instance) touchActions(d *deployment) touch.Actions {
	return touch.Actions{
		Reload:         in.reload("touch-reload"),
		ReloadWorkers:  func() { in.sup.ReloadWorkers("touch-workers-reload", true) },
		ReloadSpoolers: func() { in.sup.ReloadSpoolers("touch-spoolers-reload") },
		ChainReload:    func() { in.sup.ChainReload("touch-chain-reload") },
		ReopenLog:      in.reopenLog,
		RotateLog:      func() { in.complainAbout("rotate the log", d.log.Rotate()) },
		ReloadMules:    func() { in.sup.ReloadMules("touch-mules-reload") },
		Exec: func(command string) {
			in.complainAbout("touch-exec: "+command, d.hooks.Exec(context.Background(), command))
		},
		Hook: func(h option.Hook) { in.touchHook(d, h) },
	}
}

// reportStatus is what SIGUSR1 writes: the configuration and the counters.
func (in *instance) reportStatus() {
	log := in.log()
	var b strings.Builder
	in.current.Load().cfg.WriteShowConfig(&b)
	for line := range strings.Lines(b.String()) {
		log.Print(option.Public(strings.TrimSuffix(line, "\n")))
	}
	st := in.sup.Snapshot()
	log.Print(fmt.Sprintf("workers total requests: %d", st.Requests))
	for _, w := range st.Workers {
		for _, app := range w.Apps {
			log.Print(fmt.Sprintf("worker %d app %d [%s] requests: %d exceptions: %d", w.ID, app.ID, app.Mountpoint,
				app.Requests, app.Exceptions))
		}
	}
}

// snapshot is the instance as the stats server shows it.
func (in *instance) snapshot() stats.Snapshot {
	d := in.current.Load()
	out := in.sup.Snapshot().Snapshot
	out.Version, out.PID, out.UID, out.GID, out.CWD = Version, os.Getpid(), os.Getuid(), os.Getgid(), d.dir
	out.Locks = stats.Locks(in.sup.LockHolders(1 + d.cfg.Settings.Locks))
	out.Alarms = d.alarms.Stats()
	var sockets []stats.Socket
	for _, sock := range d.sockets.Sockets {
		waiting, limit, _ := sock.Queue()
		sockets = append(sockets, stats.Socket{
			Name: sock.Name, Proto: sock.Protocol, Queue: waiting, MaxQueue: limit, Shared: stats.Bit(sock.Shared),
		})
	}
	out.SetSockets(sockets)
	if running := in.daemons.Load(); running != nil {
		out.Daemons = running.Stats()
	}
	if running := in.crons.Load(); running != nil {
		out.Crons = running.Stats()
	}
	return out
}

// serveControl opens the socket on which `uwsgi reload` waits for the outcome. Signals do the same
// without one, and without the outcome.
func (in *instance) serveControl() *control.Socket {
	socket, err := control.Serve(map[string]control.Handler{
		"reload": func(ctx context.Context, _ string) (string, error) {
			if err := in.sup.Reload(ctx, "uwsgi reload"); err != nil {
				return "", err
			}
			return "reloaded", nil
		},
		"stats": func(context.Context, string) (string, error) {
			return string(in.snapshot().JSON(true, false)), nil
		},
	})
	if err != nil {
		in.log().Warn(err.Error() + ": uwsgi reload sends SIGHUP and does not wait, uwsgi list does not show us")
	}
	return socket
}
