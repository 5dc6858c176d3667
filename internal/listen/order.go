package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// Order is one socket of a configuration with everything that is needed to bind it: a keeper, which
// reads no configuration, is given these.
type Order struct {
	Address  string // as parse reads it; a unix path is absolute
	Abstract bool   // abstract-socket
	UID, GID int    // -1 = leave
	Mode     uint32 // of a unix socket
	ModeSet  bool
	Options  Options
}

// Keeper does, with root's rights, what is needed for the sockets that it was given Orders of.
// Package keeper has it.
type Keeper interface {
	// Bind binds and listens; key is Order.Key. dev and inode are of the path, if there is one.
	Bind(key string) (fd int, dev, inode uint64, err error)
	// Remove unlinks the path of a unix socket.
	Remove(path string) error
}

// Orders are the sockets of a configuration that are bound by address, those of stats servers too;
// relative paths start at dir. What cannot be understood is left out: Open reports it.
func Orders(s *option.Settings, dir string) ([]Order, error) {
	b, err := newBinder(s, nil, func(string) {})
	if err != nil {
		return nil, err
	}
	h := thisHost(dir)
	var out []Order
	for _, c := range s.Sockets {
		if a, err := h.parse(c.Address, s.AbstractSocket); err == nil &&
			(a.kind == kindTCP || a.kind == kindUnix || a.kind == kindAbstract) {
			out = append(out, b.order(a))
		}
	}
	for _, address := range s.Stats {
		if a, err := h.parse(address, false); err == nil {
			out = append(out, b.forStats(s).order(a))
		}
	}
	return out, nil
}

func (b *binder) order(a address) Order {
	o := Order{Address: a.name, UID: -1, GID: -1, Mode: uint32(b.mode), ModeSet: b.modeSet, Options: b.opts}
	switch a.kind {
	case kindUnix:
		o.Address = a.path
	case kindAbstract:
		o.Address, o.Abstract = a.path, true
	}
	if b.owner.set {
		o.UID, o.GID = b.owner.uid, b.owner.gid
	}
	return o
}

// parse is the address of an order.
func (o Order) parse() (address, error) {
	if o.Abstract {
		return abstractAddress("@"+o.Address, o.Address)
	}
	return thisHost("").parse(o.Address, false)
}

// Key names the address, whatever way it is written.
func (o Order) Key() string {
	a, err := o.parse()
	if err != nil {
		return ""
	}
	return a.key()
}

// Path is the path of a unix socket, "" for others.
func (o Order) Path() string {
	if a, err := o.parse(); err == nil && a.kind == kindUnix {
		return a.path
	}
	return ""
}

// Bind binds and listens with the rights of this process.
func Bind(o Order) (*Socket, error) {
	a, err := o.parse()
	if err != nil {
		return nil, err
	}
	b := &binder{opts: o.Options, owner: owner{uid: o.UID, gid: o.GID, set: o.UID >= 0 || o.GID >= 0},
		mode: os.FileMode(o.Mode), modeSet: o.ModeSet,
		log: func(string) {}}
	return b.bind(a, option.Socket{})
}

// describe fills in what a socket says of itself.
func (s *Socket) describe() {
	l, err := inspect(s.FD())
	if err != nil {
		return
	}
	s.network = l.network
	if l.network != "UNIX" {
		s.Name = l.String()
	}
}

// outdated warns of a socket that the keeper bound with another owner or mode than the
// configuration, which has changed since, asks for.
func (b *binder) outdated(a address, k *Socket) {
	if a.kind != kindUnix || !b.owner.set && !b.modeSet {
		return
	}
	var st unix.Stat_t
	if err := unix.Lstat(k.Path, &st); err != nil {
		return // a folder of root's, into which this user cannot look
	}
	if b.owner.set && (b.owner.uid >= 0 && uint32(b.owner.uid) != st.Uid || b.owner.gid >= 0 &&
		uint32(b.owner.gid) != st.Gid) ||
		b.modeSet && uint32(b.mode) != st.Mode&0o7777 {
		b.log(fmt.Sprintf("%s keeps the owner and mode of the first configuration: this instance gave root up when "+
			"it had started, and a restart applies new ones", k.Path))
	}
}

// forStats is how stats servers are bound: chmod-socket and the instance's user, but not
// chown-socket, as in uWSGI.
func (b *binder) forStats(s *option.Settings) *binder {
	stats := &binder{owner: owner{uid: -1, gid: -1}, log: b.log, keeper: b.keeper, opts: Options{}}
	if s.ChmodSocket != "" {
		stats.mode, stats.modeSet = b.mode, true
	}
	if id, err := Lookup(s.UID, s.GID, s.AddGIDs, s.NoInitgroups); err == nil && id.Credential != nil {
		stats.owner = owner{uid: int(id.Credential.Uid), gid: int(id.Credential.Gid), set: true}
	}
	return stats
}

// Stats binds the address of a stats server.
func Stats(address, dir string, s *option.Settings, keeper Keeper) (*Socket, error) {
	a, err := thisHost(dir).parse(address, false)
	if err != nil {
		return nil, err
	}
	if a.kind == kindFD || a.kind == kindShared {
		return nil, errors.New("a stats server listens on HOST:PORT, a path or @NAME")
	}
	b, err := newBinder(s, keeper, func(string) {})
	if err != nil {
		return nil, err
	}
	return b.forStats(s).bind(a, option.Socket{Address: address})
}

// Remove unlinks the path of a unix socket that is still this one's.
func (s *Socket) Remove() error {
	if s.Path == "" || !s.onDisk() {
		return nil
	}
	return s.remove(nil)
}

// remove unlinks the socket's path, with the keeper's rights where this process's do not suffice.
func (s *Socket) remove(keeper Keeper) error {
	d, err := privilege.OpenDir(s.Path)
	if err == nil {
		defer d.Close()
		err = d.Unlink()
	}
	if denied(err) && keeper != nil {
		return keeper.Remove(s.Path)
	}
	return err
}

// NeedsRoot reports whether this process could not bind the socket again: it has a port that is
// privileged, or an owner who is somebody else.
func (s *Socket) NeedsRoot() bool {
	if s.Inherited {
		return false
	}
	if s.network == "UNIX" {
		var st unix.Stat_t
		return s.Path != "" && (unix.Lstat(s.Path, &st) != nil || int(st.Uid) != os.Geteuid())
	}
	l, err := inspect(s.FD())
	return err != nil || int(l.addr.Port()) < unprivilegedPort()
}

// unprivilegedPort is the first port that everybody may bind: ip(7).
func unprivilegedPort() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return n
		}
	}
	return 1024
}

// An Address is where a socket of a configuration is bound: a path or, with a port, an address.
type Address struct {
	Option, Text string // as the configuration has them
	Origin       option.Origin
	Path         string // absolute; "" = none
	Addr         netip.AddrPort
}

// Addresses are those of all sockets that are bound by their names, the stats servers' too;
// relative paths start at dir. What cannot be understood is left out: Open reports it.
func Addresses(s *option.Settings, dir string) []Address {
	h := thisHost(dir)
	var out []Address
	add := func(name, text string, origin option.Origin, abstract bool) {
		a, err := h.parse(text, abstract)
		if err != nil || a.kind == kindFD || a.kind == kindShared {
			return
		}
		found := Address{Option: name, Text: text, Origin: origin}
		switch a.kind {
		case kindUnix:
			found.Path = a.path
		case kindTCP:
			found.Addr = netip.AddrPortFrom(a.ip, uint16(a.port))
		}
		out = append(out, found)
	}
	for _, k := range s.Sockets {
		add(k.Option, k.Address, k.Origin, s.AbstractSocket)
	}
	for _, text := range s.Stats {
		add("stats", text, option.Origin{}, false)
	}
	return out
}

// CheckOwner says what is wrong with chown-socket.
func CheckOwner(s *option.Settings) error {
	_, err := socketOwner(s, os.Geteuid())
	return err
}
