package option

import (
	"sort"
	"strings"
	"sync"
)

// rows joins the tables of all concepts, in the order --help shows them.
var rows = sync.OnceValue(func() []Row {
	var all []Row
	for _, part := range [][]Row{
		languageRows, commandRows, socketRows, appRows, pythonRows, workerRows, asgiRows, lifecycleRows, requestRows,
		webSocketRows, cacheRows, clusterRows, metricRows, thresholdRows, memoryRows, staticRows,
		privilegeRows, logRows, alarmRows, statsRows, hookRows(), daemonRows, spoolerRows, muleRows, signalRows,
		emperorRows,
		noNeedRows(), refusedRows(),
	} {
		all = append(all, part...)
	}
	return all
})

// index finds rows by name and by letter. Where several options share a letter, the first in table
// order has it.
var index = sync.OnceValue(func() (ix struct {
	byName   map[string]*Row
	byLetter map[byte]*Row
	names    []string
}) {
	all := rows()
	ix.byName = make(map[string]*Row, 2*len(all))
	ix.byLetter = make(map[byte]*Row, 64)
	for i := range all {
		r := &all[i]
		for _, n := range r.Names() {
			if _, taken := ix.byName[n]; taken {
				panic("option: two rows are called " + n)
			}
			ix.byName[n] = r
			ix.names = append(ix.names, n)
		}
		if _, taken := ix.byLetter[r.Short]; r.Short != 0 && !taken {
			ix.byLetter[r.Short] = r
		}
	}
	sort.Strings(ix.names)
	return ix
})

// All returns every row. The slice is shared: do not change it.
func All() []Row { return rows() }

// Names returns every name, aliases included, sorted. The slice is shared: do not change it.
func Names() []string { return index().names }

// Lookup finds a row by its name or one of its aliases.
func Lookup(name string) (*Row, bool) {
	r, ok := index().byName[name]
	return r, ok
}

// ByLetter finds a row by its command-line letter.
func ByLetter(letter byte) (*Row, bool) {
	r, ok := index().byLetter[letter]
	return r, ok
}

// WithPrefix returns the names that begin with prefix: getopt_long accepts a name cut short as long
// as one row fits.
func WithPrefix(prefix string) []string {
	names := index().names
	from := sort.SearchStrings(names, prefix)
	to := from
	for to < len(names) && strings.HasPrefix(names[to], prefix) {
		to++
	}
	return names[from:to]
}

// habits maps spellings that people bring from elsewhere, too far from the right name for an edit
// distance.
var habits = map[string]string{
	"chmod-sock": "chmod-socket", "chown-sock": "chown-socket", "process": "processes",
	"worker": "workers", "thread": "threads",
	"user": "uid", "username": "uid", "group": "gid", "guid": "gid", "daemon": "daemonize",
	"deamon": "daemonize", "pid": "pidfile",
	"log": "logto", "logfile": "logto", "cdir": "chdir", "app": "callable",
	"wsgi_module": "module", "timeout": "harakiri",
	"bind": "socket", "backlog": "listen", "umask-socket": "chmod-socket", "http-port": "http", "static": "static-map",
	"virtual-env": "virtualenv", "py-callos-afterfork": "py-call-osafterfork",
}

// Dashes are the hyphen and what word processors and web pages make of it.
const Dashes = "-‐‑‒–—―−"

// Suggest returns the option that an unknown name was most likely meant to be.
func Suggest(name string) (string, bool) {
	plain := strings.ToLower(strings.ReplaceAll(strings.TrimLeft(name, Dashes), "_", "-"))
	if to, ok := habits[plain]; ok {
		return to, true
	}
	if _, ok := Lookup(plain); ok {
		return plain, true
	}
	if len(name) == 1 {
		if r, ok := ByLetter(name[0]); ok {
			return r.Name, true
		}
		return "", false
	}
	if first, _, ok := strings.Cut(plain, " "); ok { // "static-map /static" = ./x: the "=" stands in the wrong place
		if _, known := Lookup(first); known {
			return first, true
		}
	}
	if first, _, ok := strings.Cut(plain, ":"); ok { // "daemonize: /x"
		if _, known := Lookup(first); known {
			return first, true
		}
	}
	if near, ok := nearest(plain, obeyed()); ok || len(plain) < longEnough {
		return near, ok
	}
	return nearest(plain, Names())
}

// longEnough are names that are hardly near a refused option by chance.
const longEnough = 5

// obeyed are the names that are not refused: the likelier meaning of a slip.
var obeyed = sync.OnceValue(func() []string {
	var names []string
	for _, n := range Names() {
		if r, _ := Lookup(n); r.Standing != Refused {
			names = append(names, n)
		}
	}
	return names
})
