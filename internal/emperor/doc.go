// Package emperor runs one instance a configuration file: it watches the folders and patterns of
// `emperor=`, and starts, reloads and stops instances as files come, change and go.
//
// One goroutine, Run's, owns the list of vassals. It looks at the folders whenever inotify tells of
// a change, and every emperor-freq seconds for what inotify does not see (the target of a link, a
// folder that is made later). What follows from a look goes to a runner as one batch:
//
//	services   systemd runs each vassal as uwsgi@NAME.service, with drop-ins in /run/systemd/system that internal/units makes of its
//	           configuration. For root where systemd runs. Restarting, limits and the journal are systemd's.
//	processes  each vassal is a child: where there is no systemd (a container), or the emperor is not root. A child that fails is started again
//	           after emperor-throttle, doubled up to emperor-max-throttle.
//
// A runner reports back through a channel; nothing it does keeps Run from looking or from telling
// the watchdog.
package emperor
