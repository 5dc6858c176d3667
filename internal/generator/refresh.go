package generator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// manager is systemd as the generator's two helpers use it.
type manager struct {
	generated string // where systemd keeps what generators wrote
	stamps    string // a file an instance: the socket drop-in its sockets were opened with
	systemctl func(args ...string) error
	job       func(unit string) (string, error) // what systemd is doing with a unit: start, stop, restart …; "" = nothing
}

func thisManager() manager {
	return manager{generated: "/run/systemd/generator", stamps: "/run/uwsgi-unit", systemctl: systemctl, job: job}
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

// stopping is called as an application's service stops, and, should that sleep, as uwsgi-unit@NAME.service does. The sockets go with a stop that
// was asked for. In a restart the service has a job to be started again, and where it ends by itself it has none while it still is there.
func stopping(m manager, instance string, stderr io.Writer) int {
	i := Instance{Name: instance}
	j, err := m.job(i.Service())
	if err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
		return 0
	}
	// The service itself calls with its process there.
	asked := j == "stop" || j == "" && !m.running(i.Service())
	if !asked {
		return 0
	}
	if err := m.systemctl("--no-block", "stop", i.Socket()); err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
	}
	return 0
}

// refresh makes systemd know one application's configuration as it is now. It is run before uwsgi@NAME.service starts, when nothing of it runs:
// sockets whose addresses changed can be opened anew.
func refresh(h Host, m manager, instance string, stderr io.Writer) int {
	list, _ := apps(h)
	at := slices.IndexFunc(list, func(a app) bool { return InstanceName(a.name) == instance })
	if at < 0 {
		return 0 // an instance of the administrator's own, or of the emperor
	}
	want, problem := h.plan(list[at])
	if problem != nil {
		tell(stderr, []Problem{*problem})
		if want == nil {
			return 0 // the instance says the rest
		}
	}
	i := Instance{Name: instance}
	socket := want[i.Socket()+".d/"+dropIn].Text
	fresh := want.In(m.generated)
	if !fresh {
		if err := m.systemctl("daemon-reload"); err != nil {
			fmt.Fprintf(stderr, "<3>%v\n", err)
			return 1
		}
	}
	changed, err := m.stamp(instance, socket)
	if err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
	}
	if fresh && !changed {
		return 0
	}
	verb := "start"
	switch {
	case socket == "":
		verb = "stop"
	case changed:
		verb = "restart"
	}
	// An address that is taken, say, is the instance's to report: it tries to bind what it was not given.
	if err := m.systemctl(verb, i.Socket()); err != nil {
		fmt.Fprintf(stderr, "<4>%v\n", err)
	}
	return 0
}

// stamp notes what an instance's sockets are opened with, and says whether they were opened with something else. Right after the boot there is
// no note, and what systemd knows is what it opened.
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

// start makes systemd know every application, starts those that were not there at its last look, and says which files are of no use.
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
