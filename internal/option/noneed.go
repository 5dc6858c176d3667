package option

import "slices"

const groupNoNeed Group = "Accepted, without effect"

// noNeedRows are the options whose effect is always there, or that configure what does not exist
// here and is not missed.
func noNeedRows() []Row {
	return standing(NoNeed, groupNoNeed, "", noNeed)
}

// standing gives each row the standing and the group, and the note where it has none of its own.
func standing(s Standing, g Group, note string, rows []Row) []Row {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Standing, rows[i].Group = s, g
		if rows[i].Note == "" {
			rows[i].Note = note
		}
	}
	return rows
}

var noNeed = []Row{
	{Name: "http-socket-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "request-handler number assigned to http-socket requests (0 = python)"},
	{Name: "http-socket-modifier2", Kind: Int, Note: "there is one handler, Python", Help: "secondary number assigned to http-socket requests"},
	{Name: "https-socket-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "handler number for https-socket requests"},
	{Name: "https-socket-modifier2", Kind: Int, Note: "there is one handler, Python", Help: "secondary number for https-socket requests"},
	{Name: "fastcgi-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "handler number for FastCGI requests"},
	{Name: "fastcgi-modifier2", Kind: Int, Note: "there is one handler, Python", Help: "secondary number for FastCGI requests"},
	{Name: "scgi-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "handler number for SCGI requests"},
	{Name: "scgi-modifier2", Kind: Int, Note: "there is one handler, Python", Help: "secondary number for SCGI requests"},
	{Name: "raw-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "handler number for raw connections"},
	{Name: "raw-modifier2", Kind: Int, Note: "there is one handler, Python", Help: "secondary number for raw connections"},
	{Name: "http-websockets", Note: "WebSockets need no switch", Help: "switch to raw mode on websocket upgrade"},
	{Name: "thunder-lock", Note: "each connection wakes one worker only, without a lock", Help: "serialise accept across processes/threads with an inter-process mutex"},
	{Name: "backtrace-depth", Kind: Int, Note: "crashes of native code are in the core dump; Python stacks are logged whole", Help: "frames printed in native backtraces (default 64)"},
	{Name: "write-errors-tolerance", Kind: Int, Note: "a request whose client is gone ends at the first failed write", Help: "number of failed writes accepted before the request is given up"},
	{Name: "max-apps", Kind: Int, Note: "there is no limit", Help: "max applications per worker (default 64)"},
	{Name: "cgi-mode", Short: 'c', Note: "only the uwsgi handlers of other languages use it", Help: "CGI style output for handlers that support it"},
	{Name: "no-threads-wait", Note: "a stop waits no longer than the mercy", Help: "do not join request threads when a worker stops"},
	{Name: "early-emperor", Note: "the emperor starts before privileges are dropped", Help: "start the emperor before privilege handling"},
	{Name: "imperial-monitor-list", Aliases: []string{"imperial-monitors-list"}, Note: "see emperor in --help", Help: "print available vassal sources"},
	{Name: "force-gateway", Note: "there are no separate router processes", Help: "run the first router in-process without master"},
	{Name: "no-fd-passing", Note: "no descriptor is passed unless a feature needs it", Help: "never pass descriptors"},
	{Name: "lock-engine", Kind: Text, Note: "locks are the kernel's, as those of files are", Help: "mutex implementation"},
	{Name: "ftok", Kind: Path, Note: "no System V semaphores are used", Help: "key file for SysV semaphores"},
	{Name: "persistent-ipcsem", Note: "no System V semaphores are used", Help: "keep SysV semaphores at exit"},
	{Name: "safe-fd", Aliases: []string{"fd-safe"}, Kind: Int, Repeat: true, Note: "descriptors above 2 are inherited only if they are listening sockets", Help: "descriptor never closed on reload"},
	{Name: "refork", Aliases: []string{"re-fork"}, Note: "the process tree is fixed: a supervisor, a loader, workers", Help: "fork again after dropping privileges"},
	{Name: "refork-as-root", Aliases: []string{"re-fork-as-root"}, Note: "the process tree is fixed: a supervisor, a loader, workers", Help: "fork again before dropping privileges"},
	{Name: "refork-post-jail", Aliases: []string{"re-fork-post-jail"}, Note: "the process tree is fixed: a supervisor, a loader, workers", Help: "one more fork once jailed"},
	{Name: "command-mode", Note: "pyrun implies it", Help: "one-shot mode (used by pyrun)"},
	{Name: "shutdown-sockets", Note: "a stop always closes the listening sockets first", Help: "shut listening sockets down when a graceful stop begins"},
	{Name: "ksm", Kind: Int, Optional: true, Note: "the application is imported once and its memory shared by all workers", Help: "kernel same-page merging every N requests"},
	{Name: "pcre-jit", Note: "regular expressions need no such switch", Help: "JIT regexps"},
	{Name: "propagate-touch", Note: "there is one reload, that of the instance", Help: "per-app touch reload also signals the master"},
	{Name: "post-buffering-bufsize", Kind: Bytes, Note: "the buffer fits itself to the body", Help: "read buffer used for that (8192, raised to post-buffering)"},
	{Name: "subscribe-with-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "handler number announced"},
	{Name: "binary-path", Kind: Path, Note: "a reload starts the interpreter anew, not this program", Help: "executable used for reloads"},
	{Name: "logger-list", Aliases: []string{"loggers-list"}, Note: "see logger in --help", Help: "print logger plugins"},
	{Name: "threaded-logger", Note: "logging never blocks the supervisor", Help: "log writing in a master thread"},
	{Name: "use-abort", Note: "a crash leaves a core dump as the system is set up for", Help: "abort() on segfault"},
	{Name: "alarm-list", Aliases: []string{"alarms-list"}, Note: "there are no alarms", Help: "print alarm plugins"},
	{Name: "log-master-bufsize", Kind: Bytes, Note: "log lines are kept whole", Help: "max log message in that mode (8192)"},
	{Name: "log-master-stream", Note: "log lines are kept whole", Help: "stream socket instead of packets"},
	{Name: "log-master-req-stream", Note: "log lines are kept whole", Help: "same for request lines"},
	{Name: "drop-after-init", Note: "sockets are always bound before privileges are dropped", Help: "drop privileges after plugin initialisation (sockets bound as root)"},
	{Name: "drop-after-apps", Note: "sockets are always bound before privileges are dropped; application code never runs as root", Help: "drop privileges after app loading"},
	{Name: "binsh", Kind: Path, Repeat: true, Note: "commands run by /bin/sh", Help: "shell for commands (must be executable; falls back to /bin/sh)"},
	{Name: "cheaper-algo-list", Aliases: []string{"cheaper-algos-list", "cheaper-list"}, Note: "see cheaper-algo in --help", Help: "print algorithms"},
	{Name: "router-list", Aliases: []string{"routers-list"}, Note: "there is no internal routing", Judge: judgeRoute, Help: "print routing actions"},
	{Name: "clock", Kind: Text, Note: "the system clock is used", Help: "time source"},
	{Name: "clock-list", Aliases: []string{"clocks-list"}, Note: "the system clock is used", Help: "print time sources"},
	{Name: "static-cache-paths", Kind: Seconds, Note: "the kernel caches paths", Help: "cache resolved paths"},
	{Name: "static-cache-paths-name", Kind: Text, Note: "the kernel caches paths", Help: "cache to use for that"},
	{Name: "offload-threads", Aliases: []string{"offload-thread"}, Kind: Int, Note: "files are sent by sendfile and slow clients are waited for outside the Python threads", Help: "threads for sendfile/transfer offload per worker"},
	{Name: "mode", Kind: Text, Note: "uwsgi.opt shows it", Help: "value of uwsgi.mode; selects XML nodes"},
	{Name: "tcp-fast-open-client", Aliases: []string{"tcp-fastopen-client"}, Note: "this server opens no outgoing connections for requests", Help: "TFO when connecting out"},
	{Name: "loop", Kind: Text, Note: "requests run on threads", Judge: judgeLoop, Help: "loop engine (simple, async, gevent, asyncio, tornado…)"},
	{Name: "gevent-monkey-patch", Note: "a thread that waits holds nobody up, patched or not", Help: "monkey.patch_all() at worker start"},
	{Name: "gevent-early-monkey-patch", Note: "a thread that waits holds nobody up, patched or not", Help: "monkey.patch_all() before app load"},
	{Name: "gevent-wait-for-hub", Note: "requests run on threads", Help: "wait for hub instead of control greenlet at exit"},
	{Name: "loop-list", Aliases: []string{"loops-list"}, Note: "there is one loop", Help: "print loop engines"},
	{Name: "plugins", Aliases: []string{"plugin"}, Kind: Text, Repeat: true, Note: "everything this server can do is built in", Judge: judgePlugins, Help: "load plugins (failure only logged)"},
	{Name: "need-plugins", Aliases: []string{"need-plugin"}, Kind: Text, Repeat: true, Note: "everything this server can do is built in", Judge: judgePlugins, Help: "load plugins (failure fatal)"},
	{Name: "plugins-dir", Aliases: []string{"plugin-dir"}, Kind: Path, Repeat: true, Note: "there are no plugins to look for", Help: "additional plugin directory"},
	{Name: "plugins-list", Aliases: []string{"plugin-list"}, Note: "there are no plugins", Help: "print loaded plugins"},
	{Name: "allowed-modifiers", Kind: Text, Note: "there is one handler, Python", Help: "restrict handler numbers"},
	{Name: "remap-modifier", Kind: Text, Note: "there is one handler, Python", Help: "renumber handlers"},
	{Name: "response-headers-limit", Kind: Bytes, Note: "response headers have no limit of their own", Help: "max response header block (64k)"},
	{Name: "reload-os-env", Note: "os.environ is right from the start", Help: "refresh os.environ per app load"},
	{Name: "wsgi-strict", Note: "PEP 3333 is kept to in any case", Help: "disable optimisations outside the WSGI spec"},
	{Name: "wsgi-accept-buffer", Aliases: []string{"wsgi-accept-buffers"}, Note: "any bytes-like object is accepted", Help: "accept buffer objects in the response iterable"},
	{Name: "py-call-osafterfork", Note: "workers are forked by Python itself, which runs its own after-fork handlers", Help: "run the interpreter's after-fork handler in workers"},
	{Name: "py-call-uwsgi-fork-hooks", Note: "workers are forked by Python itself, which runs its own fork handlers", Help: "run before/after-fork handlers in parent and child"},
	{Name: "http-processes", Aliases: []string{"http-workers"}, Kind: Int, Note: "workers speak HTTP themselves, there are no router processes", Help: "router processes (1)"},
	{Name: "http-modifier1", Kind: Int, Note: "there is one handler, Python", Help: "handler number sent"},
	{Name: "http-modifier2", Kind: Int, Note: "there is one handler, Python", Help: "secondary number sent"},
	{Name: "http-events", Kind: Int, Note: "workers speak HTTP themselves, there are no router processes", Help: "epoll batch (64)"},
	{Name: "http-manage-expect", Kind: Text, Optional: true, Note: "Expect: 100-continue is always answered", Help: "answer Expect: 100-continue"},
	{Name: "http-use-socket", Kind: Text, Optional: true, Note: "workers speak HTTP themselves", Help: "backend = own socket number n"},
	{Name: "http-gracetime", Kind: Seconds, Note: "workers speak HTTP themselves, there are no backends", Help: "retry dead static backend after"},
	{Name: "http-quiet", Kind: Text, Note: "workers speak HTTP themselves, there are no backends to fail", Help: "no log for failed backends (declared as taking an argument)"},
	{Name: "http-cheap", Note: "workers speak HTTP themselves, there are no router processes", Help: "do not accept while no backend subscribed"},
	{Name: "http-harakiri", Kind: Seconds, Note: "workers speak HTTP themselves, there are no router processes", Help: "kill a stuck router"},
	{Name: "http-uid", Kind: Text, Note: "workers speak HTTP themselves, as uid", Help: "router's own user"},
	{Name: "http-gid", Kind: Text, Note: "workers speak HTTP themselves, as gid", Help: "router's own group"},
	{Name: "http-connect-timeout", Kind: Seconds, Note: "workers speak HTTP themselves, there are no backends", Help: "limit for backend connect"},
	{Name: "thunder-lock-watchdog", Since: "2.1", Note: "there is no such lock", Help: "recover a dead lock holder"},
	{Name: "emperor-tyrant-initgroups", Since: "2.1", Note: "groups of the owner are always taken", Help: "supplementary groups for tyrant vassals"},
	{Name: "disable-async-warn-on-queue-full", Kind: FlagOff, Since: "2.1", Note: "there is no such warning", Help: "silence async queue warnings"},
	{Name: "early-python", Since: "2.1", Note: "Python starts before privileges matter", Help: "start the interpreter while parsing"},
	{Name: "py-master-check-signals", Since: "2.1", Note: "no Python runs in the supervisor", Help: "run Python-level signal handlers in the master too"},
	{Name: "http-backend-http", Since: "2.1", Note: "workers speak HTTP themselves", Help: "speak HTTP to backends"},
	{Name: "http-post-buffering", Kind: Bytes, Since: "2.1", Note: "bodies are buffered as post-buffering says", Help: "buffer bodies in router"},
	{Name: "http-post-buffering-dir", Kind: Path, Since: "2.1", Note: "bodies are buffered in TMPDIR", Help: "where"},
}
