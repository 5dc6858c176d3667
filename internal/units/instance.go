package units

import (
	"path/filepath"
	"strings"

	"uwsgi/internal/option"
)

// Instance is one application as systemd is to run it.
type Instance struct {
	Name     string // %i of its units: see InstanceName
	File     string // its configuration, absolute
	ConfName string // the configuration's base name, what %(deb-confname) stands for
	Args     []string
	Dir      string // where it starts, absolute; "" = /
	Settings *option.Settings
	// of a configuration that is not to be trusted, of which Settings says nothing then; nil: those
	// of Settings
	Wishes *Wishes

	RootsAlone  bool     // nobody but root can change the configuration
	Environment []string // further variables
	Origin      string   // who wrote the drop-ins, for their first line
	DropIn      string   // their file name
}

// InstanceName is how a name stands between "uwsgi@" and ".service": as it is where a unit's name
// may hold it, else escaped as systemd-escape(1) does.
func InstanceName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// Service and Socket are the names of the instance's units.
func (i Instance) Service() string { return "uwsgi@" + i.Name + ".service" }
func (i Instance) Socket() string  { return "uwsgi@" + i.Name + ".socket" }

// keeper is the unit that stops with the service, also where that sleeps.
func (i Instance) keeper() string { return "uwsgi-sockets@" + i.Name + ".service" }

// runtimeDirectory is where the unit's RuntimeDirectory= is.
func (i Instance) runtimeDirectory() string { return filepath.Join("/run/uwsgi/app", i.ConfName) }

// DropIns is what the instance's settings make of its units. A configuration whose sockets systemd
// cannot hold has no drop-in for the socket unit.
func (i Instance) DropIns() Tree {
	streams := i.streams()
	tree := Tree{i.Service() + ".d/" + i.DropIn: {Text: i.service(len(streams) > 0)}}
	if len(streams) > 0 {
		tree[i.Socket()+".d/"+i.DropIn] = Entry{Text: i.socket(streams)}
	}
	return tree
}

// OnDemand reports whether the first connection should start the application: it begins without
// workers anyway (cheap), and systemd holds its sockets, all of them.
func (i Instance) OnDemand() bool {
	return i.Settings.Cheap && len(i.streams()) > 0 && len(i.streams()) == i.listeners()
}
