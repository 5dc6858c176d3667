package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"uwsgi/internal/option"
)

// pair is a Pair with what is known about it while reading.
type pair struct {
	Pair
	source    source
	cut       string   // inline comment that was cut off
	undefined []string // %(names) without a value
	unset     []string // $(NAMES) without a value
	bare      bool     // a file named without an option: show-config leaves it out
	mechanics bool     // has done its work while reading: loaders, blocks, set
}

// source is where a pair came from.
type source uint8

const (
	fromFile source = iota
	fromArgs
	fromEnviron
)

// reader collects the flat list of pairs that a configuration is: nothing is merged, order is kept.
// It owns all of its state; one Load uses one reader.
type reader struct {
	host    Host
	environ map[string]string
	order   []string // names in environ, in order
	cwd     string

	pairs    []*pair
	first    map[string]*pair // first pair of a key
	used     map[string]bool  // keys some %(…) or if-opt asked for
	holders  map[string]bool  // names defined by set-placeholder
	awaited  map[string]bool  // rows whose value a check cannot know
	declared map[string]declared
	unread   map[string]bool // arguments that name an option which there is not

	open    *block // the block being collected
	item    *string
	loading []string // files being read, outermost first
	files   []string // files read, absolute
	named   string   // the last one named outside any file
	top     *magic   // of the first file
	lastINI string
	inject  struct{ before, after string }
	black   map[string]bool // nil = no blacklist
	white   map[string]bool // nil = no whitelist

	contents map[string]string // of @(name)
	spent    int               // of the expansion budget
	guesses  int
	added    int // pairs taken in, those of blocks too
	loads    int
	earlyEnv []option.EnvOp
	findings []Finding
	faults   []*option.Error
	print    []string
	get      []string

	checking    bool
	showConfig  bool
	command     Command // met while reading; ends it
	commandArgs []string
	later       Command // takes effect once everything is read
}

// maxPairs bounds what loops and included files may produce.
const maxPairs = 50_000

func newReader(environ []string, h Host) *reader {
	r := &reader{environ: make(map[string]string, len(environ)), first: map[string]*pair{}, used: map[string]bool{},
		holders: map[string]bool{}, awaited: map[string]bool{}, declared: map[string]declared{},
		unread:   map[string]bool{},
		contents: map[string]string{}}
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			continue
		}
		if _, twice := r.environ[name]; !twice {
			r.environ[name] = value
			r.order = append(r.order, name)
		}
	}
	r.host = owned(h, r.environ)
	if cwd, err := h.Getwd(); err == nil {
		r.cwd = cwd
	}
	return r
}

// stopped reports that a command or an endless configuration ends the reading.
func (r *reader) stopped() bool { return r.command != "" || r.added > maxPairs }

// add takes in one pair: into the block being collected, or onto the list, where options that act
// while reading act.
func (r *reader) add(p *pair) {
	if r.stopped() {
		return
	}
	if r.added++; r.added > maxPairs {
		if r.added == maxPairs+1 {
			r.problem(p, "look for a loop", errors.New("the configuration has too many lines"))
		}
		return
	}
	if r.collect(p) {
		return
	}
	if r.item != nil {
		p.Value = strings.ReplaceAll(p.Value, "%(_)", *r.item)
	}
	if !r.allowed(p) {
		return
	}
	r.push(p)
	r.act(p)
}

// push puts a pair onto the list.
func (r *reader) push(p *pair) {
	r.pairs = append(r.pairs, p)
	if _, taken := r.first[p.Key]; !taken && p.Given {
		r.first[p.Key] = p
	}
}

// allowed applies blacklist and whitelist.
func (r *reader) allowed(p *pair) bool {
	switch {
	case r.black[p.Key]:
		r.problem(p, "", fmt.Errorf("forbidden by blacklist"))
		return false
	case r.white != nil && !r.white[p.Key]:
		r.problem(p, "add it to whitelist", fmt.Errorf("forbidden by whitelist"))
		return false
	}
	return true
}

// act carries out what must happen while reading. Values are expanded with what is known so far,
// which uWSGI does not do.
func (r *reader) act(p *pair) {
	row, known := option.Lookup(p.Key)
	if !known {
		return
	}
	if row.CLIOnly && p.source != fromArgs {
		return // apply reports it
	}
	switch row.Name {
	case "ini", "yaml", "json", "xml", "config", "include":
		p.mechanics = true
		p.Value = r.expandNow(p)
		r.load(p, row.Name)
	case "set", "set-placeholder":
		p.mechanics = true
		r.set(p, row.Name == "set-placeholder")
	case "declare-option", "declare-option2":
		p.mechanics = true
		r.declare(p)
	case "resolve":
		p.mechanics = true
		r.resolve(p)
	case "inject-before", "inject-after":
		p.mechanics = true
		if p.Value = r.expandNow(p); blank(p) {
			r.doubt(p, "write "+p.Key+" = FILE", errors.New("the file is missing; the line is left out"))
			return
		}
		text, err := r.readSource(p.Value)
		if err != nil {
			r.doubt(p, "", fmt.Errorf("%w; the line is left out", err))
			return
		}
		if row.Name == "inject-before" {
			r.inject.before = string(text)
		} else {
			r.inject.after = string(text)
		}
	case "blacklist":
		p.mechanics = true
		r.black = words(r.expandNow(p))
	case "whitelist":
		p.mechanics = true
		r.white = words(r.expandNow(p))
	case "end-blacklist":
		p.mechanics = true
		r.black = nil
	case "end-whitelist":
		p.mechanics = true
		r.white = nil
	case "early-envdir":
		p.mechanics = true
		p.Value = r.expandNow(p)
		r.earlyEnv = append(r.earlyEnv, r.envdir(p, true)...)
	case "env":
		if p.Key == "ienv" {
			name, value, ok := strings.Cut(r.expandNow(p), "=")
			if ok {
				r.environ[strings.TrimSpace(name)] = value
			}
		}
	case "iprint":
		p.mechanics = true
		r.print = append(r.print, r.expandNow(p))
	case "exit":
		status := "0"
		if !p.Given {
			status = "1"
		} else if n, err := strconv.Atoi(strings.TrimSpace(r.expandNow(p))); err == nil {
			status = strconv.Itoa(n & 0xff)
		}
		if !r.checking {
			r.command, r.commandArgs = Exit, []string{status}
		}
	}
}

func words(s string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}

// set adds the pair of "key=value". set-placeholder takes no name of an option.
func (r *reader) set(p *pair, placeholder bool) {
	key, value, ok := strings.Cut(p.Value, "=")
	if !ok {
		r.problem(p, "write "+p.Key+" = name=value", errors.New("there is no \"=\""))
		return
	}
	if p.source == fromFile {
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	}
	if placeholder {
		if _, isOption := option.Lookup(key); isOption {
			r.problem(p, "use set, or another name", fmt.Errorf("%s is an option and no placeholder", key))
			return
		}
		r.holders[key] = true
	}
	r.add(&pair{Pair: Pair{Key: key, Value: value, Given: true, Origin: p.Origin}, source: p.source})
}

func (r *reader) resolve(p *pair) {
	key, name, ok := strings.Cut(r.expandNow(p), "=")
	if !ok {
		r.problem(p, "write resolve = name=host", errors.New("there is no \"=\""))
		return
	}
	ip, err := r.host.LookupHost(name)
	if err != nil {
		r.problem(p, "", fmt.Errorf("look up %s: %w", name, err))
		return
	}
	r.used[key], r.holders[key] = true, true
	r.add(&pair{Pair: Pair{Key: key, Value: ip, Given: true, Origin: p.Origin}, source: p.source})
}

// finish closes what is left open, runs declared options and inherited files, then expands every
// value.
func (r *reader) finish() {
	r.closeOpen()
	r.runDeclared()
	for i := 0; i < len(r.pairs); i++ {
		if p := r.pairs[i]; p.Key == "inherit" && !p.mechanics {
			p.mechanics = true
			p.Value = r.expandNow(p)
			r.load(p, "include")
			r.closeOpen()
		}
	}
	r.expandAll()
}
