package accesslog

import (
	"sync/atomic"
	"time"

	"uwsgi/internal/option"
)

// Logger decides which requests are logged and writes their lines. It may be used by many threads
// at once.
type Logger struct {
	// What disable-logging leaves, each 0 or false when its option is not given.
	all        bool
	on4xx      bool
	on5xx      bool
	onZero     bool
	onSendfile bool
	onIOError  bool
	slow       time.Duration
	big        int64

	micros    bool
	forwarded bool // log-x-forwarded-for
	memory    bool // memory-report
	ftime     string
	format    []op // nil = the default line

	clock atomic.Pointer[stamp]
}

// Compile makes a Logger of the options. Every log-format can be compiled: a name that is no
// variable is one that the application may set.
func Compile(s *option.LogSettings) *Logger {
	l := &Logger{
		all:        !s.DisableLogging,
		on4xx:      s.Log4xx,
		on5xx:      s.Log5xx,
		onZero:     s.LogZero,
		onSendfile: s.LogSendfile,
		onIOError:  s.LogIOError,
		slow:       s.LogSlow,
		big:        s.LogBig,
		micros:     s.LogMicros,
		forwarded:  s.LogXForwarded,
		memory:     s.MemoryReport,
	}
	if s.LogFormatFtime {
		l.ftime = s.LogDate
	}
	if s.LogFormat != "" {
		l.format = compile(s.LogFormat)
	}
	return l
}

// Wants reports whether e is to be logged.
func (l *Logger) Wants(e *Entry) bool {
	return l.all || e.Forced ||
		l.on4xx && e.Status >= 400 && e.Status <= 499 ||
		l.on5xx && e.Status >= 500 && e.Status <= 599 ||
		l.onZero && e.Body == 0 ||
		l.onSendfile && e.Via == "sendfile" ||
		// uWSGI asks for a read and a write error in one request, which hardly happens. Here a
		// request is read before it is one: what could not be read is in the server's log.
		l.onIOError && e.WriteErrors > 0 ||
		l.slow > 0 && e.Duration >= int64(l.slow) ||
		l.big > 0 && e.Body >= l.big
}

// Append appends the line of e to dst, without a newline.
func (l *Logger) Append(dst []byte, e *Entry) []byte {
	if l.format != nil {
		for i := range l.format {
			dst = l.format[i](dst, l, e)
		}
		return dst
	}
	return l.appendDefault(dst, e)
}

// addr is the client's address for the log.
func (l *Logger) addr(e *Entry) []byte {
	if e.Req == nil {
		return nil
	}
	if l.forwarded {
		if f := e.text("HTTP_X_FORWARDED_FOR"); len(f) > 0 {
			return f
		}
	}
	return e.Req.Bytes(e.Req.RemoteAddr)
}
