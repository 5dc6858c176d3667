package option

import (
	"slices"
	"strings"
	"time"
)

const groupLogs Group = "Logs"

// LogSettings is what these rows say about the logs.
type LogSettings struct {
	MemoryReport   bool
	TouchLogreopen []string
	TouchLogrotate []string
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
}

var logRows = []Row{
	{Name: "logto", Kind: Path, Group: groupLogs, Set: text(func(s *Settings) *string { return &s.LogTo }),
		Example: "/var/log/uwsgi/mysite.log",
		Help: "log to this file or HOST:PORT (UDP), opened before privileges are dropped; under systemd beside the " +
			"journal"},
	{Name: "logto2", Kind: Path, Group: groupLogs, Set: text(func(s *Settings) *string { return &s.LogTo2 }),
		Example: "/var/log/uwsgi/mysite.log",
		Help:    "… opened after privileges are dropped"},
	{Name: "log-maxsize", Example: "104857600", Kind: Bytes, Group: groupLogs,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.LogMaxSize }),
		Help: "rename the log file and begin a new one above this size"},
	{Name: "log-backupname", Unset: "FILE.UNIXTIME", Kind: Path, Group: groupLogs,
		Set:  text(func(s *Settings) *string { return &s.LogBackupName }),
		Help: "name of the file put aside (FILE.UNIXTIME)"},
	{Name: "log-reopen", Kind: Flag, Group: groupLogs, Set: checked,
		Help: "open the log file anew at a reload (always so here)"},
	{Name: "log-truncate", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogTruncate }),
		Help: "empty the log file at the start"},
	{Name: "log-master", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogMaster }),
		Help: "lead all log lines through the supervisor"},
	{Name: "logfile-chmod", Unset: "640", Example: "640", Kind: Octal, Group: groupLogs,
		Set: mode(func(s *Settings) *string { return &s.LogfileChmod }), Help: "permissions of the log file (640)"},
	{Name: "logfile-chown", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogfileChown }),
		Help: "give the log file to uid and gid"},
	{Name: "touch-logreopen", Kind: Path, Repeat: true, Group: groupLogs,
		Set:  list(func(s *Settings) *[]string { return &s.TouchLogreopen }),
		Help: "open the log file anew when this file is touched"},
	{Name: "touch-logrotate", Kind: Path, Repeat: true, Group: groupLogs,
		Set:  list(func(s *Settings) *[]string { return &s.TouchLogrotate }),
		Help: "put the log file aside when this file is touched"},
	{Name: "disable-logging", Short: 'L', Kind: Flag, Group: groupLogs,
		Set:  flag(func(s *Settings) *bool { return &s.DisableLogging }),
		Help: "no request lines, except those the log-… options ask for"},
	{Name: "log-4xx", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.Log4xx }),
		Help: "log requests answered 4xx although logging is disabled"},
	{Name: "log-5xx", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.Log5xx }),
		Help: "log requests answered 5xx although logging is disabled"},
	{Name: "log-slow", Example: "1000", Kind: Millis, Group: groupLogs,
		Set:  millis(func(s *Settings) *time.Duration { return &s.LogSlow }),
		Help: "log requests that take this long although logging is disabled"},
	{Name: "log-big", Kind: Bytes, Group: groupLogs, Set: sizeBytes(func(s *Settings) *int64 { return &s.LogBig }),
		Help: "log responses of this size although logging is disabled"},
	{Name: "log-zero", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogZero }),
		Help: "log empty responses although logging is disabled"},
	{Name: "log-sendfile", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogSendfile }),
		Help: "log responses sent from a file although logging is disabled"},
	{Name: "log-ioerror", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogIOError }),
		Help: "log requests whose answer the client did not take, although logging is disabled"},
	{Name: "log-micros", Kind: Flag, Group: groupLogs, Set: flag(func(s *Settings) *bool { return &s.LogMicros }),
		Help: "show microseconds in request lines"},
	{Name: "log-date", Aliases: []string{"logdate"}, Kind: Text, Optional: true, Group: groupLogs, Set: logDate,
		Example: "%Y-%m-%d %H:%M:%S",
		Help:    "begin every server line with the date; a value is its strftime format"},
	{Name: "log-prefix", Example: "%H:%M:%S ", Kind: Text, Optional: true, Group: groupLogs, Set: logPrefix,
		Help: "begin every server line with this strftime format"},
	{Name: "log-x-forwarded-for", Kind: Flag, Group: groupLogs,
		Set: flag(func(s *Settings) *bool { return &s.LogXForwarded }), Help: "show the address of X-Forwarded-For"},
	{Name: "log-format", Aliases: []string{"logformat"}, Kind: Template, Group: groupLogs,
		Example: `%(addr) "%(method) %(uri)" %(status) %(msecs) ms`,
		Set:     text(func(s *Settings) *string { return &s.LogFormat }),
		Help:    "form of request lines: text with %(uri), %(status) …"},
	{Name: "logformat-strftime", Aliases: []string{"log-format-strftime"}, Kind: Flag, Group: groupLogs,
		Set: flag(func(s *Settings) *bool { return &s.LogFormatFtime }), Help: "%(ftime) uses the format of log-date"},
	{Name: "memory-report", Short: 'm', Kind: Flag, Group: groupLogs,
		Set:  flag(func(s *Settings) *bool { return &s.MemoryReport }),
		Help: "show the worker's memory in request lines"},
	{Name: "logger", Aliases: []string{"worker-logger"}, Kind: Text, Repeat: true, Group: groupLogs,
		Example: "errors file:/var/log/mysite/errors.log",
		Set:     logger(func(s *Settings) *[]Logger { return &s.Loggers }),
		Help: "send log lines to stdio, file:PATH, syslog:NAME, rsyslog:HOST:PORT,NAME, socket:ADDRESS, fd:N or " +
			"systemd; a word in front names the logger"},
	{Name: "req-logger", Aliases: []string{"logger-req", "worker-logger-req"}, Kind: Text, Repeat: true,
		Example: "file:/var/log/mysite/requests.log",
		Group:   groupLogs, Set: logger(func(s *Settings) *[]Logger { return &s.ReqLoggers }),
		Help: "the same for request lines"},
	{Name: "log-syslog", Kind: Text, Optional: true, Repeat: true, Group: groupLogs, Set: loggerShort("syslog"),
		Example: "mysite",
		Help:    "short for logger = syslog:NAME"},
	{Name: "log-socket", Kind: Address, Repeat: true, Group: groupLogs, Set: loggerShort("socket"),
		Example: "127.0.0.1:5140",
		Help:    "short for logger = socket:ADDRESS"},
	{Name: "log-route", Example: "errors Traceback|Error", Kind: Text, Repeat: true, Group: groupLogs,
		Set:  logRoute(func(s *Settings) *[]LogRoute { return &s.LogRoutes }),
		Help: "send lines that match to a named logger: NAME REGEXP"},
	{Name: "log-req-route", Example: "slow msecs=[0-9]{4}", Kind: Text, Repeat: true, Group: groupLogs,
		Set: logRoute(func(s *Settings) *[]LogRoute { return &s.LogReqRoutes }), Help: "the same for request lines"},
	{Name: "log-encoder", Aliases: []string{"worker-log-encoder"}, Kind: Template, Repeat: true, Group: groupLogs,
		Example: `json {"time":${unix},"message":"${msg}"}`,
		Set:     logEncoder(func(s *Settings) *[]LogEncoder { return &s.LogEncoders }),
		Help: "change log lines: format, json, prefix, suffix, nl … and a text with ${msg}; format:NAME for " +
			"one logger"},
	{Name: "log-req-encoder", Aliases: []string{"worker-log-req-encoder"}, Kind: Template, Repeat: true,
		Example: `json {"time":${unix},"request":"${msg}"}`,
		Group:   groupLogs, Set: logEncoder(func(s *Settings) *[]LogEncoder { return &s.LogReqEncoders }),
		Help: "the same for request lines"},
	{Name: "log-drain", Example: "ELB-HealthChecker", Kind: Text, Repeat: true, Group: groupLogs,
		Set: patterns(func(s *Settings) *[]string { return &s.LogDrain }), Help: "drop log lines that match"},
	{Name: "log-filter", Example: "ERROR", Kind: Text, Repeat: true, Group: groupLogs,
		Set: patterns(func(s *Settings) *[]string { return &s.LogFilter }), Help: "keep only log lines that match"},
}

// LoggerKinds are the log destinations this server knows.
var LoggerKinds = []string{"stdio", "file", "syslog", "rsyslog", "socket", "fd", "systemd"}

// foreignLoggers and foreignEncoders are uWSGI's that are not offered.
var (
	foreignLoggers  = []string{"redislog", "graylog2", "mongodblog", "zeromq", "crypto", "pipe"}
	foreignEncoders = []string{"gzip", "compress", "base64", "msgpack", "crypto"}
)

func logDate(s *Settings, v Value) error {
	if on, err := v.Bool(); err == nil { // a plain boolean, or nothing at all
		s.LogDate = ""
		if on {
			s.LogDate = DefaultLogDate
		}
		return nil
	}
	s.LogDate = v.Text
	return nil
}

func logPrefix(s *Settings, v Value) error {
	if _, err := v.Bool(); err == nil {
		return logDate(s, v)
	}
	s.LogPrefix = v.Text
	return nil
}

// logger reads "[ID ]KIND[:ARG]".
func logger(field func(*Settings) *[]Logger) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		text := strings.TrimSpace(v.Text)
		var l Logger
		// A blank in front of the first colon separates the id.
		if id, rest, ok := cutBlank(text); ok && !strings.Contains(id, ":") {
			l.ID, text = id, rest
		}
		l.Kind, l.Arg, _ = strings.Cut(text, ":")
		if l.Kind == "stdout" || l.Kind == "stderr" {
			l.Kind = "stdio"
		}
		for _, kind := range LoggerKinds {
			if l.Kind == kind {
				*field(s) = append(*field(s), l)
				return nil
			}
		}
		complain := warning
		if slices.Contains(foreignLoggers, l.Kind) {
			complain = notOffered
		}
		return complain("write one of "+strings.Join(LoggerKinds, ", "),
			"there is no logger %q; its lines go to the default log", l.Kind)
	}
}

func loggerShort(kind string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		s.Loggers = append(s.Loggers, Logger{Kind: kind, Arg: v.Text})
		return nil
	}
}

func logRoute(field func(*Settings) *[]LogRoute) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		id, pattern, ok := cutBlank(v.Text)
		if !ok || pattern == "" {
			return fault("write "+v.Name+" = NAME REGEXP", "the name of a logger and a regular expression are expected")
		}
		if _, err := CompilePattern(pattern); err != nil {
			return leftOut(err)
		}
		*field(s) = append(*field(s), LogRoute{ID: id, Pattern: pattern})
		return nil
	}
}

// logEncoder reads "KIND[:LOGGER][ ARG]".
func logEncoder(field func(*Settings) *[]LogEncoder) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		head, arg, _ := cutBlank(v.Text)
		kind, name, _ := strings.Cut(head, ":")
		switch kind {
		case "prefix", "suffix", "nl", "format", "json":
			*field(s) = append(*field(s), LogEncoder{Kind: kind, Logger: name, Arg: arg})
			return nil
		}
		complain := warning
		if slices.Contains(foreignEncoders, kind) {
			complain = notOffered
		}
		return complain("write prefix, suffix, nl, format or json", "there is no encoder %q; lines stay as they are",
			kind)
	}
}
