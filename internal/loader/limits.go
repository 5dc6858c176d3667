package loader

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Limits are the resource limits of a loader and its workers; 0 = leave alone.
type Limits struct {
	AS    int64 // bytes of address space that the application may use: limit-as
	Nproc int   // limit-nproc
	Files int   // max-fd
	Nice  int   // prio
}

// apply sets the limits of a loader that has just been started and is our child, so that its
// process id is still its own; its workers inherit them.
func (l Limits) apply(pid int) error {
	if l.AS > 0 {
		// The hard limit stays: the loader undoes this one before a fork (uwsgi_limits.py), since
		// loading the data plane into a worker reserves address space that is not the
		// application's, and the worker puts it back with that much added.
		if err := setSoft(pid, unix.RLIMIT_AS, uint64(l.AS), "limit-as"); err != nil {
			return err
		}
	}
	if l.Nproc > 0 {
		if err := setBoth(pid, unix.RLIMIT_NPROC, uint64(l.Nproc), "limit-nproc"); err != nil {
			return err
		}
	}
	if l.Files > 0 {
		if err := setBoth(pid, unix.RLIMIT_NOFILE, uint64(l.Files), "max-fd"); err != nil {
			return err
		}
	}
	if l.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, pid, l.Nice); err != nil {
			return fmt.Errorf("prio=%d: setpriority of process %d: %w", l.Nice, pid, err)
		}
	}
	return nil
}

// Changing the limits of another user's process takes CAP_SYS_RESOURCE, which root in a container
// does not have. The process then does it itself (uwsgi_limits.py), as far as its hard limits go.

// setSoft sets the soft limit, at most to the hard one.
func setSoft(pid, what int, n uint64, option string) error {
	var old unix.Rlimit
	if err := unix.Prlimit(pid, what, nil, &old); err != nil {
		return limitError(pid, n, option, err)
	}
	if err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: min(n, old.Max), Max: old.Max}, nil); err != nil {
		return limitError(pid, n, option, err)
	}
	return nil
}

// setBoth sets the soft and the hard limit; where raising the hard one is not allowed, the soft one
// goes up to it.
func setBoth(pid, what int, n uint64, option string) error {
	err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: n, Max: n}, nil)
	if err == unix.EPERM {
		return setSoft(pid, what, n, option)
	}
	if err != nil {
		return limitError(pid, n, option, err)
	}
	return nil
}

func limitError(pid int, n uint64, option string, err error) error {
	if err == unix.EPERM {
		return nil
	}
	return fmt.Errorf("%s: prlimit of process %d to %d: %w", option, pid, n, err)
}
