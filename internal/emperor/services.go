package emperor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"uwsgi/internal/config"
	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/sd"
	"uwsgi/internal/units"
)

const (
	dropInFolder    = "/run/systemd/system"    // where the emperor writes
	generatedFolder = "/run/systemd/generator" // what apps-enabled makes
	dropInName      = "00-emperor.conf"
)

// jobTimeout bounds a start, reload or stop: the manager's own limits come first.
const jobTimeout = 30 * time.Minute

// services is the runner that leaves everything to systemd.
type services struct {
	Config
	bus     *sd.Bus
	results chan<- result

	folder string                   // of the drop-ins: dropInFolder
	mu     sync.Mutex               // guards known, and what stands in folder: forget is a job's
	known  map[string]units.Tree    // drop-ins in force, by vassal
	wishes map[string]answer        // of the batch that is looked at, by vassal
	after  map[string]chan struct{} // the end of the last job, by vassal
	jobs   sync.WaitGroup
	ctx    context.Context
	quit   context.CancelFunc
}

func newServices(c Config, results chan<- result) (*services, error) {
	u := &services{Config: c, results: results, folder: dropInFolder, known: map[string]units.Tree{},
		after: map[string]chan struct{}{}}
	u.ctx, u.quit = context.WithCancel(context.Background())
	var err error
	if u.bus, err = sd.ConnectBus(u.ctx); err != nil {
		return nil, err
	}
	return u, nil
}

// job is a change with what its units need.
type job struct {
	change
	instance units.Instance
	address  bool // the sockets have changed
	unit     bool // so has the service
}

// apply writes the drop-ins of a whole batch, has systemd read them once, and begins the jobs.
func (u *services) apply(batch []change) {
	var jobs []job
	written := false
	u.wishes = u.ask(batch)
	for _, c := range batch {
		j, changed, err := u.prepare(c)
		if err != nil {
			u.report(result{c, err})
			continue
		}
		written = written || changed
		jobs = append(jobs, j)
	}
	if written {
		ctx, cancel := context.WithTimeout(u.ctx, time.Minute)
		defer cancel()
		if err := u.bus.DaemonReload(ctx); err != nil {
			for _, j := range jobs {
				u.report(result{j.change, err})
			}
			return
		}
	}
	for _, j := range jobs {
		u.begin(j)
	}
}

// prepare writes a vassal's drop-ins and reports whether they changed.
func (u *services) prepare(c change) (job, bool, error) {
	j := job{change: c}
	j.instance.Name = units.InstanceName(c.name)
	if c.op == stop {
		return j, false, nil
	}
	if _, err := os.Stat(filepath.Join(generatedFolder, j.instance.Service()+".d")); err == nil {
		return j, false, fmt.Errorf("/etc/uwsgi/apps-enabled has an application of that name")
	}
	var err error
	if j.instance, err = u.instance(c.vassal); err != nil {
		return j, false, err
	}
	tree := j.instance.DropIns()
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.known[c.name]
	if before == nil {
		before = u.left(j.instance)
	}
	if before != nil && tree.In(u.folder) && len(before) == len(tree) {
		u.known[c.name] = tree
		return j, false, nil
	}
	j.address = before != nil &&
		before[j.instance.Socket()+".d/"+dropInName] != tree[j.instance.Socket()+".d/"+dropInName]
	j.unit = before != nil &&
		before[j.instance.Service()+".d/"+dropInName] != tree[j.instance.Service()+".d/"+dropInName]
	if before != nil {
		if err := before.Remove(u.folder); err != nil {
			return j, false, err
		}
	}
	if err := tree.Write(u.folder); err != nil {
		return j, false, err
	}
	u.known[c.name] = tree
	return j, true, nil
}

// instance is the vassal as its units see it.
func (u *services) instance(v vassal) (units.Instance, error) {
	i := units.Instance{Name: units.InstanceName(v.name), ConfName: v.name, File: v.file,
		Args: v.arguments(&u.Settings.Emperor), Dir: v.dir,
		Environment: v.environ(), Origin: "the emperor", DropIn: dropInName}
	var err error
	if v.judge == byItself {
		i.Settings, i.RootsAlone, err = u.settings(v)
	} else {
		i.Settings, i.Wishes, err = u.owners(v)
	}
	return i, err
}

// settings are the vassal's own; uid and gid are the emperor's where it names none. Its file is
// trusted as if it were root's; rootsAlone says whether it is.
func (u *services) settings(v vassal) (s *option.Settings, rootsAlone bool, err error) {
	c, err := config.Load(v.arguments(&u.Settings.Emperor), nil, config.OSHost())
	if err != nil {
		return nil, false, err
	}
	s = c.Settings
	if s.UID == "" {
		s.UID = u.Settings.UID
		if s.GID == "" {
			s.GID = u.Settings.GID
		}
	}
	return s, units.RootsAlone(c), nil
}

// owners is what goes into the unit of a vassal that runs as its file's owner (tyrant): his
// accounts, the address that the emperor may hold for it, and what he may wish for. All else is
// left to the instance, which is a process of his.
func (u *services) owners(v vassal) (*option.Settings, *units.Wishes, error) {
	cred, err := v.credential()
	if err != nil {
		return nil, nil, err
	}
	s := option.Default()
	s.UID, s.GID = strconv.FormatUint(uint64(cred.Uid), 10), strconv.FormatUint(uint64(cred.Gid), 10)
	s.ChmodSocket = u.Settings.ChmodSocket
	if v.socket != "" {
		s.Sockets = []option.Socket{{Address: v.socket}}
	}
	w := u.wishes[v.name]
	delete(u.wishes, v.name)
	return s, w.wishes, w.err
}

// begin carries out a job after the vassal's last one.
func (u *services) begin(j job) {
	before, done := u.after[j.name], make(chan struct{})
	u.after[j.name] = done
	u.jobs.Go(crash.Guarded(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		ctx, cancel := context.WithTimeout(u.ctx, jobTimeout)
		defer cancel()
		err := u.carryOut(ctx, j)
		if errors.Is(err, context.Canceled) {
			return // the emperor ends; its vassals are the manager's
		}
		u.results <- result{j.change, err}
	}))
	if j.op == stop {
		u.mu.Lock()
		defer u.mu.Unlock()
		tree := u.known[j.name]
		delete(u.known, j.name)
		if tree != nil {
			u.jobs.Go(crash.Guarded(func() { <-done; u.forget(j.instance.Name, tree) }))
		}
	}
}

// forget takes away the drop-ins of a vassal that is gone, unless its file has come back since.
func (u *services) forget(instance string, tree units.Tree) {
	if u.ctx.Err() != nil || !u.remove(instance, tree) {
		return
	}
	ctx, cancel := context.WithTimeout(u.ctx, time.Minute)
	defer cancel()
	_ = u.bus.DaemonReload(ctx)
}

// remove takes tree away, unless a vassal of that instance is there.
func (u *services) remove(instance string, tree units.Tree) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.known {
		if units.InstanceName(name) == instance {
			return false
		}
	}
	_ = tree.Remove(u.folder)
	return true
}

func (u *services) carryOut(ctx context.Context, j job) error {
	service, socket := j.instance.Service(), j.instance.Socket()
	e := &u.Settings.Emperor
	switch j.op {
	case stop:
		err := u.bus.StopUnit(ctx, service)
		return errors.Join(ignoreMissing(err), ignoreMissing(u.bus.StopUnit(ctx, socket)),
			hook(ctx, e.StopHook, j.vassal))
	case reload:
		if j.address {
			if err := errors.Join(ignoreMissing(u.bus.StopUnit(ctx, service)),
				ignoreMissing(u.bus.StopUnit(ctx, socket))); err != nil {
				return err
			}
			break
		}
		if j.unit {
			return u.bus.RestartUnit(ctx, service)
		}
		if u.active(ctx, service) {
			return u.bus.ReloadUnit(ctx, service)
		}
		if j.socket != "" {
			return nil // it takes what is new with the next connection
		}
	case start:
		// An emperor before this one started it.
		if u.active(ctx, service) {
			if j.unit || j.address {
				return u.bus.RestartUnit(ctx, service)
			}
			return nil
		}
	}
	if err := hook(ctx, e.StartHook, j.vassal); err != nil {
		return err
	}
	if j.socket != "" || j.instance.OnDemand() {
		return u.bus.StartUnit(ctx, socket)
	}
	return u.bus.StartUnit(ctx, service)
}

func (u *services) active(ctx context.Context, unit string) bool {
	list, err := u.bus.ListUnits(ctx, unit)
	return err == nil && len(list) > 0 && (list[0].Active == "active" || list[0].Active == "reloading")
}

// pids asks systemd for the supervisors.
func (u *services) pids() map[string]int {
	ctx, cancel := context.WithTimeout(u.ctx, 5*time.Second)
	defer cancel()
	list, err := u.bus.ListUnits(ctx, "uwsgi@*.service")
	if err != nil {
		return nil
	}
	byUnit := map[string]int{}
	for _, l := range list {
		byUnit[l.Name] = l.MainPID
	}
	out := map[string]int{}
	for name := range u.known {
		out[name] = byUnit[units.Instance{Name: units.InstanceName(name)}.Service()]
	}
	return out
}

// ignoreMissing takes a unit that systemd does not know for one that is stopped.
func ignoreMissing(err error) error {
	if err != nil && strings.Contains(err.Error(), "not loaded") {
		return nil
	}
	return err
}

// report sends a result without waiting: it is called by the goroutine that reads them.
func (u *services) report(r result) { u.jobs.Go(crash.Guarded(func() { u.results <- r })) }

// left is what an emperor before this one wrote for an instance, nil if nothing.
func (u *services) left(i units.Instance) units.Tree {
	tree := units.Tree{}
	for _, unit := range []string{i.Service(), i.Socket()} {
		name := unit + ".d/" + dropInName
		if text, err := os.ReadFile(filepath.Join(u.folder, name)); err == nil {
			tree[name] = units.Entry{Text: string(text)}
		}
	}
	if len(tree) == 0 {
		return nil
	}
	return tree
}

// sweep stops what an emperor before this one started and nobody wants any more.
func (u *services) sweep(found map[string]vassal) {
	wanted := map[string]bool{}
	for name := range found {
		wanted[units.InstanceName(name)] = true
	}
	files, _ := filepath.Glob(filepath.Join(u.folder, "uwsgi@*.service.d", dropInName))
	for _, f := range files {
		instance := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(filepath.Dir(f)), "uwsgi@"), ".service.d")
		if wanted[instance] {
			continue
		}
		i := units.Instance{Name: instance}
		tree := u.left(i)
		u.mu.Lock()
		u.known[instance] = tree
		u.mu.Unlock()
		u.begin(job{change: change{stop, vassal{name: instance, id: instance}}, instance: i})
	}
}

// leave waits for what is under way. Vassals go with a stop of the emperor's unit, and stay through
// a restart or a crash of it.
func (u *services) leave() {
	if u.stopAsked() {
		for name := range u.known {
			u.begin(job{change: change{stop, vassal{name: name, id: name}},
				instance: units.Instance{Name: units.InstanceName(name)}})
		}
		u.jobs.Wait()
	}
	u.quit()
	u.jobs.Wait()
	u.bus.Close()
}

// stopAsked reports whether the emperor's own unit is being stopped for good. An emperor in no unit
// was told so by a signal.
func (u *services) stopAsked() bool {
	if u.Unit == "" || !strings.HasSuffix(u.Unit, ".service") {
		return true
	}
	ctx, cancel := context.WithTimeout(u.ctx, 10*time.Second)
	defer cancel()
	job, err := u.bus.Job(ctx, u.Unit)
	return err == nil && job == "stop"
}
