package app

import (
	"fmt"
	"os"
	"slices"
	"time"

	"uwsgi/internal/option"
)

// banner begins the log of an instance.
func (in *instance) banner(d *deployment) {
	cfg := d.cfg
	in.log().Print(fmt.Sprintf("*** Starting uWSGI %s (64bit) on [%s] ***", Version,
		time.Now().Format("Mon Jan _2 15:04:05 2006")))
	for _, line := range slices.Concat(cfg.StartReport(), writableConfig(cfg, in.startDir),
		hisConfig(cfg, in.startDir, d.ident)) {
		in.log().Print(line)
	}
	if cfg.ShowConfig {
		cfg.WriteShowConfig(in.std.Err)
	}
	if in.startDir != deletedDir {
		in.log().Print("current working directory: " + in.startDir)
	}
}

// describe writes what uWSGI tells of itself once its sockets are open.
func (d *deployment) describe() {
	s := d.cfg.Settings
	if s.LimitAS > 0 {
		d.log.Print("limiting address space of processes...")
	}
	if s.Pyrun != "" {
		d.log.Print("*** Operational MODE: command ***")
		return
	}
	d.log.Print(fmt.Sprintf("your server socket listen backlog is limited to %d connections", d.sockets.Backlog))
	d.log.Print(fmt.Sprintf("your mercy for graceful operations on workers is %d seconds", int(s.Mercy().Seconds())))
	mode := "single process"
	switch {
	case s.Gevent > 0 && s.Processes > 1:
		mode = "preforking+async"
	case s.Gevent > 0:
		mode = "async"
	case s.Processes > 1 && s.Threads > 1:
		mode = "preforking+threaded"
	case s.Processes > 1:
		mode = "preforking"
	case s.Threads > 1:
		mode = "threaded"
	}
	d.log.Print("*** Operational MODE: " + mode + " ***")
	for _, name := range s.MimeFiles {
		if _, err := os.Stat(option.PathIn(d.dir, name)); err != nil {
			d.log.Warn(s.Place("mimefile", name) + ": " + err.(*os.PathError).Err.Error())
		}
	}
	for _, m := range s.StaticMaps {
		if m.Kind == "check" {
			d.log.Print("[uwsgi-static] added check for " + m.Path)
		} else {
			d.log.Print("[uwsgi-static] added mapping for " + m.Prefix + " => " + m.Path)
		}
	}
}
