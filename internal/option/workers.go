package option

import (
	"slices"
	"strings"
	"time"
)

const groupWorkers Group = "Workers"

// WorkerSettings is what these rows say about the number and the room of workers.
type WorkerSettings struct {
	MaxFD           int
	LimitAS         int64
	LimitNproc      int
	Cheap           bool
	Idle            time.Duration
	DieOnIdle       bool
	Cheaper         int
	CheaperInitial  int
	CheaperAlgo     string
	CheaperStep     int
	CheaperOverload time.Duration
	CheaperIdle     time.Duration
	CheaperRSSSoft  int64 // bytes of all workers together; 0 = no limit
	CheaperRSSHard  int64
	Busyness        Busyness
	Prio            int
	NeverSwap       bool
	CPUAffinity     int // CPUs a worker is pinned to; 0 = none
	Locks           int
	ProcnameAuto    bool
	Procname        string
	ProcnameMaster  string
	ProcnamePrefix  string
	ProcnameAppend  string

	GeventMonkeyPatch bool // gevent patches the standard library
	GeventWaitForHub  bool // a worker that leaves waits for greenlets of the application's own
}

var workerRows = []Row{
	{Name: "master", Short: 'M', Kind: Flag, Group: groupWorkers,
		Set: flag(func(s *Settings) *bool { return &s.Master }),
		Help: "import the application once, and fork the workers from that; without it each worker imports it itself " +
			"(there is a supervisor either way)"},
	{Name: "processes", Aliases: []string{"workers"}, Short: 'p', Kind: Int, Group: groupWorkers, Set: processes,
		Help: "number of worker processes (1)"},
	{Name: "threads", Example: "4", Kind: Int, Group: groupWorkers, Set: threads,
		Help: "WSGI requests a worker serves at the same time, each on its own thread (1). With an ASGI application: " +
			"more than 1 is the size of its loop's default executor"},
	{Name: "gevent", Example: "100", Kind: Int, Group: groupWorkers, Set: gevent,
		Help: "requests a worker serves at the same time, each in a greenlet of gevent's, which the " +
			"application's Python " +
			"has to have installed"},
	{Name: "gevent-monkey-patch", Aliases: []string{"gevent-early-monkey-patch"}, Kind: Flag, Group: groupWorkers,
		Set: flag(func(s *Settings) *bool { return &s.GeventMonkeyPatch }),
		Help: "have gevent patch the standard library, before the application is imported: what " +
			"waits there then lets " +
			"others run"},
	{Name: "gevent-wait-for-hub", Kind: Flag, Group: groupWorkers,
		Set:  flag(func(s *Settings) *bool { return &s.GeventWaitForHub }),
		Help: "a worker that leaves waits for the application's own greenlets to end, within the mercy"},
	{Name: "enable-threads", Short: 'T', Kind: Flag, Group: groupWorkers, Set: checked,
		Help: "let the application start threads (always so here)"},
	{Name: "lazy-apps", Kind: Flag, Group: groupWorkers, Set: flag(func(s *Settings) *bool { return &s.LazyApps }),
		Help: "import the application in every worker instead of once before the fork"},
	{Name: "lazy", Kind: Flag, Group: groupWorkers, Set: flag(func(s *Settings) *bool { return &s.LazyApps }),
		Help: "the same as lazy-apps"},
	{Name: "cheap", Kind: Flag, Group: groupWorkers, Set: flag(func(s *Settings) *bool { return &s.Cheap }),
		Help: "start workers at the first connection only"},
	{Name: "idle", Kind: Seconds, Group: groupWorkers,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.Idle }),
		Help: "stop the workers after this long without requests"},
	{Name: "die-on-idle", Kind: Flag, Group: groupWorkers, Set: flag(func(s *Settings) *bool { return &s.DieOnIdle }),
		Help: "when idle, stop the whole instance"},
	{Name: "cheaper", Kind: Int, Group: groupWorkers, Set: integer(func(s *Settings) *int { return &s.Cheaper }),
		Example: "2",
		Help:    "keep at least this many workers and add more under load, up to processes"},
	{Name: "cheaper-initial", Kind: Int, Group: groupWorkers,
		Set: integer(func(s *Settings) *int { return &s.CheaperInitial }), Help: "workers at the start"},
	{Name: "cheaper-algo", Example: "busyness", Kind: Text, Group: groupWorkers, Set: cheaperAlgo,
		Help: "how load is judged: " + either(CheaperAlgorithms)},
	{Name: "cheaper-step", Kind: Int, Group: groupWorkers,
		Set: integer(func(s *Settings) *int { return &s.CheaperStep }), Help: "workers added at a time (1)"},
	{Name: "cheaper-overload", Kind: Seconds, Group: groupWorkers,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.CheaperOverload }),
		Help: "length of the window load is judged in (3)"},
	{Name: "cheaper-idle", Kind: Seconds, Since: "2.1", Group: groupWorkers,
		Set: seconds(func(s *Settings) *time.Duration { return &s.CheaperIdle }), Help: "idle window of spare2"},
	{Name: "cheaper-rss-limit-soft", Kind: Bytes, Group: groupWorkers,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.CheaperRSSSoft }),
		Help: "add no worker while all together use more memory than this"},
	{Name: "cheaper-rss-limit-hard", Kind: Bytes, Group: groupWorkers,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.CheaperRSSHard }),
		Help: "remove workers while all together use more memory than this"},
	{Name: "cheaper-busyness-max", Kind: Percent, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.Busyness.Max }),
		Help: "add workers above this share of busy time (50)"},
	{Name: "cheaper-busyness-min", Kind: Percent, Group: groupWorkers,
		Set: integer(func(s *Settings) *int { return &s.Busyness.Min }), Help: "remove workers below this share (25)"},
	{Name: "cheaper-busyness-multiplier", Kind: Int, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.Busyness.Multiplier }),
		Help: "idle windows before a worker is removed (10)"},
	{Name: "cheaper-busyness-penalty", Kind: Int, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.Busyness.Penalty }),
		Help: "added to the multiplier after a worker was removed too early (2)"},
	{Name: "cheaper-busyness-verbose", Kind: Flag, Group: groupWorkers,
		Set: flag(func(s *Settings) *bool { return &s.Busyness.Verbose }), Help: "log what was decided and why"},
	{Name: "cheaper-busyness-backlog-alert", Kind: Int, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.Busyness.BacklogAlert }),
		Help: "add emergency workers when more connections wait (33)"},
	{Name: "cheaper-busyness-backlog-multiplier", Kind: Int, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.Busyness.BacklogMultiplier }),
		Help: "multiplier while there are emergency workers (3)"},
	{Name: "cheaper-busyness-backlog-step", Kind: Int, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.Busyness.BacklogStep }),
		Help: "emergency workers at a time (1)"},
	{Name: "cheaper-busyness-backlog-nonzero", Kind: Seconds, Group: groupWorkers,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.Busyness.BacklogNonzero }),
		Help: "add one when connections have been waiting for this long (60)"},
	{Name: "auto-procname", Kind: Flag, Group: groupWorkers,
		Set: flag(func(s *Settings) *bool { return &s.ProcnameAuto }), Help: "give processes telling titles"},
	{Name: "procname", Kind: Text, Group: groupWorkers, Set: procname(func(s *Settings) *string { return &s.Procname }),
		Example: "mysite",
		Help:    "one title for all processes"},
	{Name: "procname-master", Example: "mysite supervisor", Kind: Text, Group: groupWorkers,
		Set: procname(func(s *Settings) *string { return &s.ProcnameMaster }), Help: "title of the supervisor"},
	{Name: "procname-prefix", Example: "mysite-", Kind: Text, Group: groupWorkers,
		Set: procname(func(s *Settings) *string { return &s.ProcnamePrefix }), Help: "put in front of titles"},
	{Name: "procname-prefix-spaced", Example: "mysite", Kind: Text, Group: groupWorkers, Set: procnameSpaced,
		Help: "the same, with a blank after it"},
	{Name: "procname-append", Example: " (mysite)", Kind: Text, Group: groupWorkers,
		Set: procname(func(s *Settings) *string { return &s.ProcnameAppend }), Help: "put behind titles"},
	{Name: "max-fd", Kind: Int, Group: groupWorkers, Set: integer(func(s *Settings) *int { return &s.MaxFD }),
		Example: "65536",
		Help:    "open files a process may have"},
	{Name: "prio", Kind: Signed, Group: groupWorkers, Set: prio, Help: "nice value"},
	{Name: "cpu-affinity", Kind: Int, Group: groupWorkers,
		Set:  integer(func(s *Settings) *int { return &s.CPUAffinity }),
		Help: "pin each worker to this many CPUs, one group after the other"},
	{Name: "limit-as", Kind: MiB, Group: groupWorkers, Set: sizeMiB(func(s *Settings) *int64 { return &s.LimitAS }),
		Help: "address space a worker may have"},
	{Name: "limit-nproc", Kind: Int, Group: groupWorkers, Set: integer(func(s *Settings) *int { return &s.LimitNproc }),
		Help: "processes the user may have"},
	{Name: "locks", Kind: Int, Group: groupWorkers, Set: integer(func(s *Settings) *int { return &s.Locks }),
		Help: "number of uwsgi.lock locks"},
	{Name: "never-swap", Kind: Flag, Group: groupWorkers, Set: flag(func(s *Settings) *bool { return &s.NeverSwap }),
		Help: "lock the workers' memory"},
}

// processes must be a number: without workers nothing is served, which nobody means by what uWSGI
// reads as 0.
func processes(s *Settings, v Value) error {
	n, err := v.whole(plainUnits, "")
	if err != nil && n == 0 && strings.TrimSpace(v.Text) == "" {
		return fault("write "+v.Name+" = 4", "a number is expected")
	}
	if err != nil && n == 0 {
		what, _, _ := strings.Cut(err.Error(), ";") // ends here what elsewhere counts as 0
		return fault("write "+v.Name+" = 4", "%s", what)
	}
	if n > maxProcesses {
		return fault("write a number up to 4096", "%d processes are too many", n)
	}
	s.Processes = int(n)
	if n == 0 {
		return warning("write "+v.Name+" = 4", "without workers nothing is served")
	}
	return err
}

func gevent(s *Settings, v Value) error {
	n, err := v.whole(plainUnits, "")
	if !survivable(err) {
		return err
	}
	if n > MaxExchanges {
		return fault("write a number up to 65536", "%d requests are too many for a worker", n)
	}
	s.Gevent = int(n)
	return err
}

// maxProcesses bounds the shared tables; it is far above what a machine runs. So does MaxThreads.
const (
	maxProcesses = 4096
	MaxThreads   = 4096
)

// threads counts 0 as 1, as uWSGI does.
func threads(s *Settings, v Value) error {
	n, err := v.whole(plainUnits, "")
	if !survivable(err) {
		return err
	}
	if n > MaxThreads {
		return fault("write a number up to 4096", "%d threads are too many", n)
	}
	s.Threads = max(1, int(n))
	return err
}

// CheaperAlgorithms are the values of cheaper-algo: the files of internal/cheaper.
var CheaperAlgorithms = []string{"spare", "spare2", "backlog", "busyness", "manual"}

// either is "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func cheaperAlgo(s *Settings, v Value) error {
	if slices.Contains(CheaperAlgorithms, v.Text) {
		s.CheaperAlgo = v.Text
		return nil
	}
	s.CheaperAlgo = "spare"
	if v.Text == "backlog2" {
		return notOffered("write backlog", "the algorithm %q is not offered; spare is used", v.Text)
	}
	return warning("write "+either(CheaperAlgorithms), "there is no algorithm %q; spare is used, as uWSGI does", v.Text)
}

func procname(field func(*Settings) *string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		s.ProcnameAuto = true
		*field(s) = v.Text
		return nil
	}
}

func procnameSpaced(s *Settings, v Value) error {
	s.ProcnameAuto = true
	s.ProcnamePrefix = v.Text + " "
	return nil
}

func prio(s *Settings, v Value) error {
	n, rest, ok := number(v.Text)
	if !ok || rest != "" {
		return v.notANumber("")
	}
	s.Prio = int(min(max(n, -20), 19))
	return nil
}
