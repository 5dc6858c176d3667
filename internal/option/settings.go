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
	Name      string   // short name of the instance: the ini's base name without extension, else the module's, else "uwsgi"
	Files     []string // configuration files that were read, absolute, in order
	Processes int
	Threads   int
	Gevent    int  // requests at a time asked for as greenlets: as many threads
	Master    bool // import the application once, before the fork
	// AsgiConcurrency is how many requests and websockets a worker with an event loop has in hand.
	AsgiConcurrency int
	AsgiLoop        string // auto, uvloop, asyncio
	Lifespan        string // auto, on, off
	LazyApps        bool   // import it after the fork, in each worker, whatever Master says

	// Sockets, in the order they were written.
	Sockets        []Socket
	Protocol       string // protocol of `socket` and of inherited sockets that name none: uwsgi, http, fastcgi, scgi …
	Listen         int    // backlog; 0 = the kernel's somaxconn
	ChmodSocket    string // "", or three octal digits
	ChownSocket    string // "", or user[:group]
	Umask          int    // -1 = leave
	AbstractSocket bool
	ReusePort      bool
	Freebind       bool
	TCPNodelay     bool
	SoKeepalive    bool
	DeferAccept    bool
	SoSndbuf       int
	SoRcvbuf       int
	HonourStdin    bool
	SkipZero       bool // do not look at descriptor 0 for an inherited socket
	TCPFastOpen    int  // queue length; 0 = off

	// Application
	Apps              []App // in order; several without a mount point are tried in turn
	Callable          string
	ManageScriptName  bool
	IgnoreScriptName  bool
	NeedApp           bool // default true
	NoDefaultApp      bool
	SingleInterpreter bool // mounts may get each other's modules
	Chdir             string
	Chdir2            string
	PythonPath        []string
	Home              string // virtualenv, as written (relative to Chdir's cwd)
	PyProgramName     string
	PyExecutable      string
	PyArgv            []string
	Imports           []string
	SharedImports     []string
	PyModuleAlias     []string
	PasteLogger       bool
	PasteName         string
	Optimize          int
	NoSite            bool
	Env               []EnvOp // env, unenv, envdir in the order they apply
	FileWrapper       bool    // default true
	PyAutoreload      time.Duration
	PyAutoreloadSkip  []string
	Pyrun             string // script to run in place of a server
	NoServer          bool   // load the application, then exit 0
	ThreadStackSize   int64  // bytes; 0 = the system's
	SkipAtexit        bool
	MaxFD             int

	// Requests
	BufferSize          int           // head of a request; default 64 KiB
	PostBuffering       int64         // a body larger than this goes to a temporary file; default 64 KiB
	LimitPost           int64         // 0 = no limit
	SocketTimeout       time.Duration // reading from and writing to a peer; default 4 s as uWSGI's, see the data plane
	SendTimeout         time.Duration
	HTTPTimeout         time.Duration // 0 = 60 s for the head, SocketTimeout for the body
	HTTPHeadersTimeout  time.Duration
	HTTPKeepalive       time.Duration // idle time of a keep-alive connection; 0 = default
	HTTPNoKeepalive     bool          // http-keepalive = 0
	ChunkedInputLimit   int64
	ChunkedInputTimeout time.Duration
	IgnoreWriteErrors   bool
	NoWriteException    bool // disable-write-exception
	AddHeaders          []string
	RemHeaders          []string
	HTTPVars            []string // http-var, NAME=value
	HTTPHostAsName      bool
	MaxVars             int
	PostBufferingMemory int64 // bytes of a worker

	// WebSockets
	WebSocketMaxSize int64         // bytes of a client's message; default 16 MiB, 0 = no limit
	WebSocketPing    time.Duration // a client that is silent for so long is sent a ping; default 20 s, 0 = never
	WebSocketPong    time.Duration // … and may take so long to answer; default 20 s, 0 = for ever
	WebSocketDeflate bool          // permessage-deflate is agreed to; default true

	// Static files
	StaticMaps     []StaticMap // static-map, static-map2 and check-static in the order they are looked up
	StaticIndexes  []string
	StaticSkipExts []string
	StaticSafe     []string
	StaticExpires  []StaticExpires
	StaticGzipAll  bool
	StaticGzip     []string // regexps
	StaticGzipDirs []string
	StaticGzipExts []string
	MimeFiles      []string
	FileServeMode  string // "", "x-sendfile", "x-accel-redirect"
	HonourRange    bool
	NoSendfile     bool
	StaticDocroot  bool

	// Life cycle
	Harakiri               time.Duration
	HarakiriNoARH          bool // the clock stops before after_req_hook
	HarakiriVerbose        bool
	HarakiriGrace          time.Duration // harakiri-graceful-timeout
	HarakiriSignal         int           // harakiri-graceful-signal
	MaxRequests            int64
	MaxRequestsDelta       int64
	MinWorkerLifetime      time.Duration
	MaxWorkerLifetime      time.Duration
	MaxWorkerDelta         time.Duration
	ReloadMercy            time.Duration
	ShutdownDelay          time.Duration
	GracefulTimeout        time.Duration // 0 = none was asked for
	WorkerReloadMercy      time.Duration // default 60 s
	ReloadOnAS             int64         // bytes
	ReloadOnRSS            int64
	EvilReloadOnAS         int64
	EvilReloadOnRSS        int64
	LimitAS                int64
	LimitNproc             int
	MemoryReport           bool
	NoOrphans              bool
	ExitOnReload           bool
	ReloadStopFirst        bool
	Reaper                 bool
	Cheap                  bool
	Idle                   time.Duration
	DieOnIdle              bool
	Cheaper                int
	CheaperInitial         int
	CheaperAlgo            string
	CheaperStep            int
	CheaperOverload        time.Duration
	CheaperIdle            time.Duration
	CheaperRSSSoft         int64 // bytes of all workers together; 0 = no limit
	CheaperRSSHard         int64
	Busyness               Busyness
	ForkbombDelay          time.Duration
	CheckInterval          time.Duration
	Prio                   int
	ReloadOnException      bool
	ReloadOnExceptionOf    []string      // type names
	ReloadOnExceptionValue []string      // messages
	ReloadOnExceptionRepr  []string      // Type: message
	HarakiriQueue          int           // harakiri-queue-threshold: act only when at least so many connections wait; 0 = always
	MemCollectorFreq       time.Duration // sampling of evil-reload-on-*; 0 = default
	DieOnNoWorkers         bool
	NeverSwap              bool
	CPUAffinity            int   // CPUs a worker is pinned to; 0 = none
	ReloadOnUSS            int64 // bytes
	ReloadOnPSS            int64
	TouchChainReload       []string
	WaitForFS              []string // paths that must exist before the start goes on
	WaitForDir             []string
	WaitForFile            []string
	WaitForMount           []string
	WaitForSocket          []string
	WaitForIface           []string
	WaitForFSTimeout       time.Duration
	WaitForSocketTimeout   time.Duration
	WaitForIfaceTimeout    time.Duration
	FileWrites             []EnvOp  // file-write: Name is the path, Value the text
	Flock                  []string // files locked at start
	FlockWait              []string
	FallbackConfig         string
	TouchReload            []string
	TouchWorkersReload     []string
	TouchLogreopen         []string
	TouchLogrotate         []string
	TouchExec              []string // "file command"
	Hooks                  []Hook
	MasterFIFO             []string
	Locks                  int
	Daemons                []Daemon
	DaemonsHonourStdin     bool
	Crons                  []Cron
	CronHarakiri           time.Duration // of commands that name none; 0 = no limit
	Emperor                Emperor

	// Privileges and files
	UID            string // name or number, as written
	GID            string
	AddGIDs        []string
	NoInitgroups   bool
	MasterAsRoot   bool
	NoNewPrivs     bool
	Pidfile        string
	Pidfile2       string
	SafePidfile    string
	SafePidfile2   string
	Vacuum         bool
	Daemonize      string // log file or host:port, "" = stay in the foreground
	DaemonizeLate  bool   // daemonize2: detach only once the application is loaded
	DaemonizePlain bool   // bare -d: detach without naming a log
	ProcnameAuto   bool
	Procname       string
	ProcnameMaster string
	ProcnamePrefix string
	ProcnameAppend string

	// Logs
	LogTo          string
	LogTo2         string
	LogMaxSize     int64
	LogBackupName  string
	LogTruncate    bool
	LogMaster      bool
	LogfileChmod   string
	LogfileChown   bool
	DisableLogging bool
	Log4xx         bool
	Log5xx         bool
	LogZero        bool
	LogSendfile    bool
	LogIOError     bool
	LogSlow        time.Duration
	LogBig         int64
	LogMicros      bool
	LogDate        string // strftime format; "" = off, see config for the default form
	LogPrefix      string
	LogXForwarded  bool
	LogFormat      string
	LogFormatFtime bool // logformat-strftime
	Loggers        []Logger
	ReqLoggers     []Logger
	LogRoutes      []LogRoute
	LogReqRoutes   []LogRoute
	LogEncoders    []LogEncoder
	LogReqEncoders []LogEncoder
	LogDrain       []string
	LogFilter      []string
	Stats          []string // addresses
	StatsHTTP      bool
	StatsMinified  bool
	StatsNoCores   bool

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
