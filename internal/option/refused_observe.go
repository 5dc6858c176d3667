package option

// Watching, debugging, building.

var pushRows = []Row{
	{Name: "stats-push", Kind: Text, Repeat: true, Help: "push statistics periodically"},
	{Name: "stats-pusher-default-freq", Aliases: []string{"stats-pushers-default-freq"}, Kind: Seconds,
		Help: "push interval (3)"},
	{Name: "snmp", Kind: Text, Optional: true, Help: "SNMP agent"},
	{Name: "snmp-community", Kind: Text, Help: "SNMP community"},
	{Name: "carbon", Kind: Text, Repeat: true, Help: "push statistics to graphite"},
	{Name: "carbon-timeout", Kind: Seconds, Help: "connect timeout (3)"},
	{Name: "carbon-freq", Kind: Seconds, Help: "push interval (60)"},
	{Name: "carbon-id", Kind: Text, Help: "instance id in metric names"},
	{Name: "carbon-no-workers", Help: "no per-worker metrics"},
	{Name: "carbon-max-retry", Kind: Int, Help: "reconnect attempts (1)"},
	{Name: "carbon-retry-delay", Kind: Seconds, Help: "delay between attempts (7)"},
	{Name: "carbon-root", Kind: Text, Help: "metric root (uwsgi)"},
	{Name: "carbon-hostname-dots", Kind: Text, Help: "character substituted for dots of the host name"},
	{Name: "carbon-name-resolve", Aliases: []string{"carbon-resolve-names"}, Help: "allow host names"},
	{Name: "carbon-idle-avg", Kind: Text, Help: "last zero none"},
	{Name: "carbon-use-metrics", Help: "send metrics subsystem values"},
	{Name: "statsd-no-workers", Help: "no per-worker values for statsd"},
	{Name: "statsd-all-gauges", Help: "every value a gauge for statsd"},
	{Name: "rrdtool", Kind: Path, Repeat: true, Help: "statistics as rrd files"},
	{Name: "rrdtool-freq", Kind: Seconds, Help: "interval"},
	{Name: "rrdtool-max-ds", Kind: Int, Help: "data sources a file"},
	{Name: "rrdtool-lib", Kind: Path, Help: "library"},
	{Name: "ping", Kind: Address, Help: "query another instance and exit"},
	{Name: "ping-timeout", Kind: Seconds, Help: "limit for ping"},
	{Name: "nagios", Help: "check mode for ping-style monitoring"},
	{Name: "zabbix-template", Kind: Path, Optional: true, Help: "dump a zabbix template"},
	{Name: "geoip-country", Kind: Text, Help: "option of the geoip plugin"},
	{Name: "geoip-city", Kind: Text, Help: "option of the geoip plugin"},
	{Name: "geoip-use-disk", Help: "option of the geoip plugin"},
}

var debugRows = []Row{
	{Name: "profiler", Kind: Text, Help: "pycall or pyline tracing of the application"},
	{Name: "body-read-warning", Kind: MiB, Help: "warn when an app reads bodies larger than this into memory (8)"},
	{Name: "upload-progress", Kind: Path, Note: "let the front end or the browser report progress",
		Help: "JSON progress files"},
	{Name: "exception-handler", Kind: Text, Repeat: true, Note: "use Sentry or the logging of the application",
		Help: "report exceptions through a plugin"},
	{Name: "py-tracebacker", Kind: Text, Note: "run py-spy dump --pid PID; harakiri logs all stacks too",
		Help: "per-worker unix socket printing thread stacks"},
}

var shellRows = []Row{
	{Name: "pyshell", Kind: Text, Optional: true, Help: "interactive shell in worker"},
	{Name: "pyshell-oneshot", Kind: Text, Optional: true, Help: "same, once"},
}

var logPluginsRows = []Row{
	{Name: "rsyslog-packet-size", Kind: Bytes, Help: "max syslog packet (1024)"},
	{Name: "rsyslog-split-messages", Help: "split longer lines"},
	{Name: "log-zeromq", Kind: Address, Repeat: true, Help: "logger zeromq:…"},
}

var vassalsRows = []Row{
	{Name: "emperor-proxy-socket", Kind: Path, Help: "make a vassal speak to the emperor through a proxy socket"},
	{Name: "emperor-broodlord", Kind: Int, Note: "use cheaper in the instance itself",
		Help: "max extra vassals spawned on request"},
	{Name: "vassal-sos", Kind: Seconds, Note: "use cheaper in the instance itself",
		Help: "ask the emperor for help when all workers are busy, at most every N s"},
	{Name: "vassal-sos-backlog", Kind: Int, Note: "use cheaper in the instance itself",
		Help: "ask for help when backlog reaches N"},
	{Name: "heartbeat", Kind: Seconds, Help: "vassal sends life signs to the emperor"},
	{Name: "hook-emperor-start", Kind: HookLine, Repeat: true, Help: "vassal side: emperor connection up"},
	{Name: "hook-emperor-stop", Kind: HookLine, Repeat: true, Help: "vassal side: stop order"},
	{Name: "hook-emperor-reload", Kind: HookLine, Repeat: true, Help: "vassal side: reload order"},
	{Name: "hook-emperor-lost", Kind: HookLine, Repeat: true, Help: "vassal side: emperor gone"},
	{Name: "hook-as-vassal", Kind: HookLine, Repeat: true, Help: "before the vassal is executed"},
	{Name: "hook-as-emperor", Kind: HookLine, Repeat: true, Help: "emperor side, once the vassal runs"},
	{Name: "hook-as-gateway", Kind: HookLine, Repeat: true, Help: "each router process"},
	{Name: "exec-as-vassal", Kind: Command, Repeat: true, Help: "shell command before vassal exec"},
	{Name: "exec-as-emperor", Kind: Command, Repeat: true, Help: "shell command, emperor side"},
	{Name: "emperor-trigger-socket", Kind: Text, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-command-socket", Kind: Text, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-wait-for-command", Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-wait-for-command-ignore", Kind: Text, Repeat: true, Since: "2.1",
		Help: "see the documentation of uWSGI"},
	{Name: "emperor-use-fork-server", Kind: Text, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "vassal-fork-base", Kind: Text, Repeat: true, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-subreaper", Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-collect-attribute", Kind: Text, Repeat: true, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-collect-attr", Kind: Text, Repeat: true, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-fork-server-attr", Kind: Text, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "emperor-chdir-attr", Kind: Text, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "zeus", Kind: Text, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "hook-as-on-demand-vassal", Kind: Text, Repeat: true, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "hook-as-on-config-vassal", Kind: Text, Repeat: true, Since: "2.1", Help: "see the documentation of uWSGI"},
	{Name: "hook-as-emperor-before-vassal", Kind: Text, Repeat: true, Since: "2.1",
		Help: "see the documentation of uWSGI"},
	{Name: "hook-as-vassal-before-drop", Kind: Text, Repeat: true, Since: "2.1",
		Help: "see the documentation of uWSGI"},
	{Name: "hook-as-emperor-setns", Kind: Text, Repeat: true, Since: "2.1", Help: "see the documentation of uWSGI"},
}

var toolsRows = []Row{
	{Name: "print-sym", Aliases: []string{"print-symbol"}, Kind: Text, Help: "print an embedded blob"},
	{Name: "force-cwd", Kind: Path, Note: "write WorkingDirectory= in the unit file, or cd before the command",
		Help: "pretend this start directory"},
	{Name: "binary-append-data", Kind: Path, Help: "blob tool"},
	{Name: "cflags", Help: "compiler flags"},
	{Name: "dot-h", Help: "embedded header"},
	{Name: "config-py", Help: "embedded build script"},
	{Name: "build-plugin", Kind: Path, Help: "compile a plugin; always exits 1"},
	{Name: "test", Short: 'J', Kind: Text, Note: "write --no-server --module MODULE, which exits with 0 or 22",
		Help: "import a module and exit 0/1 (needs a socket option to get that far)"},
}

var descriptorsRows = []Row{
	{Name: "reload-on-fd", Kind: Text, Repeat: true, Help: "graceful reload when descriptor readable"},
	{Name: "brutal-reload-on-fd", Kind: Text, Repeat: true, Help: "brutal reload when descriptor readable"},
	{Name: "fs-brutal-reload", Kind: Path, Repeat: true, Help: "inotify, brutal reload"},
	{Name: "check-mountpoint", Aliases: []string{"mountpoint-check", "check-mount", "mount-check"}, Kind: Path,
		Repeat: true, Note: "use RequiresMountsFor= of the unit file",
		Help: "stop everything when a mount point no longer answers"},
}
