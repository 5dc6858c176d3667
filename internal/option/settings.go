package option

import "time"

// Settings is one instance's whole configuration: complete and immutable once built. It travels as
// JSON (the field names are the keys) from the supervisor to the loader, which is Python, and to
// the data plane of each worker.
//
// Durations are time.Duration (nanoseconds in JSON); sizes are bytes unless the field says
// otherwise. The zero value of a field means "off" or "not set" except where Default (see
// default.go) fills it.
type Settings struct {
	// Instance
	// short name of the instance: the ini's base name without extension, else the module's, else
	// "uwsgi"
	Name      string
	Files     []string          // configuration files that were read, absolute, in order
	Places    map[string]string // where options are written that placed() wraps, see Place
	Processes int
	Threads   int
	Gevent    int  // requests at a time in greenlets of gevent's, on one thread; 0: on threads
	Master    bool // import the application once, before the fork
	LazyApps  bool // import it after the fork, in each worker, whatever Master says

	// What the rows of a concept fill stands beside them.
	SocketSettings
	AppSettings
	PythonSettings
	AsgiSettings
	RequestSettings
	WebSocketSettings
	CacheSettings
	ClusterSettings
	MetricSettings
	MemorySettings
	StaticSettings
	WorkerSettings
	LifecycleSettings
	DaemonSettings
	SpoolerSettings
	MuleSettings
	SignalSettings
	PrivilegeSettings
	CommandSettings
	LogSettings
	AlarmSettings
	StatsSettings

	FallbackConfig string
	Hooks          []Hook
	Emperor        Emperor

	// Opt is what uwsgi.opt shows: every pair as it stands after expansion, the last value of a
	// name; nil = a flag given without a value.
	Opt map[string]*string
	// Magic is what uwsgi.magic_table shows: the %x variables.
	Magic map[string]string
}

// Socket is one listening address.
type Socket struct {
	Address  string // as uWSGI writes it: :8000, 1.2.3.4:80, [::1]:80, /path, @abstract, fd://3, =0
	Protocol string // uwsgi, http, fastcgi, fastcgi-nph, scgi, scgi-nph; "" = Settings.Protocol
	Option   string // name of the option that asked for it, for messages
	Shared   bool   // shared-socket: bound, referred to by =N, serves nothing of itself
	Origin   Origin
}

// App is one application source.
type App struct {
	Mount string // "" = the default application
	Kind  string // module, file, paste, eval, ini-paste
	// Interface is wsgi or asgi where the option says so, else "": the application is looked at.
	Interface string `json:",omitempty"`
	Value     string // as written: pkg.mod:callable, path, uri
	Origin    Origin
}

// EnvOp changes one variable of the application's environment; Unset wins over Value.
type EnvOp struct {
	Name, Value string
	Unset       bool
}

// Warmup is one request of the server's own, a GET: as written, and what that means. Path is as a
// request line has it (percent-encoded). Host "" = the application's own.
type Warmup struct{ Text, Scheme, Host, Path, Query string }

// StaticMap is one place static files are looked for. Kind: map, map2 (keeps the prefix), check (no
// prefix).
type StaticMap struct{ Kind, Prefix, Path string }

// StaticExpires adds an Expires header. By: filename, uri, path-info, type. Mtime counts from the
// file's time, not from now.
type StaticExpires struct {
	By, Pattern string
	Seconds     int64
	Mtime       bool
}

// Hook runs Action with Arg at Phase (asap, as-root, as-user, pre-app, post-app, master-start,
// post-fork, accepting …).
type Hook struct {
	Phase, Action, Arg string
	Private            bool
	Option             string // name of the option that asked for it, for messages
	Origin             Origin
}

// Logger is one log destination: ID ("" = default), Kind (stdio, file, syslog, rsyslog, socket, fd,
// systemd), Arg after the colon.
type Logger struct{ ID, Kind, Arg string }

// LogRoute sends lines that match Pattern to the logger called ID.
type LogRoute struct{ ID, Pattern string }

// LogEncoder is one step of the encoder chain; Logger "" = all loggers.
type LogEncoder struct{ Kind, Logger, Arg string }

// Origin says where a setting was written: File "" = the command line or the environment (Line 0).
type Origin struct {
	File string
	Line int
}

// Busyness is the cheaper algorithm of that name: windows of CheaperOverload in which the share of
// busy time is measured.
type Busyness struct {
	Max               int // percent; above it workers are added
	Min               int // percent; below it workers are removed
	Multiplier        int // idle windows before one is removed
	Penalty           int // added to Multiplier after flapping
	Verbose           bool
	BacklogAlert      int // waiting connections that call for an emergency worker
	BacklogMultiplier int
	BacklogStep       int
	BacklogNonzero    time.Duration // a queue that stays above 0 for this long calls for one too
}

// Daemon is a program that runs beside the application: attach-daemon and its relatives.
type Daemon struct {
	Command      string // for /bin/sh -c
	Pidfile      string // smart: the process is found again by it, over reloads and stops
	Freq         int    // smart: failed checks before it is started again; 0 = default
	Daemonize    bool   // smart-attach-daemon2: the command stays in the foreground, the supervisor writes Pidfile
	Control      bool   // its end stops the instance
	Touch        []string
	StopSignal   int // 0 = SIGTERM
	ReloadSignal int // 0 = stopped and started again at a reload
	Stdin        bool
	UID, GID     string
	Chdir        string
	MaxThrottle  int // seconds; 0 = default
	Origin       Origin
}

// Cron is one timed command. A field is a number, -1 for every, or -N for every N-th; Week counts
// from Sunday, 0 or 7.
type Cron struct {
	Minute, Hour, Day, Month, Week int
	Command                        string
	Unique                         bool          // not while the previous run still goes on
	Harakiri                       time.Duration // 0 = cron-harakiri
	Origin                         Origin
}

// Emperor is the supervision of one instance a configuration file.
type Emperor struct {
	Sources           []string // folders and globs; empty = off
	Freq              time.Duration
	CurseTolerance    time.Duration
	Throttle          time.Duration
	MaxThrottle       time.Duration
	Tyrant            bool
	Nofollow          bool
	TyrantNofollow    bool
	Pidfile           string
	Stats             string
	Procname          string
	NoBlacklist       bool
	OnDemandExtension string
	OnDemandDirectory string
	OnDemandExec      string
	ExtraExtensions   []string
	Include           []string // vassals-include
	Inherit           []string
	IncludeBefore     []string
	InheritBefore     []string
	Set               []string // key=value
	StartHook         string
	StopHook          string
}
