package supervisor

import (
	"fmt"
	"time"

	"uwsgi/internal/loader"
)

// process is one worker process.
type process struct {
	slot  *slot
	gen   *generation
	w     *loader.Worker
	row   int
	pid   int // 0 before it has one
	state state

	cause  string        // why it was forked
	ready  time.Time     // zero = not yet
	left   time.Time     // when it was told to leave
	why    string        // why it was
	folded int64         // of its requests, how many another board counts already
	death  *timer        // the end of its mercy or grace
	life   *timer        // the end of max-worker-lifetime
	wanted bool          // it waits for its recycling
	failed bool          // it has said that it cannot import the application
	waits  bool          // it waits for a uWSGI signal before it is ready
	again  bool          // where that is because something is held, there is another way
	early  string        // why it asked for one before it could have it
	stuck  map[int]int64 // cores with a request past its deadline → Started of it

	cancelled map[int]cancelled // by the exchange
	gentle    bool              // it has got harakiri-graceful-signal
	givenUp   bool              // it answers in the place of what it still runs
	taker     *taker            // as one that runs handlers of uWSGI signals; nil = it was sent none
	rss       int64
	vsz       int64
	ran       time.Duration // of a loop's thread, all in all
	sampled   int64         // monotonic ns, when that was read
}

func (p *process) String() string { return fmt.Sprintf("worker %d (pid: %d)", p.slot.n, p.pid) }

// Why a process was forked or leaves; some are seen by the application's log and in the journal.
const (
	whyStart    = "start"
	whyReload   = "reload"
	whyRespawn  = "respawn"
	whyRecycle  = "recycle"
	whyCheaper  = "cheaper"
	whyWake     = "connection"
	whyIdle     = "idle"
	whyStop     = "stop"
	whyHarakiri = "harakiri"
	whyEvil     = "evil-reload"
	whyFailed   = "reload failed"
	whyRestart  = "workers-reload"
	whyChain    = "chain-reload"
	whyLifetime = "max-worker-lifetime"
	whyAS       = "reload-on-as"
	whyRSS      = "reload-on-rss"
	whyUSS      = "reload-on-uss"
	whyPSS      = "reload-on-pss"
)
