package loader

import "uwsgi/internal/boot"

// What a loader is told at birth; see internal/boot.
type (
	Boot       = boot.Boot
	Listener   = boot.Listener
	RequestLog = boot.RequestLog
)
