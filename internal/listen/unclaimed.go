package listen

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// unclaimed deals with inherited sockets that no address matched: where nothing at all is
// configured each is served, else it is an error. At a reload they are served on: systemd holds
// them until the next restart, so that nobody would answer there.
func (o *opener) unclaimed(set *Set, nothingConfigured bool) error {
	var errs []error
	for _, h := range o.pool {
		if h.claimed || h.old != nil && !h.old.Inherited {
			continue
		}
		if !nothingConfigured && h.old != nil && h.old.key != keyStdin {
			k := *h.old
			o.log(fmt.Sprintf("*** WARNING: %s is not in the configuration any more, and systemd holds it: it is "+
				"served until the next restart ***", k.Name))
			o.announce("socket "+strconv.Itoa(len(set.Sockets)), &k, h)
			set.Sockets = append(set.Sockets, &k)
			continue
		}
		if !nothingConfigured && h.old == nil {
			errs = append(errs, &Error{Address: h.local.String(),
				Err: fmt.Errorf("systemd passed socket %s (%s), and no socket option asks for it",
					h.local, nameOr(h.fdname, "no FileDescriptorName=")),
				Hint: "write socket = " + h.local.String() + ", or remove it from the socket unit"})
			continue
		}
		k := &Socket{File: h.file, Name: h.local.String(), Protocol: o.defaultProtocol(), Inherited: true,
			network: h.local.network,
			key:     "inherited:" + h.local.String(), fdname: h.fdname}
		switch {
		case h.old != nil:
			k.Protocol, k.Name, k.key = h.old.Protocol, h.old.Name, h.old.key
		case slices.Contains(option.Protocols, h.fdname):
			k.Protocol = h.fdname
		}
		_ = unix.SetNonblock(h.fd, true)
		o.announce("socket "+strconv.Itoa(len(set.Sockets)), k, h)
		set.Sockets = append(set.Sockets, k)
	}
	return errors.Join(errs...)
}

// keyStdin marks the socket that came as descriptor 0.
const keyStdin = "stdin"

// adoptStdin serves descriptor fd when it is a listening socket, as inetd passes one.
func (o *opener) adoptStdin(set *Set, fd int) {
	l, err := inspect(fd)
	if err != nil {
		return
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return
	}
	k := &Socket{File: newFile(dup, l.String()), Name: l.String(), Protocol: o.defaultProtocol(), Inherited: true,
		network: l.network, key: keyStdin, fdname: keyStdin}
	o.announce("socket "+strconv.Itoa(len(set.Sockets)), k, &held{})
	set.Sockets = append(set.Sockets, k)
}
