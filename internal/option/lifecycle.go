package option

import "time"

const groupLifecycle Group = "Life cycle"

// LifecycleSettings is what these rows say about how processes and instances come and go.
type LifecycleSettings struct {
	Harakiri          time.Duration
	HarakiriNoARH     bool // the clock stops before after_req_hook
	HarakiriVerbose   bool
	HarakiriGrace     time.Duration // harakiri-graceful-timeout
	HarakiriSignal    int           // harakiri-graceful-signal
	MaxRequests       int64
	MaxRequestsDelta  int64
	MinWorkerLifetime time.Duration
	MaxWorkerLifetime time.Duration
	MaxWorkerDelta    time.Duration
	ReloadMercy       time.Duration
	ShutdownDelay     time.Duration
	GracefulTimeout   time.Duration // 0 = none was asked for
	WorkerReloadMercy time.Duration // default 60 s
	ReloadOnAS        int64         // bytes
	ReloadOnRSS       int64
	EvilReloadOnAS    int64
	EvilReloadOnRSS   int64
	NoOrphans         bool
	ExitOnReload      bool
	ReloadStopFirst   bool
	Reaper            bool
	ForkbombDelay     time.Duration
	CheckInterval     time.Duration
	// harakiri-queue-threshold: act only when at least so many connections wait; 0 = always
	HarakiriQueue        int
	MemCollectorFreq     time.Duration // sampling of evil-reload-on-*; 0 = default
	DieOnNoWorkers       bool
	ReloadOnUSS          int64 // bytes
	ReloadOnPSS          int64
	TouchChainReload     []string
	WaitForFS            []string // paths that must exist before the start goes on
	WaitForDir           []string
	WaitForFile          []string
	WaitForMount         []string
	WaitForSocket        []string
	WaitForIface         []string
	WaitForFSTimeout     time.Duration
	WaitForSocketTimeout time.Duration
	WaitForIfaceTimeout  time.Duration
	Flock                []string // files locked at start
	FlockWait            []string
	TouchReload          []string
	TouchWorkersReload   []string
	TouchExec            []string // "file command"
	MasterFIFO           []string
}

var lifecycleRows = []Row{
	{Name: "harakiri", Short: 't', Example: "60", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.Harakiri }),
		Help: "end a worker whose request runs longer than this; the client gets a 504 and the log the stacks"},
	{Name: "harakiri-no-arh", Aliases: []string{"no-harakiri-arh", "no-harakiri-after-req-hook"}, Kind: Flag,
		Group: groupLifecycle,
		Set:   flag(func(s *Settings) *bool { return &s.HarakiriNoARH }),
		Help:  "leave uwsgi.after_req_hook all the time that it takes"},
	{Name: "harakiri-verbose", Kind: Flag, Group: groupLifecycle,
		Set:  flag(func(s *Settings) *bool { return &s.HarakiriVerbose }),
		Help: "log more about a worker that is ended"},
	{Name: "harakiri-graceful-timeout", Kind: Seconds, Since: "2.0.22", Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.HarakiriGrace }),
		Help: "send the gentle signal first, kill after this long"},
	{Name: "harakiri-graceful-signal", Example: "15", Kind: Int, Since: "2.0.22", Group: groupLifecycle,
		Set:  signalNumber(func(s *Settings) *int { return &s.HarakiriSignal }),
		Help: "number of the gentle signal (15)"},
	{Name: "harakiri-queue-threshold", Kind: Int, Since: "2.0.22", Group: groupLifecycle,
		Set:  integer(func(s *Settings) *int { return &s.HarakiriQueue }),
		Help: "end a worker only while at least this many connections wait"},
	{Name: "max-requests", Short: 'R', Example: "5000", Kind: Int, Group: groupLifecycle,
		Set:  integer(func(s *Settings) *int64 { return &s.MaxRequests }),
		Help: "replace a worker after this many requests"},
	{Name: "max-requests-delta", Kind: Int, Since: "2.0.29", Group: groupLifecycle,
		Set:  integer(func(s *Settings) *int64 { return &s.MaxRequestsDelta }),
		Help: "spread max-requests by this much from worker to worker"},
	{Name: "min-worker-lifetime", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.MinWorkerLifetime }),
		Help: "replace no worker younger than this (10)"},
	{Name: "max-worker-lifetime", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.MaxWorkerLifetime }),
		Help: "replace a worker at this age"},
	{Name: "max-worker-lifetime-delta", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.MaxWorkerDelta }),
		Help: "spread max-worker-lifetime by this much from worker to worker"},
	{Name: "reload-mercy", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.ReloadMercy }),
		Help: "time requests and daemons get to finish at a stop or reload"},
	{Name: "worker-reload-mercy", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.WorkerReloadMercy }),
		Help: "time a worker gets to finish before it is killed (60)"},
	{Name: "shutdown-delay", Kind: Seconds, Since: "ours", Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.ShutdownDelay }),
		Help: "serve on for this long after a signal to stop, for load balancers that look away late"},
	{Name: "graceful-timeout", Unset: "the mercy; 10 as PID 1 of a container", Kind: Seconds,
		Since: "ours", Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.GracefulTimeout }),
		Help: "kill what a stop still waits for after this long (the mercy; 10 as PID 1 of a container)"},
	{Name: "reload-on-as", Example: "1024", Kind: MiB, Group: groupLifecycle,
		Set:  sizeMiB(func(s *Settings) *int64 { return &s.ReloadOnAS }),
		Help: "replace a worker whose address space is larger, after its request"},
	{Name: "reload-on-rss", Example: "512", Kind: MiB, Group: groupLifecycle,
		Set:  sizeMiB(func(s *Settings) *int64 { return &s.ReloadOnRSS }),
		Help: "replace a worker that uses more memory, after its request"},
	{Name: "reload-on-uss", Kind: MiB, Since: "2.1", Group: groupLifecycle,
		Set: sizeMiB(func(s *Settings) *int64 { return &s.ReloadOnUSS }), Help: "… that uses more memory of its own"},
	{Name: "reload-on-pss", Kind: MiB, Since: "2.1", Group: groupLifecycle,
		Set: sizeMiB(func(s *Settings) *int64 { return &s.ReloadOnPSS }), Help: "… whose share of memory is larger"},
	{Name: "evil-reload-on-as", Example: "2048", Kind: MiB, Group: groupLifecycle,
		Set:  sizeMiB(func(s *Settings) *int64 { return &s.EvilReloadOnAS }),
		Help: "kill a worker whose address space is larger, even during a request"},
	{Name: "evil-reload-on-rss", Example: "1024", Kind: MiB, Group: groupLifecycle,
		Set:  sizeMiB(func(s *Settings) *int64 { return &s.EvilReloadOnRSS }),
		Help: "kill a worker that uses more memory, even during a request"},
	{Name: "mem-collector-freq", Unset: "1", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.MemCollectorFreq }),
		Help: "how often evil-reload-on-* looks (1)"},
	{Name: "reload-stop-first", Kind: Flag, Since: "ours", Group: groupLifecycle,
		Set:  flag(func(s *Settings) *bool { return &s.ReloadStopFirst }),
		Help: "at a reload stop the old workers before the new ones load: for applications that hold a lock or a port"},
	{Name: "die-on-term", Kind: Flag, Group: groupLifecycle, Set: checked,
		Help: "SIGTERM stops the instance (always so here)"},
	{Name: "exit-on-reload", Kind: Flag, Group: groupLifecycle,
		Set:  flag(func(s *Settings) *bool { return &s.ExitOnReload }),
		Help: "a reload ends the instance with status 0 instead"},
	{Name: "no-orphans", Kind: Flag, Group: groupLifecycle, Set: flag(func(s *Settings) *bool { return &s.NoOrphans }),
		Help: "workers end at once when the supervisor is gone"},
	{Name: "die-on-no-workers", Kind: Flag, Since: "2.1", Group: groupLifecycle,
		Set:  flag(func(s *Settings) *bool { return &s.DieOnNoWorkers }),
		Help: "exit with status 1 when no worker is left"},
	{Name: "reaper", Short: 'r', Kind: Flag, Group: groupLifecycle,
		Set:  flag(func(s *Settings) *bool { return &s.Reaper }),
		Help: "collect dead children of the application after each request"},
	{Name: "forkbomb-delay", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.ForkbombDelay }),
		Help: "wait when workers die in quick succession (2)"},
	{Name: "check-interval", Kind: Seconds, Group: groupLifecycle, Set: checkInterval,
		Help: "how often the supervisor looks at its workers (1)"},
	{Name: "touch-reload", Aliases: []string{"fs-reload"}, Kind: Path, Repeat: true, Group: groupLifecycle,
		Example: "/srv/mysite/reload",
		Set:     list(func(s *Settings) *[]string { return &s.TouchReload }), Help: "reload when this file is touched"},
	{Name: "touch-workers-reload", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set:  list(func(s *Settings) *[]string { return &s.TouchWorkersReload }),
		Help: "replace the workers when this file is touched"},
	{Name: "touch-chain-reload", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set:  list(func(s *Settings) *[]string { return &s.TouchChainReload }),
		Help: "replace the workers one after the other when this file is touched"},
	{Name: "touch-exec", Kind: Command, Repeat: true, Group: groupLifecycle, Set: touchExec,
		Example: "/srv/mysite/deployed /usr/local/bin/warm-cache",
		Help:    "run a command when a file is touched: FILE COMMAND"},
	{Name: "master-fifo", Example: "/run/uwsgi/mysite.fifo", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set:  list(func(s *Settings) *[]string { return &s.MasterFIFO }),
		Help: "named pipe that takes commands of one letter"},
	{Name: "wait-for-fs", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set: list(func(s *Settings) *[]string { return &s.WaitForFS }), Help: "start once this path exists"},
	{Name: "wait-for-file", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set: list(func(s *Settings) *[]string { return &s.WaitForFile }), Help: "start once this file exists"},
	{Name: "wait-for-dir", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set: list(func(s *Settings) *[]string { return &s.WaitForDir }), Help: "start once this folder exists"},
	{Name: "wait-for-mountpoint", Kind: Path, Repeat: true, Group: groupLifecycle,
		Set: list(func(s *Settings) *[]string { return &s.WaitForMount }), Help: "start once this is a mount point"},
	{Name: "wait-for-fs-timeout", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.WaitForFSTimeout }),
		Help: "give up after this long (60)"},
	{Name: "wait-for-socket", Example: "127.0.0.1:5432", Kind: Address, Repeat: true, Group: groupLifecycle,
		Set:  list(func(s *Settings) *[]string { return &s.WaitForSocket }),
		Help: "load the application once this socket accepts"},
	{Name: "wait-for-socket-timeout", Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.WaitForSocketTimeout }),
		Help: "give up after this long (60)"},
	{Name: "wait-for-interface", Aliases: []string{"wait-interface", "wait-for-iface", "wait-iface"}, Kind: Text,
		Example: "wg0",
		Repeat:  true, Group: groupLifecycle, Set: list(func(s *Settings) *[]string { return &s.WaitForIface }),
		Help: "start once this network interface exists"},
	{Name: "wait-for-interface-timeout", Aliases: []string{"wait-interface-timeout", "wait-for-iface-timeout",
		"wait-iface-timeout"}, Kind: Seconds, Group: groupLifecycle,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.WaitForIfaceTimeout }),
		Help: "give up after this long (60)"},
	{Name: "flock", Aliases: []string{"flock2"}, Kind: Path, Repeat: true, Group: groupLifecycle,
		Set:  list(func(s *Settings) *[]string { return &s.Flock }),
		Help: "lock this file; exit with status 1 when another instance holds it"},
	{Name: "flock-wait", Aliases: []string{"flock-wait2"}, Kind: Path, Repeat: true, Group: groupLifecycle,
		Set: list(func(s *Settings) *[]string { return &s.FlockWait }), Help: "lock this file; wait for it"},
}

func signalNumber(field func(*Settings) *int) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		n, err := v.whole(plainUnits, "")
		if !survivable(err) {
			return err
		}
		if n < 1 || n > 64 {
			return fault("write the number of a signal, 15 for SIGTERM", "%q is no signal", v.Text)
		}
		*field(s) = int(n)
		return err
	}
}

func checkInterval(s *Settings, v Value) error {
	d := s.CheckInterval
	err := seconds(func(*Settings) *time.Duration { return &d })(s, v)
	if survivable(err) {
		s.CheckInterval = max(d, time.Second)
	}
	return err
}

func touchExec(s *Settings, v Value) error {
	file, command, ok := cutBlank(v.Text)
	if !ok || command == "" {
		return warning("write "+v.Name+" = FILE COMMAND", "%q has no command after the file; the line is left out",
			file)
	}
	s.TouchExec = append(s.TouchExec, v.Text)
	return nil
}
