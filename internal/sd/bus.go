package sd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// Bus is the manager's D-Bus interface, org.freedesktop.systemd1(5). Every call ends with its
// context.
type Bus struct{ conn *dbus.Conn }

// ErrNoManager: systemd does not run here, or its bus is out of reach.
var ErrNoManager = errors.New("no systemd to talk to")

// ConnectBus connects to the system's manager.
func ConnectBus(ctx context.Context) (*Bus, error) {
	conn, err := dbus.NewWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	return &Bus{conn: conn}, nil
}

// ConnectUserBus connects to the manager of the calling user (systemctl --user), directly: a
// session bus is not there on every server, nor named in every environment.
func ConnectUserBus(ctx context.Context) (*Bus, error) {
	return dialUser(ctx, UserRuntimeDir(os.Getuid()))
}

func dialUser(ctx context.Context, runtimeDir string) (*Bus, error) {
	return newBus(func() (*godbus.Conn, error) {
		conn, err := godbus.Dial("unix:path="+runtimeDir+"/systemd/private", godbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if err := conn.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	})
}

// newBus connects through dial, which tests give.
func newBus(dial func() (*godbus.Conn, error)) (*Bus, error) {
	conn, err := dbus.NewConnection(dial)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	return &Bus{conn: conn}, nil
}

// Close ends the connection.
func (b *Bus) Close() { b.conn.Close() }

// Transient is a service to be made without a unit file: systemd.service(5), systemd.exec(5), as
// `systemd-run` makes it.
type Transient struct {
	Name        string // "uwsgi-mysite.service"
	Description string
	Argv        []string // the program's absolute path first
	Type        string   // Type=: "notify"
	Environ     []string
	Dir         string // WorkingDirectory=
	Watchdog    time.Duration
	StopTimeout time.Duration // TimeoutStopSec=; 0 = the manager's
	KillMode    string        // "" = the manager's
	Restart     string        // Restart=
	Reload      []string      // ExecReload=; nil = none
	Properties  map[string]any
}

// ExitStatusSet is a set of exit statuses and signals as the manager takes it: D-Bus type (aiai).
type ExitStatusSet struct{ Statuses, Signals []int32 }

// ErrUnitExists: a transient service of that name is there already.
var ErrUnitExists = errors.New("it is there already")

// StartTransient starts a transient service and returns when it is up (Type=notify: when it said
// READY=1), or why it did not come up. Then nothing is left of it: Restart= would go on trying
// behind the caller's back.
func (b *Bus) StartTransient(ctx context.Context, t Transient) error {
	if len(t.Argv) == 0 {
		return errors.New("start a transient service: no command")
	}
	// A failed unit of the same name would be in the way. There mostly is none.
	_ = b.conn.ResetFailedUnitContext(ctx, t.Name)
	err := b.job(ctx, t.Name, "start", func(ch chan<- string) (int, error) {
		return b.conn.StartTransientUnitContext(ctx, t.Name, "fail", t.properties(), ch)
	})
	var refused godbus.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Name == "org.freedesktop.systemd1.UnitExists":
		return fmt.Errorf("start %s: %w", t.Name, ErrUnitExists)
	case errors.As(err, &refused) && refused.Name == "org.freedesktop.DBus.Error.PropertyReadOnly":
		return fmt.Errorf("%w that is new enough: %w", ErrNoManager, err) // it does not know a property
	}
	if list, e := b.ListUnits(ctx, t.Name); e == nil && len(list) == 1 && list[0].Status != "" {
		err = fmt.Errorf("%w\n%s", err, list[0].Status)
	}
	_ = b.StopUnit(ctx, t.Name)
	_ = b.conn.ResetFailedUnitContext(ctx, t.Name)
	return err
}

// execCommand is one command of ExecStart= as the manager takes it: D-Bus type (sasb).
type execCommand struct {
	Path          string
	Argv          []string
	IgnoreFailure bool
}

func (t *Transient) properties() []dbus.Property {
	p := []dbus.Property{
		dbus.PropDescription(t.Description),
		{Name: "ExecStart", Value: godbus.MakeVariant([]execCommand{{t.Argv[0], t.Argv, false}})},
	}
	add := func(name string, value any) {
		p = append(p, dbus.Property{Name: name, Value: godbus.MakeVariant(value)})
	}
	if t.Type != "" {
		p = append(p, dbus.PropType(t.Type))
	}
	if len(t.Reload) > 0 {
		add("ExecReload", []execCommand{{t.Reload[0], t.Reload, false}})
	}
	if len(t.Environ) > 0 {
		add("Environment", t.Environ)
	}
	for _, s := range []struct{ name, value string }{{"WorkingDirectory", t.Dir}, {"KillMode", t.KillMode},
		{"Restart", t.Restart}} {
		if s.value != "" {
			add(s.name, s.value)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"WatchdogUSec", t.Watchdog}, {"TimeoutStopUSec", t.StopTimeout}} {
		if d.value > 0 {
			add(d.name, uint64(d.value.Microseconds()))
		}
	}
	for name, value := range t.Properties {
		add(name, value)
	}
	return p
}

// StartUnit starts a unit and returns when the job is over, as systemctl does: nil if it is done.
// StopUnit, RestartUnit and ReloadUnit alike.
func (b *Bus) StartUnit(ctx context.Context, name string) error {
	return b.job(ctx, name, "start", func(ch chan<- string) (int, error) {
		return b.conn.StartUnitContext(ctx, name, "replace", ch)
	})
}

// StopUnit stops a unit.
func (b *Bus) StopUnit(ctx context.Context, name string) error {
	return b.job(ctx, name, "stop", func(ch chan<- string) (int, error) {
		return b.conn.StopUnitContext(ctx, name, "replace", ch)
	})
}

// RestartUnit restarts a unit.
func (b *Bus) RestartUnit(ctx context.Context, name string) error {
	return b.job(ctx, name, "restart", func(ch chan<- string) (int, error) {
		return b.conn.RestartUnitContext(ctx, name, "replace", ch)
	})
}

// ReloadUnit reloads a unit.
func (b *Bus) ReloadUnit(ctx context.Context, name string) error {
	return b.job(ctx, name, "reload", func(ch chan<- string) (int, error) {
		return b.conn.ReloadUnitContext(ctx, name, "replace", ch)
	})
}

// job waits for the outcome of a manager's job: "done", "canceled", "timeout", "failed",
// "dependency", "skipped".
func (b *Bus) job(ctx context.Context, unit, what string, begin func(chan<- string) (int, error)) error {
	ch := make(chan string, 1)
	if _, err := begin(ch); err != nil {
		return fmt.Errorf("%s %s: %w", what, unit, err)
	}
	select {
	case result := <-ch:
		if result != "done" {
			return fmt.Errorf("%s %s: the job ended with %q; see journalctl -u %s", what, unit, result, unit)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", what, unit, ctx.Err())
	}
}

// UnitState is one service as the manager sees it.
type UnitState struct {
	Name        string
	Description string
	Active      string // active, reloading, inactive, failed, activating, deactivating
	Sub         string // running, dead …
	Since       time.Time
	MainPID     int
	Memory      uint64 // bytes; 0 = unknown
	Tasks       uint64
	Status      string // its STATUS=
	Result      string // success, exit-code, watchdog …
	Restarts    int
}

// ListUnits describes the services that are loaded and whose names match a pattern:
// "uwsgi*.service".
func (b *Bus) ListUnits(ctx context.Context, patterns ...string) ([]UnitState, error) {
	units, err := b.conn.ListUnitsByPatternsContext(ctx, nil, patterns)
	if err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	var out []UnitState
	for _, u := range units {
		s := UnitState{Name: u.Name, Description: u.Description, Active: u.ActiveState, Sub: u.SubState}
		props, err := b.conn.GetUnitTypePropertiesContext(ctx, u.Name, "Service")
		if err != nil {
			return nil, fmt.Errorf("properties of %s: %w", u.Name, err)
		}
		s.fill(props)
		if all, err := b.conn.GetUnitPropertiesContext(ctx, u.Name); err == nil {
			if us := number(all["ActiveEnterTimestamp"]); us > 0 {
				s.Since = time.UnixMicro(int64(us))
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func (s *UnitState) fill(props map[string]any) {
	s.MainPID = int(number(props["MainPID"]))
	s.Restarts = int(number(props["NRestarts"]))
	if n := number(props["MemoryCurrent"]); n != ^uint64(0) { // "not set"
		s.Memory = n
	}
	if n := number(props["TasksCurrent"]); n != ^uint64(0) {
		s.Tasks = n
	}
	s.Status, _ = props["StatusText"].(string)
	s.Result, _ = props["Result"].(string)
}

func number(v any) uint64 {
	switch n := v.(type) {
	case uint64:
		return n
	case uint32:
		return uint64(n)
	case int32:
		return uint64(max(n, 0))
	case int64:
		return uint64(max(n, 0))
	}
	return 0
}

// DaemonReload has the manager read its unit files and run its generators again: systemctl
// daemon-reload.
func (b *Bus) DaemonReload(ctx context.Context) error {
	if err := b.conn.ReloadContext(ctx); err != nil {
		return fmt.Errorf("daemon-reload: %w", err)
	}
	return nil
}

// UnitName makes a unit's name of a free text: what is no letter, digit or one of "-_." becomes
// "_": systemd.unit(5).
func UnitName(prefix, text, suffix string) string {
	b := []byte(prefix)
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b = append(b, c)
		default:
			b = append(b, '_')
		}
	}
	return string(b) + suffix
}
