package units

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/config"
)

// Host is the machine the generator runs on.
type Host struct {
	Apps      string // folder of the applications that are started at boot
	Inherited string // configuration that each of them inherits, unless Defaults names another
	Defaults  string // /etc/default/uwsgi: INHERITED_CONFIG=
	Template  string // where the links to uwsgi@.service and .socket lead
	Config    config.Host
	Walk      func(root string, fn fs.WalkDirFunc) error
	ReadFile  func(path string) ([]byte, error)
	RootsFile func(path string) bool // nobody but root can change it
}

// Problem is a file that was not used, or not wholly.
type Problem struct {
	File string
	Err  error
}

func (p Problem) Error() string {
	text := p.Err.Error()
	if strings.Contains(text, p.File) {
		return text
	}
	return p.File + ": " + text
}

// errEarly marks what a generator must not do.
var errEarly = errors.New("cannot be read this early in the boot")

// OSHost is this machine. What would wait for another process or for the network fails with
// errEarly, what is no file or has no end fails.
func OSHost() Host {
	c := config.OSHost()
	c.ReadFile = readRegular
	c.Run = func(string) ([]byte, error) { return nil, errEarly }
	c.Fetch = func(string) ([]byte, error) { return nil, errEarly }
	c.ReadFD = func(int) ([]byte, error) { return nil, errEarly }
	c.LookupHost = func(string) (string, error) { return "", errEarly }
	c.Getwd = func() (string, error) { return "/", nil }
	return Host{
		Apps:      appsEnabled,
		Inherited: "/usr/share/uwsgi/conf/default.ini",
		Defaults:  "/etc/default/uwsgi",
		Template:  "/usr/lib/systemd/system",
		Config:    c,
		Walk:      walk,
		ReadFile:  readRegular,
		RootsFile: rootsFile,
	}
}

// sizeLimit is how large a file of a configuration may be.
const sizeLimit = 4 << 20

// readRegular reads a regular file, and nothing that would make the boot wait: a pipe, a device.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, sizeLimit+1))
	if err == nil && len(text) > sizeLimit {
		err = fmt.Errorf("%s is larger than %d MiB", path, sizeLimit>>20)
	}
	return text, err
}

// walk is filepath.WalkDir with links to files taken for files.
func walk(root string, fn fs.WalkDirFunc) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			st, err := os.Stat(path)
			if err != nil {
				return fn(path, d, err)
			}
			if st.IsDir() {
				return nil
			}
		}
		return fn(path, d, err)
	})
}

// dropIn is the drop-ins' file name: first of all, so that whatever an administrator adds has the
// last word.
const dropIn = "00-ini.conf"

// Plan reads every application's configuration and gives what the generator writes: a service's and
// a socket's drop-in each, and the link by which uwsgi.service starts it.
func Plan(h Host) (Tree, []Problem) {
	tree := Tree{}
	list, problems := apps(h)
	for _, a := range list {
		sub, problem := h.planWithin(a, planTime)
		for name, e := range sub {
			tree[name] = e
		}
		if problem != nil {
			problems = append(problems, *problem)
		}
	}
	return tree, problems
}

// planTime is how long one configuration may take; a hundredth of it is long.
const planTime = 2 * time.Second

// planWithin is plan for those that must not wait.
func (h Host) planWithin(a app, limit time.Duration) (Tree, *Problem) {
	type part struct {
		tree    Tree
		problem *Problem
	}
	done := make(chan part, 1)
	go func() {
		tree, problem := h.plan(a)
		done <- part{tree, problem}
	}()
	select {
	case p := <-done:
		return p.tree, p.problem
	case <-time.After(limit):
		return nil, &Problem{File: a.file, Err: fmt.Errorf("reading it takes longer than %v", limit)}
	}
}

// plan is one application's part. A file that cannot be used has none, one that cannot be read this
// early is started all the same.
func (h Host) plan(a app) (Tree, *Problem) {
	i := h.instance(a)
	c, err := h.load(a)
	early := errors.Is(err, errEarly)
	if err != nil && !early {
		return nil, &Problem{File: a.file, Err: err}
	}
	tree := Tree{}
	unit := i.Service()
	if !early {
		i.Settings, i.RootsAlone = c.Settings, rootsAlone(c, h.RootsFile)
		tree = i.DropIns()
		if i.OnDemand() {
			unit = i.Socket()
		}
	}
	template, _, _ := strings.Cut(unit, "@")
	tree["uwsgi.service.wants/"+unit] = Entry{Link: filepath.Join(h.Template, template+"@"+filepath.Ext(unit))}
	if early {
		return tree, &Problem{File: a.file, Err: fmt.Errorf("%w: the application is started as www-data and opens "+
			"its sockets itself", err)}
	}
	return tree, nil
}

// instance is the application as systemd sees it, its settings apart.
func (h Host) instance(a app) Instance {
	i := Instance{Name: InstanceName(a.name), ConfName: a.name, File: a.file, Origin: "uwsgi-generator", DropIn: dropIn}
	inherited := h.inherited()
	if i.Name != a.name || inherited != h.Inherited || a.file != filepath.Join(h.Apps, a.name+".ini") {
		i.Args = h.arguments(a)
	}
	return i
}

// arguments are what Debian's init script gives uwsgi: the inherited configuration, then the
// application's own.
func (h Host) arguments(a app) []string {
	args := []string{a.loader, a.file}
	if inherited := h.inherited(); inherited != "" {
		n := slices.IndexFunc(loaders, func(l struct {
			suffix,
			option string
		}) bool {
			return l.suffix == filepath.Ext(inherited)
		})
		if n >= 0 {
			args = append([]string{loaders[n].option, inherited}, args...)
		}
	}
	return args
}

func (h Host) load(a app) (*config.Config, error) {
	return config.Load(h.arguments(a), []string{"UWSGI_DEB_CONFNAMESPACE=app", "UWSGI_DEB_CONFNAME=" + a.name},
		h.Config)
}

// inherited is INHERITED_CONFIG of /etc/default/uwsgi, else the packaged default.
func (h Host) inherited() string {
	text, err := h.ReadFile(h.Defaults)
	if err != nil {
		return h.Inherited
	}
	path := h.Inherited
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "INHERITED_CONFIG="); ok {
			path = strings.Trim(value, `"'`)
		}
	}
	return path
}
