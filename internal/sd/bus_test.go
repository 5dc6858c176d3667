package sd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// manager is a fake systemd on the other end of a wire without a bus: both ends log in to the test,
// which then only carries the bytes.
type manager struct {
	mu     sync.Mutex
	conns  []*godbus.Conn
	result string // of every job
	calls  []string
	props  map[string]godbus.Variant
}

func (m *manager) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}

// job tells the outcome on every connection: the client listens on one of its own.
func (m *manager) job(unit string) (godbus.ObjectPath, *godbus.Error) {
	const path = "/org/freedesktop/systemd1/job/7"
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		if err := c.Emit("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager.JobRemoved", uint32(7),
			godbus.ObjectPath(path), unit, m.result); err != nil {
			return "", godbus.MakeFailedError(err)
		}
	}
	return path, nil
}

func (m *manager) StartUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	m.note("start %s %s", name, mode)
	if name == "missing.service" {
		return "", godbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"Unit missing.service not found."})
	}
	return m.job(name)
}

func (m *manager) StopUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	m.note("stop %s %s", name, mode)
	return m.job(name)
}

func (m *manager) RestartUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	m.note("restart %s %s", name, mode)
	return m.job(name)
}

func (m *manager) ReloadUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	m.note("reload %s %s", name, mode)
	return m.job(name)
}

func (m *manager) Reload() *godbus.Error {
	m.note("daemon-reload")
	return nil
}

func (m *manager) ResetFailedUnit(string) *godbus.Error { return nil }

type property struct {
	Name  string
	Value godbus.Variant
}

func (m *manager) StartTransientUnit(name, mode string, props []property, _ []struct {
	Name  string
	Props []property
}) (godbus.ObjectPath, *godbus.Error) {
	if name == "twice.service" {
		return "", godbus.NewError("org.freedesktop.systemd1.UnitExists",
			[]any{"Unit twice.service was already loaded or has a fragment file."})
	}
	if name == "old.service" {
		return "", godbus.NewError("org.freedesktop.DBus.Error.PropertyReadOnly",
			[]any{"Cannot set property OOMPolicy, or unknown property."})
	}
	var all []string
	for _, p := range props {
		all = append(all, p.Name+"="+p.Value.Signature().String()+p.Value.String())
	}
	slices.Sort(all)
	m.note("transient %s %s %s", name, mode, strings.Join(all, " "))
	return m.job(name)
}

type unitRow struct {
	Name, Description, Load, Active, Sub, Followed string
	Path                                           godbus.ObjectPath
	Job                                            uint32
	JobType                                        string
	JobPath                                        godbus.ObjectPath
}

func (m *manager) ListUnitsByPatterns(_, patterns []string) ([]unitRow, *godbus.Error) {
	m.note("list %s", patterns)
	return []unitRow{{"uwsgi@mysite.service", "uWSGI", "loaded", "active", "running", "",
		"/org/freedesktop/systemd1/unit/x", 0, "", "/"}}, nil
}

// GetAll is org.freedesktop.DBus.Properties of every unit.
func (m *manager) GetAll(string) (map[string]godbus.Variant, *godbus.Error) { return m.props, nil }

// bus is org.freedesktop.DBus.
type bus struct{}

func (bus) Hello() (string, *godbus.Error)   { return ":1.1", nil }
func (bus) AddMatch(string) *godbus.Error    { return nil }
func (bus) GetAll(string) *godbus.Error      { return nil }
func (bus) Subscribe() *godbus.Error         { return nil }
func (bus) RemoveMatch(string) *godbus.Error { return nil }

// dial makes one connection: client and manager each authenticate against login, then talk to each
// other.
func (m *manager) dial(t *testing.T) func() (*godbus.Conn, error) {
	return func() (*godbus.Conn, error) {
		client, clientEnd := net.Pipe()
		server, serverEnd := net.Pipe()
		type logged struct {
			r   *bufio.Reader
			err error
		}
		login := func(end net.Conn) chan logged {
			ch := make(chan logged, 1)
			go func() {
				r, err := answerLogin(end)
				ch <- logged{r, err}
			}()
			return ch
		}
		serverIn, clientIn := login(serverEnd), login(clientEnd)
		srv, err := godbus.NewConn(server)
		if err != nil {
			return nil, err
		}
		auth := []godbus.Auth{godbus.AuthExternal("0")}
		if err := srv.Auth(auth); err != nil {
			return nil, err
		}
		si := <-serverIn
		if si.err != nil {
			return nil, si.err
		}
		for _, e := range []struct {
			v     any
			path  godbus.ObjectPath
			iface string
		}{
			{bus{}, "/org/freedesktop/DBus", "org.freedesktop.DBus"},
			{m, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"},
		} {
			if err := srv.Export(e.v, e.path, e.iface); err != nil {
				return nil, err
			}
		}
		if err := srv.ExportSubtree(units{m}, "/org/freedesktop/systemd1/unit",
			"org.freedesktop.DBus.Properties"); err != nil {
			return nil, err
		}
		m.mu.Lock()
		m.conns = append(m.conns, srv)
		m.mu.Unlock()
		var wg sync.WaitGroup
		t.Cleanup(func() {
			for _, c := range []io.Closer{srv, client, clientEnd, serverEnd} {
				c.Close()
			}
			wg.Wait()
		})
		conn, err := godbus.NewConn(client)
		if err != nil {
			return nil, err
		}
		if err := conn.Auth(auth); err != nil {
			return nil, err
		}
		ci := <-clientIn
		if ci.err != nil {
			return nil, ci.err
		}
		wg.Go(func() { io.Copy(serverEnd, ci.r) })
		wg.Go(func() { io.Copy(clientEnd, si.r) })
		return conn, conn.Hello()
	}
}

// units answers for the properties of every unit.
type units struct{ m *manager }

func (u units) GetAll(_ godbus.Message, iface string) (map[string]godbus.Variant, *godbus.Error) {
	return u.m.props, nil
}

// answerLogin is the server's side of the D-Bus handshake.
func answerLogin(end net.Conn) (*bufio.Reader, error) {
	r := bufio.NewReader(end)
	if _, err := r.ReadByte(); err != nil { // the NUL that begins it
		return nil, err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSpace(line)
		answer := ""
		switch {
		case line == "AUTH":
			answer = "REJECTED EXTERNAL\r\n"
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			answer = "OK 0123456789abcdef0123456789abcdef\r\n"
		case line == "BEGIN":
			return r, nil
		default:
			answer = "ERROR\r\n"
		}
		if _, err := io.WriteString(end, answer); err != nil {
			return nil, err
		}
	}
}

func testBus(t *testing.T, result string) (*Bus, *manager) {
	t.Helper()
	m := &manager{result: result}
	b, err := newBus(m.dial(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, m
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestBusJobs(t *testing.T) {
	b, m := testBus(t, "done")
	ctx := testContext(t)
	for _, do := range []func(context.Context, string) error{b.StartUnit, b.StopUnit, b.RestartUnit, b.ReloadUnit} {
		if err := do(ctx, "uwsgi@a.service"); err != nil {
			t.Error(err)
		}
	}
	if err := b.DaemonReload(ctx); err != nil {
		t.Error(err)
	}
	want := "[start uwsgi@a.service replace stop uwsgi@a.service replace restart uwsgi@a.service replace reload " +
		"uwsgi@a.service replace daemon-reload]"
	if got := fmt.Sprint(m.calls); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if err := b.StartUnit(ctx, "missing.service"); err == nil ||
		!strings.Contains(err.Error(), "start missing.service: Unit missing.service not found.") {
		t.Error(err)
	}
}

func TestBusFailedJob(t *testing.T) {
	b, _ := testBus(t, "failed")
	err := b.ReloadUnit(testContext(t), "uwsgi@a.service")
	if err == nil || !strings.Contains(err.Error(), `reload uwsgi@a.service: the job ended with "failed"; see journalctl -u uwsgi@a.service`) {
		t.Error(err)
	}
}

func TestBusStartTransient(t *testing.T) {
	b, m := testBus(t, "done")
	err := b.StartTransient(testContext(t), Transient{
		Name: "uwsgi-mysite.service", Description: "uWSGI mysite",
		Argv: []string{"/usr/bin/uwsgi", "--ini", "my site.ini"}, Type: "notify",
		Environ: []string{"A=b"}, Dir: "/srv", Watchdog: 30 * time.Second, KillMode: "mixed",
		Reload:     []string{"/usr/bin/uwsgi", "--reload", "1"},
		Properties: map[string]any{"Restart": "on-failure"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `transient uwsgi-mysite.service fail Description=s"uWSGI mysite" Environment=as["A=b"] ` +
		`ExecReload=a(sasb)[["/usr/bin/uwsgi", ["/usr/bin/uwsgi", "--reload", "1"], false]] ExecStart=a(sasb)[["/usr/bin/uwsgi", ["/usr/bin/uwsgi", "--ini", "my site.ini"], false]] ` +
		`KillMode=s"mixed" Restart=s"on-failure" Type=s"notify" WatchdogUSec=t@t 30000000 WorkingDirectory=s"/srv"`
	if len(m.calls) != 1 || m.calls[0] != want {
		t.Errorf("%s\nwant %s", m.calls, want)
	}
	if err := b.StartTransient(testContext(t), Transient{Name: "x"}); err == nil {
		t.Error("no command: no error")
	}
}

// What did not come up is stopped, for it would be tried again; what is there already is left
// alone.
func TestBusStartTransientFails(t *testing.T) {
	b, m := testBus(t, "failed")
	m.props = map[string]godbus.Variant{"StatusText": godbus.MakeVariant("no module named fake")}
	err := b.StartTransient(testContext(t), Transient{Name: "a.service", Argv: []string{"/bin/false"}})
	if err == nil || !strings.HasSuffix(err.Error(), "\nno module named fake") {
		t.Error(err)
	}
	if n := len(m.calls); n == 0 || m.calls[n-1] != "stop a.service replace" {
		t.Errorf("%q", m.calls)
	}
	m.calls = nil
	err = b.StartTransient(testContext(t), Transient{Name: "old.service", Argv: []string{"/bin/true"}})
	if !errors.Is(err, ErrNoManager) || !strings.Contains(err.Error(), "OOMPolicy") || len(m.calls) != 0 {
		t.Errorf("%v %q", err, m.calls)
	}
	err = b.StartTransient(testContext(t), Transient{Name: "twice.service", Argv: []string{"/bin/true"}})
	if !errors.Is(err, ErrUnitExists) || len(m.calls) != 0 {
		t.Errorf("%v %q", err, m.calls)
	}
}

func TestBusListUnits(t *testing.T) {
	b, m := testBus(t, "done")
	m.props = map[string]godbus.Variant{
		"MainPID": godbus.MakeVariant(uint32(42)), "MemoryCurrent": godbus.MakeVariant(uint64(7 << 20)), "TasksCurrent": godbus.MakeVariant(^uint64(0)),
		"StatusText": godbus.MakeVariant("2 busy"), "Result": godbus.MakeVariant("success"), "NRestarts": godbus.MakeVariant(uint32(3)),
		"ActiveEnterTimestamp": godbus.MakeVariant(uint64(1_700_000_000_000_000)),
	}
	got, err := b.ListUnits(testContext(t), "uwsgi*.service")
	if err != nil {
		t.Fatal(err)
	}
	want := UnitState{Name: "uwsgi@mysite.service", Description: "uWSGI", Active: "active", Sub: "running",
		Since: time.Unix(1_700_000_000, 0), MainPID: 42,
		Memory: 7 << 20, Status: "2 busy", Result: "success", Restarts: 3}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestNoBus(t *testing.T) {
	_, err := newBus(func() (*godbus.Conn, error) { return nil, io.ErrUnexpectedEOF })
	if !errors.Is(err, ErrNoManager) {
		t.Error(err)
	}
	if _, err := dialUser(testContext(t), t.TempDir()); !errors.Is(err, ErrNoManager) {
		t.Error(err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus")
	if got := AskLogin(testContext(t), 1000); got.Lingers || got.KillsProcesses {
		t.Errorf("%+v", got)
	}
}

func TestUnitName(t *testing.T) {
	if got := UnitName("uwsgi-", "my site/é", ".service"); got != "uwsgi-my_site___.service" {
		t.Error(got)
	}
}
