package listen

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// Open makes or inherits every socket of s; relative paths start at dir, "" = the working
// directory. keeper, nil = none, binds what this process may not. log gets one line a socket, in
// uWSGI's words. On error nothing of its own stays open or on disk; what was inherited stays the
// caller's.
func Open(s *option.Settings, dir string, inherited []sd.Inherited, keeper Keeper, log func(string)) (*Set, error) {
	pool := make([]*held, 0, len(inherited))
	var errs []error
	for _, in := range inherited {
		fd := int(in.File.Fd())
		l, err := inspect(fd)
		if err != nil {
			errs = append(errs, fmt.Errorf("systemd passed %s: %w", nameOr(in.Name, "an unnamed descriptor"), err))
			continue
		}
		pool = append(pool, &held{file: in.File, fd: fd, fdname: in.Name, local: l})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(pool) > 0 {
		log("- SystemD socket activation detected -")
	}
	return open(s, dir, pool, 0, keeper, log)
}

// Reopen makes the sockets of a new configuration while the old ones serve: an address that both
// have keeps its descriptor, what is new is bound. The old set is not changed. After a reload that
// succeeded call Supersede, after one that failed Discard.
func Reopen(old *Set, s *option.Settings, dir string, keeper Keeper, log func(string)) (*Set, error) {
	var pool []*held
	for _, k := range old.all() {
		l, err := inspect(k.FD())
		if err != nil {
			return nil, err
		}
		if !k.Inherited && k.Path != "" && !k.onDisk() {
			log("unix socket " + k.Name + " is gone or was replaced: it is bound again")
			continue
		}
		if k.Path != "" {
			l.path = k.Path // it may have been bound by another name of the same folder
		}
		pool = append(pool, &held{file: k.File, fd: k.FD(), fdname: k.fdname, local: l, old: k})
	}
	return open(s, dir, pool, -1, keeper, log)
}

// Supersede closes what only the old set has: the new configuration serves now. A unix path that
// nobody serves any more is removed.
func (s *Set) Supersede(old *Set, log func(string)) { s.drop(old, log) }

// Discard closes what only s has: its configuration never served, and old goes on.
func (s *Set) Discard(old *Set, log func(string)) { old.drop(s, log) }

// drop closes the sockets of other that s does not hold.
func (s *Set) drop(other *Set, log func(string)) {
	mine := map[*os.File]bool{}
	paths := map[string]bool{}
	for _, k := range s.all() {
		mine[k.File] = true
		paths[k.Path] = true
	}
	for _, k := range other.all() {
		if mine[k.File] {
			continue
		}
		log(fmt.Sprintf("uwsgi socket %s is closed (fd %d): it is not in the configuration", k.Name, k.FD()))
		if k.Path != "" && !paths[k.Path] && k.onDisk() {
			_ = k.remove(s.keeper)
		}
		k.File.Close()
	}
}

func nameOr(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

// opener is one run of Open or Reopen.
type opener struct {
	set  *option.Settings
	dir  string // where relative paths start
	pool []*held
	log  func(string)
	bind *binder
	made []*Socket // to undo

	byDefault bool // the configuration names no address, and defaultAddress is served
}

// open does the work; stdin is the descriptor that may be a listening socket (fd 0), -1 = do not
// look.
func open(s *option.Settings, dir string, pool []*held, stdin int, keeper Keeper, log func(string)) (*Set, error) {
	b, err := newBinder(s, keeper, log)
	if err != nil {
		return nil, err
	}
	o := &opener{set: s, dir: dir, pool: pool, log: log, bind: b}
	set, err := o.run(stdin)
	if err != nil {
		for _, k := range o.made {
			if k.Path != "" && k.onDisk() {
				_ = k.remove(keeper)
			}
			k.File.Close()
		}
		return nil, err
	}
	return set, nil
}

func (o *opener) run(stdin int) (*Set, error) {
	if o.lacksAddress(stdin) {
		o.takeDefault(stdin)
	}
	wants, err := o.wants()
	if err != nil {
		return nil, err
	}
	match(wants, o.pool)
	set := &Set{Backlog: o.bind.backlog, keeper: o.bind.keeper}
	byIndex := map[int]*Socket{}
	for _, w := range wants {
		k, err := o.have(w)
		if err != nil {
			return nil, err
		}
		byIndex[w.index] = k
		if o.set.Sockets[w.index].Shared {
			o.announce("shared socket "+strconv.Itoa(len(set.shared)), k, w.from)
			k.Shared = true
			set.shared = append(set.shared, k)
		}
	}
	if err := o.serve(set, byIndex); err != nil {
		return nil, err
	}
	if err := o.unclaimed(set, len(wants) == 0); err != nil {
		return nil, err
	}
	if stdin >= 0 && len(o.pool) == 0 && !o.set.SkipZero {
		o.adoptStdin(set, stdin)
	}
	if len(set.Sockets) == 0 && !o.set.NoServer && !besideAlone(o.set) {
		return nil, ErrNoSocket
	}
	for _, k := range set.Sockets {
		k.backlog = set.Backlog
	}
	return set, nil
}

// wants parses the configuration; an address that is written twice is taken once.
func (o *opener) wants() ([]*want, error) {
	var out []*want
	var errs []error
	seen := map[string]string{}
	h := thisHost(o.dir)
	for i, c := range o.set.Sockets {
		a, err := h.parse(c.Address, o.set.AbstractSocket)
		if err != nil {
			errs = append(errs, &Error{Address: c.Address, Option: c.Option, Origin: c.Origin, Err: err})
			continue
		}
		if a.kind == kindShared {
			continue
		}
		if key := a.key(); a.kind != kindTCP || a.port != 0 {
			if first, again := seen[key]; again {
				o.log(fmt.Sprintf("%s = %s is the same address as %s before it: it is served once", c.Option,
					c.Address, first))
				continue
			}
			seen[key] = c.Option + " = " + c.Address
		}
		out = append(out, &want{index: i, addr: a, opt: c.Option, proto: o.protocol(c)})
	}
	return out, errors.Join(errs...)
}

func (o *opener) protocol(c option.Socket) string {
	if c.Protocol != "" {
		return c.Protocol
	}
	return o.defaultProtocol()
}

func (o *opener) defaultProtocol() string { return nameOr(o.set.Protocol, "uwsgi") }

// have gives the socket of one want: the held one, or a new one.
func (o *opener) have(w *want) (*Socket, error) {
	c := o.set.Sockets[w.index]
	if h := w.from; h != nil {
		k := &Socket{File: h.file, Name: w.addr.name, Option: w.opt, Inherited: true, key: w.addr.key(),
			network: h.local.network,
			fdname:  h.fdname, exact: h.local.serves(w.addr), origin: c.Origin}
		autoPort := w.addr.kind == kindTCP && w.addr.port == 0
		if !h.local.is(w.addr) && !autoPort {
			k.Name = h.local.String()
		}
		if h.local.network != "UNIX" {
			// Of a socket unit's options the only one that is set here: its DeferAcceptSec= would
			// have systemd warn of the unix sockets beside it.
			_ = unix.SetsockoptInt(h.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferFor(o.set))
		}
		if h.old == nil {
			_ = unix.SetNonblock(h.fd, true)
			return k, nil
		}
		k.Inherited, k.Path, k.Dev, k.Inode = h.old.Inherited, h.old.Path, h.old.Dev, h.old.Inode
		if autoPort || k.Inherited {
			k.Name = h.old.Name
		}
		k.byDefault = h.old.byDefault && o.byDefault
		if k.Path != "" && !k.Inherited {
			if err := o.bind.permitAgain(k); err != nil {
				return nil, o.bind.explain(w.addr, c, err)
			}
		}
		return k, nil
	}
	if w.addr.kind == kindFD {
		l, err := inspect(w.addr.num)
		if err != nil {
			return nil, &Error{Address: c.Address, Option: c.Option, Origin: c.Origin, Err: err}
		}
		unix.CloseOnExec(w.addr.num)
		return &Socket{File: newFile(w.addr.num, l.String()), Name: l.String(), Option: w.opt, Inherited: true,
			key:     w.addr.key(),
			network: l.network, origin: c.Origin}, nil
	}
	k, err := o.bind.bind(w.addr, c)
	if err != nil {
		return nil, o.moved(err)
	}
	k.byDefault = o.byDefault
	o.made = append(o.made, k)
	return k, nil
}

// moved adds what to do where a reload cannot bind a new address and systemd holds the old ones.
func (o *opener) moved(err error) error {
	var e *Error
	for _, h := range o.pool {
		if !h.claimed && h.old != nil && h.old.Inherited && errors.As(err, &e) {
			e.Hint = "systemd holds " + h.local.String() +
				" of before; a restart has it open the new address, and no connection is lost"
		}
	}
	return err
}

// serve fills set.Sockets in the order of the configuration, =N references included.
func (o *opener) serve(set *Set, byIndex map[int]*Socket) error {
	froms := map[*os.File]*held{}
	for _, h := range o.pool {
		froms[h.file] = h
	}
	serving := map[*os.File]bool{}
	for i, c := range o.set.Sockets {
		k := byIndex[i]
		if c.Shared {
			continue
		}
		if k == nil {
			a, err := thisHost(o.dir).parse(c.Address, o.set.AbstractSocket)
			if err != nil || a.kind != kindShared {
				continue // the second mention of an address
			}
			if a.num >= len(set.shared) {
				return &Error{Address: c.Address, Option: c.Option, Origin: c.Origin,
					Err:  fmt.Errorf("there is no shared-socket number %d", a.num),
					Hint: "they are numbered from 0 in the order they are written"}
			}
			copied := *set.shared[a.num]
			k = &copied
			k.Option = c.Option
		}
		if serving[k.File] {
			continue
		}
		serving[k.File] = true
		k.Protocol = o.protocol(c)
		o.announce("socket "+strconv.Itoa(len(set.Sockets)), k, froms[k.File])
		set.Sockets = append(set.Sockets, k)
	}
	return nil
}
