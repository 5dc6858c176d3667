package units

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"uwsgi/internal/listen"
)

// manager is systemd as the generator's two helpers use it.
type manager struct {
	generated string // where systemd keeps what generators wrote
	written   string // and what the emperor wrote
	stamps    string // a file an instance: the socket drop-in its sockets were opened with
	systemctl func(args ...string) error
	// what systemd is doing with a unit: start, stop, restart …; "" = nothing
	job    func(unit string) (string, error)
	show   func(unit, property string) (string, error)
	lookup func(user, group string, more []string) error // nil: these accounts exist
	report func(prefix string, problems ...Problem)
}

func thisManager() manager {
	return manager{generated: "/run/systemd/generator", written: "/run/systemd/system", stamps: "/run/uwsgi-unit",
		systemctl: systemctl, job: job, show: show, lookup: lookup, report: report}
}

func lookup(user, group string, more []string) error {
	_, err := listen.Lookup(user, group, more, true)
	return err
}

func systemctl(args ...string) error {
	cmd := exec.Command("systemctl", args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("systemctl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// job is the type of a unit's job.
func job(unit string) (string, error) {
	out, err := exec.Command("systemctl", "list-jobs", "--plain", "--no-legend", "--", unit).Output()
	if err != nil {
		return "", fmt.Errorf("systemctl list-jobs %s: %w", unit, err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 3 && f[1] == unit { // id, unit, type, state
			return f[2], nil
		}
	}
	return "", nil
}

func show(unit, property string) (string, error) {
	out, err := exec.Command("systemctl", "show", "--value", "-p", property, "--", unit).Output()
	if err != nil {
		return "", fmt.Errorf("systemctl show %s: %w", unit, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// moment reads one of the timestamps of a unit, µs.
func (m manager) moment(unit, property string) (uint64, error) {
	text, err := m.show(unit, property)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

// stopping closes an application's sockets as its service stops, provided that a stop was asked
// for: a restart is another job, and an application that ends by itself (die-on-idle) has none.
func stopping(m manager, instance string, stderr io.Writer) int {
	i := Instance{Name: instance}
	j, err := m.job(i.Service())
	if err == nil && j == "stop" {
		err = errors.Join(m.mark(instance), m.systemctl("--no-block", "stop", i.Socket()))
	}
	return warn(stderr, err)
}

// mark tells stopped that stopping was here. No instance has a name with an @.
func (m manager) mark(instance string) error {
	if err := os.MkdirAll(m.stamps, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.stamps, "@"+instance), nil, 0o644)
}

// stopped does the same after the stop of a service that was asleep, whose own commands do not run
// then. Sockets that were opened after the stop began are wanted by somebody, and stay.
func stopped(m manager, instance string, stderr io.Writer) int {
	if os.Remove(filepath.Join(m.stamps, "@"+instance)) == nil {
		return 0
	}
	i := Instance{Name: instance}
	j, err := m.job(i.Service())
	if err != nil || j != "" {
		return warn(stderr, err)
	}
	opened, err := m.moment(i.Socket(), "ActiveEnterTimestampMonotonic")
	if err != nil {
		return warn(stderr, err)
	}
	began, err := m.moment(i.keeper(), "StateChangeTimestampMonotonic")
	if err == nil && opened > 0 && opened < began {
		err = m.systemctl("--no-block", "stop", i.Socket())
	}
	return warn(stderr, err)
}

func warn(stderr io.Writer, err error) int {
	if err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
	}
	return 0
}

// refresh makes systemd know one application's configuration as it is now. It is run before
// uwsgi@NAME.service starts, when nothing of it runs: sockets whose addresses changed can be opened
// anew.
func refresh(h Host, m manager, instance string, stderr io.Writer) int {
	i := Instance{Name: instance}
	state, err := m.show(i.Service(), "SubState")
	gaveUp := state == "failed" || state == "auto-restart"
	switch {
	case err != nil:
		return warn(stderr, err)
	case gaveUp:
		// It has failed so often that systemd does not try any more, or waits until it does.
		// Somebody does now, and has mended something, so it begins anew, and its sockets, which
		// fail once more when they hear of the reset. (Before a start of systemd's own it is dead.)
		warn(stderr, m.systemctl("reset-failed", i.Service()))
		warn(stderr, m.systemctl("reset-failed", i.Socket()))
	case !strings.HasPrefix(state, "dead") && !strings.HasPrefix(state, "auto-restart"):
		return 0 // it runs: somebody started what is started
	default:
		warn(stderr, m.forgive(i))
	}
	list, _ := apps(h)
	at := slices.IndexFunc(list, func(a app) bool { return InstanceName(a.name) == instance })
	if at < 0 { // an instance of the administrator's own, or of the emperor
		if _, err := os.Stat(filepath.Join(m.written, i.Socket()+".d")); gaveUp && err == nil {
			warn(stderr, m.systemctl("start", i.Socket()))
		}
		return 0
	}
	want, problem := h.plan(list[at])
	if problem != nil {
		tell(stderr, []Problem{*problem})
		if want == nil {
			return 0 // the instance says the rest
		}
	} else {
		m.checkAccounts(h, list[at])
	}
	socket := want[i.Socket()+".d/"+dropIn].Text
	fresh := want.In(m.generated)
	changed, err := m.stamp(instance, socket)
	if err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
	}
	if !fresh {
		if changed { // closed as they were opened, so that no path is left behind
			warn(stderr, m.systemctl("stop", i.Socket()))
		}
		if err := m.systemctl("daemon-reload"); err != nil {
			fmt.Fprintf(stderr, "<3>%v\n", err)
			return 1
		}
	}
	verb := ""
	listens, err := m.show(i.Socket(), "ActiveState")
	switch {
	case err != nil:
		return warn(stderr, err)
	case socket == "" && listens == "active":
		verb = "stop"
	case socket == "":
	case changed && listens == "active":
		verb = "restart"
	case listens != "active": // whoever had systemd read the drop-ins did so after this start was asked for
		verb = "start"
	}
	if verb == "" {
		return 0
	}
	// An address that is taken, say, is the instance's to report: it tries to bind what it was not
	// given.
	if err := m.systemctl(verb, i.Socket()); err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
	}
	return 0
}

// forgive has systemd forget the starts of a service that ended well. It counts every start towards
// the limit for those that fail: an administrator's who tries things, and a visitor's after
// die-on-idle.
func (m manager) forgive(i Instance) error {
	result, err := m.show(i.Service(), "Result")
	if err != nil || result != "success" { // a start of systemd's own, after a failure
		return err
	}
	return m.systemctl("reset-failed", i.Service())
}

// checkAccounts says in the application's log which account does not exist: systemd, which is to
// start it as that user, would only give an exit status.
func (m manager) checkAccounts(h Host, a app) {
	c, err := h.load(a)
	if err != nil {
		return
	}
	s := c.Settings
	if err := m.lookup(s.UID, s.GID, s.AddGIDs); err != nil {
		m.report("", Problem{File: a.file, Err: err})
	}
}

// stamp notes what an instance's sockets are opened with, and reports whether they were opened with
// something else. Right after the boot there is no note, and what systemd knows is what it opened.
func (m manager) stamp(instance, socket string) (changed bool, err error) {
	_, socket, _ = strings.Cut(socket, "[Socket]")
	sum := sha256.Sum256([]byte(socket))
	now := hex.EncodeToString(sum[:])
	path := filepath.Join(m.stamps, instance)
	before, err := os.ReadFile(path)
	if err == nil && string(before) == now {
		return false, nil
	}
	known := err == nil
	if err := os.MkdirAll(m.stamps, 0o755); err != nil {
		return false, err
	}
	return known, os.WriteFile(path, []byte(now), 0o644)
}

// start makes systemd know every application, starts those that were not there at its last look,
// and says which files are of no use.
func start(h Host, m manager, stderr io.Writer) int {
	want, problems := Plan(h)
	tell(stderr, problems)
	if !want.In(m.generated) {
		if err := m.systemctl("daemon-reload"); err != nil {
			fmt.Fprintf(stderr, "<3>%v\n", err)
			return 1
		}
	}
	var units []string
	for name, e := range want {
		if e.Link != "" {
			units = append(units, filepath.Base(name))
		}
	}
	if len(units) == 0 {
		fmt.Fprintln(stderr, "<6>no application in "+h.Apps)
		return 0
	}
	slices.Sort(units)
	if err := m.systemctl(append([]string{"--no-block", "start", "--"}, units...)...); err != nil {
		fmt.Fprintf(stderr, "<3>%v\n", err)
		return 1
	}
	return 0
}
