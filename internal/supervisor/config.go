package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/schedule"
	"uwsgi/internal/stats"
	"uwsgi/internal/wire"
)

// Config is what an instance runs with. A reload replaces the whole of it but for Reconfigure,
// Commands, Log, Notify, Watchdog, Host and SlowImport, which are those given to New. Loaded,
// Applied, Release, Commands, WorkerStderr, Log and Notify are called by the loop: they must be
// quick and must not call the Supervisor.
type Config struct {
	Settings   *option.Settings
	Python     string   // the interpreter
	PythonArgs []string // its options
	LibDir     string
	Version    string
	Dir        string              // working directory of the application, "" = the supervisor's
	Env        []string            // the application's environment
	Credential *syscall.Credential // nil = keep the supervisor's

	Listeners      []Listener
	RequestLog     *os.File       // nil = nowhere
	RequestLogKind string         // as in wire.RequestLog
	Lease          schedule.Lease // which of several instances does what is done once; nil = there is one
	Redis          *os.File       // the door to Redis' agent; nil = nothing needs it
	// RemoteCache gives the figures of a cache in Redis.
	RemoteCache  func(option.Cache) stats.Cache
	WorkerStderr func(slot int) (*os.File, error)
	Stdio        [3]*os.File // of loader and workers; nil = the supervisor's own

	// StopWithin is after how long a graceful stop kills what it still waits for, 0 = the mercy is
	// all that bounds it.
	StopWithin time.Duration

	// Alarm raises an alarm by name; it must not wait. AlarmFile is where processes do so
	// (wire.Boot.AlarmFD). nil = there are none.
	Alarm     func(name, message string)
	AlarmFile *os.File

	// Hooks runs the hooks of a phase: pre-app, post-app, master-start, as-user-atexit. nil = none.
	Hooks func(ctx context.Context, phase string) error
	// Locate completes an error of an option with its place; nil = there is none to tell.
	Locate func(error) error
	// Reconfigure reads the configuration again, for a reload. nil = the same again.
	Reconfigure func(ctx context.Context) (*Config, error)
	// Commands has the timed commands that are due started, and gives how long it is until it wants
	// to be asked again; negative: not before Tick is called. nil = there are none.
	Commands func(now time.Time) time.Duration
	// Loaded is called once the application was imported at the start: before the first fork, or by
	// the first worker.
	Loaded func()
	// Applied is called once this configuration is the one in force.
	Applied func()
	// Release is called once nothing uses this configuration any more: a reload with it failed, or
	// another one took its place and its workers are gone. It is not called for the one in force
	// when Run returns.
	Release func()

	Log      LogFunc
	Notify   Notifier      // nil = nobody to notify
	Watchdog time.Duration // between two keep-alives; 0 = none
	Host     *Host         // nil = the operating system
	// SlowImport is when the log tells of an import; zero = after one second, and after thirty.
	SlowImport SlowImport
}

// Listener is a listening socket; File stays open while a configuration that names it is in use.
// Queue measures how many connections wait in it and how many may; nil = nobody can tell.
type Listener struct {
	wire.Listener
	File  *os.File
	FD    int // of File, for the log
	Queue func() (waiting, limit int, err error)
}

// LogFunc writes one entry of the server log. event is a stable name, text what uWSGI writes where
// the event is the same.
type LogFunc func(level slog.Level, event, text string, attrs ...slog.Attr)

// Notifier is the service manager; *sd.Notifier is one.
type Notifier interface {
	Ready(status string) error
	Reloading(status string) error
	Stopping(status string) error
	Status(status string) error
	Failed(status string, errno int) error
	Watchdog() error
	ExtendTimeout(d time.Duration) error
}

// Keys of log attributes.
const (
	KeyWorker     = "worker"
	KeyMule       = "mule"
	KeySpooler    = "spooler"
	KeyPID        = "pid"
	KeyGeneration = "generation"
	KeyReason     = "reason"
	KeySignal     = "signal"
	KeyExit       = "exit"
	KeyError      = "error"
	KeyCore       = "core"
	KeyRequest    = "request"
	KeyAge        = "age"
	KeyBytes      = "bytes"
	KeyOOM        = "oom"
)

func (c *Config) check() error {
	switch {
	case c.Settings == nil:
		return errors.New("supervisor: no settings")
	case c.Python == "":
		return errors.New("supervisor: no interpreter")
	case c.Settings.Processes < 0:
		return errors.New("supervisor: processes is negative")
	}
	return nil
}

// lazy reports whether each worker imports the application itself: where lazy-apps says so and, as
// uWSGI without a master serves in the process that has imported it, where there is none. What is
// about having no worker for a while needs a process that has the application meanwhile.
func (c *Config) lazy() bool {
	return (c.Settings.LazyApps || c.masterless()) && !c.Settings.NoServer // which asks for no worker
}

func (c *Config) masterless() bool {
	s := c.Settings
	return !s.Master && !s.LazyApps && !s.Cheap && s.Idle == 0 && s.Cheaper == 0 && len(s.Mules) == 0
}

// cores is how many requests of WSGI applications a worker serves at the same time.
func (c *Config) cores() int { return max(c.Settings.Threads, c.Settings.Gevent, 1) }

func (c *Config) mercy() time.Duration { return c.Settings.Mercy() }

// atFirst is the number of workers that a generation starts with: all, or what cheaper says.
func (c *Config) atFirst() int {
	n := c.Settings.Processes
	if min := c.Settings.Cheaper; min > 0 {
		return clamp(c.Settings.CheaperInitial, min, n)
	}
	return n
}

func (c *Config) checkInterval() time.Duration {
	if d := c.Settings.CheckInterval; d > 0 {
		return d
	}
	return time.Second
}

// stdio are the standard streams of a loader: what it prints takes the way of what the workers
// print. A terminal stays standard output.
func (c *Config) stdio() ([3]*os.File, error) {
	out := c.Stdio
	if c.WorkerStderr == nil {
		return out, nil
	}
	f, err := c.WorkerStderr(0)
	if err != nil || f == nil {
		return out, err
	}
	out[2] = f
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err != nil && out[1] == nil {
		out[1] = f
	}
	return out, nil
}

func clamp(n, low, high int) int { return max(min(n, high), low) }
