// Package listen makes the listening sockets of an instance, or takes those that systemd or the
// previous configuration holds already.
//
// A socket that this process makes passes through bind, owner and mode, listen in that order:
// nobody can connect before its permissions are what the configuration says. A socket that was
// inherited is never bound again, unlinked, chowned or chmodded. A unix path is only taken when it
// is a socket on which nobody listens.
//
// The descriptors are nonblocking (the workers share that flag) but not in this process's poller,
// which would wake it for each connection.
package listen

import (
	"errors"
	"os"
	"strconv"

	"uwsgi/internal/option"
)

// ErrNoSocket is what Open returns when the configuration has no address, nothing was inherited and
// nothing else is there to run; the text is uWSGI's.
var ErrNoSocket = errors.New("The -s/--socket option is missing and stdin is not a socket.")

// Socket is one listening socket.
type Socket struct {
	File      *os.File
	Name      string // as uWSGI prints it: as written, with the port or interface that was chosen
	Protocol  string // what is spoken on it, never ""
	Option    string // the option that asked for it; "" = nothing did, systemd passed it
	Shared    bool   // a shared-socket, served where an =N refers to it
	Inherited bool   // systemd made it; chmod, chown and vacuum leave it alone
	Path      string // absolute path of a unix socket, "" for others
	Dev       uint64 // of Path when this program bound it
	Inode     uint64

	backlog int    // Set.Backlog
	key     string // canonical address as configured
	network string // "TCP", "TCP6", "UNIX"
	fdname  string // FileDescriptorName= of an inherited one
	// the configuration did not ask for it: it is defaultAddress
	byDefault bool
	exact     bool // an inherited one is bound to the very address that the configuration names
	origin    option.Origin
}

// FD is the descriptor's number.
func (s *Socket) FD() int { return int(s.File.Fd()) }

// Set is all listening sockets of one configuration.
type Set struct {
	Sockets []*Socket // those that are served, in the order of the configuration
	Backlog int       // how many connections may wait in a socket; the kernel keeps more where `listen` is shorter than its own limit
	keeper  Keeper    // nil = none
	shared  []*Socket // shared-socket, by number; each is in Sockets too (with a protocol) where a =N refers to it
}

// all lists every socket once, served or not.
func (s *Set) all() []*Socket {
	seen := map[*os.File]bool{}
	var out []*Socket
	for _, list := range [][]*Socket{s.Sockets, s.shared} {
		for _, k := range list {
			if !seen[k.File] {
				seen[k.File] = true
				out = append(out, k)
			}
		}
	}
	return out
}

// Close closes every descriptor. Paths stay; see Vacuum.
func (s *Set) Close() error {
	var errs []error
	for _, k := range s.all() {
		errs = append(errs, k.File.Close())
	}
	return errors.Join(errs...)
}

// Error is a socket that cannot be had: which, what was tried, and what to do.
type Error struct {
	Address string
	Option  string
	Origin  option.Origin
	Text    string // uWSGI's words where it has some; "" = only Err
	Op      string // the call that failed: bind, chown …
	Err     error
	Hint    string
}

func (e *Error) Error() string {
	where := ""
	if e.Origin.File != "" {
		where = e.Origin.File + ":" + strconv.Itoa(e.Origin.Line) + ": "
	}
	if e.Option != "" {
		where += e.Option + " = " + e.Address + ": "
	}
	msg := e.Text
	if e.Err != nil {
		cause := sentence(e.Err)
		if e.Op != "" {
			cause = e.Op + "(): " + cause
		}
		if msg != "" {
			msg += "\n"
		}
		msg += cause
	}
	if e.Hint != "" {
		msg += "\n" + e.Hint
	}
	if e.Text != "" {
		return msg // uWSGI's line stays as people search for it
	}
	return where + msg
}

func (e *Error) Unwrap() error { return e.Err }

// sentence spells an errno as the C library does: with a capital.
func sentence(err error) string {
	t := err.Error()
	if t != "" && t[0] >= 'a' && t[0] <= 'z' {
		t = string(t[0]-'a'+'A') + t[1:]
	}
	return t
}
