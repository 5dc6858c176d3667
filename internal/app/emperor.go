package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"uwsgi/internal/config"
	"uwsgi/internal/crash"
	"uwsgi/internal/emperor"
	"uwsgi/internal/listen"
	"uwsgi/internal/pidfile"
	"uwsgi/internal/sd"
)

// runEmperor is serve for a configuration with `emperor`: it runs other instances and no
// application of its own.
func runEmperor(cfg *config.Config, args, environ []string, host config.Host, std Streams) (int, error) {
	s := cfg.Settings
	if err := confine(); err != nil {
		return exitError, err
	}
	if os.Geteuid() == 0 { // vassals are others
		leaveTerminal()
	}
	in := &instance{args: args, environ: environ, host: host, std: std,
		journal: sd.JournalStream(os.Getenv("JOURNAL_STREAM"), 2)}
	log, err := in.openLog(&deployment{cfg: cfg, ident: &listen.Identity{}}, false)
	if err != nil {
		return exitError, err
	}
	defer log.Close()
	if s.Emperor.Procname != "" {
		if err := in.title.set(s.Emperor.Procname); err != nil {
			log.Warn(err.Error())
		}
	}
	if len(s.Sockets) > 0 {
		log.Warn("socket = " + s.Sockets[0].Address +
			": the emperor serves nothing itself; put the application into a file of its own")
	}
	if in.notify, err = sd.NewNotifier(sd.NotifySocket()); err != nil {
		return exitError, err
	}
	defer in.notify.Close()
	watchdog, err := sd.WatchdogInterval(os.Getenv, os.Getpid())
	if err != nil {
		return exitError, err
	}
	binary := program()[0]
	for _, path := range []string{s.Pidfile, s.Emperor.Pidfile} {
		if path == "" {
			continue
		}
		if err := pidfile.Write(path, os.Getpid()); err != nil {
			return exitError, fmt.Errorf("write the pidfile: %w", err)
		}
		if s.Vacuum {
			defer pidfile.Remove(path, os.Getpid())
		}
	}
	unit := ""
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		unit = sd.Unit(string(b))
	}
	// A vassal is not the one that this process's manager waits for.
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
		environ = without(environ, name)
	}
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer end()
	rescan := make(chan struct{}, 1)
	crash.Handle(func(text string) {
		log.Event(slog.LevelError, "panic", "internal error: "+text, slog.Int("exit", crash.Status))
	})
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	crash.Go(func() {
		for {
			select {
			case <-hup:
				select {
				case rescan <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	})
	err = emperor.Run(ctx, emperor.Config{Settings: s, Binary: binary, Version: Version, Environ: environ, Unit: unit,
		Systemd: os.Geteuid() == 0 && sd.Booted(),
		Rescan:  rescan, Log: log.Event, Notify: &notifier{Notifier: in.notify, ready: func() {}}, Watchdog: watchdog})
	if err != nil {
		return exitError, err
	}
	return exitOK, nil
}

// without is an environment without one variable.
func without(environ []string, name string) []string {
	var out []string
	for _, kv := range environ {
		if len(kv) > len(name) && kv[:len(name)] == name && kv[len(name)] == '=' {
			continue
		}
		out = append(out, kv)
	}
	return out
}
