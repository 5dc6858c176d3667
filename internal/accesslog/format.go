package accesslog

import (
	"strconv"
	"strings"
	"time"

	"uwsgi/internal/escape"
	"uwsgi/internal/request"
)

// op writes one piece of a compiled log-format.
type op func(dst []byte, l *Logger, e *Entry) []byte

// compile cuts a format at its %(name)s. All else is literal, "%%" and an unfinished "%(" too (which uWSGI prints twice).
func compile(format string) []op {
	ops := []op{}
	quotes := 0 // seen so far
	for {
		open := strings.Index(format, "%(")
		if open < 0 {
			break
		}
		length := strings.IndexByte(format[open:], ')')
		if length < 0 {
			break
		}
		if length == len("%(") { // "%()" names nothing
			open += length + 1
			quotes += strings.Count(format[:open], `"`)
			ops, format = append(ops, literal(format[:open])), format[open:]
			continue
		}
		if open > 0 {
			quotes += strings.Count(format[:open], `"`)
			ops = append(ops, literal(format[:open]))
		}
		v := variable(format[open+len("%(") : open+length])
		if quotes%2 == 1 {
			v = within(v)
		}
		ops = append(ops, v)
		format = format[open+length+1:]
	}
	if format != "" {
		ops = append(ops, literal(format))
	}
	return ops
}

// within is v between quotation marks, which nothing in it may end.
func within(v op) op {
	return func(dst []byte, l *Logger, e *Entry) []byte {
		e.quoted = true
		dst = v(dst, l, e)
		e.quoted = false
		return dst
	}
}

func literal(text string) op {
	return func(dst []byte, _ *Logger, _ *Entry) []byte { return append(dst, text...) }
}

// variable is the op of a name: one of variables, var.NAME, metric.NAME, or one that the application sets.
func variable(name string) op {
	if op, ok := variables[name]; ok {
		return op
	}
	if key, ok := strings.CutPrefix(name, "var."); ok {
		return text(func(_ *Logger, e *Entry) []byte { return e.text(key) })
	}
	if strings.HasPrefix(name, "metric.") {
		return literal("0") // what uWSGI writes without enable-metrics
	}
	return text(func(_ *Logger, e *Entry) []byte {
		for i := len(e.LogVars) - 1; i >= 0; i-- {
			if string(e.LogVars[i].Key) == name {
				return e.LogVars[i].Val
			}
		}
		return nil
	})
}

var variables = map[string]op{
	"uri":     span(func(r *request.Request) request.Span { return r.URI }),
	"method":  span(func(r *request.Request) request.Span { return r.Method }),
	"proto":   span(func(r *request.Request) request.Span { return r.Protocol }),
	"addr":    text(func(l *Logger, e *Entry) []byte { return l.addr(e) }),
	"user":    text(func(_ *Logger, e *Entry) []byte { return e.text("REMOTE_USER") }),
	"uagent":  text(func(_ *Logger, e *Entry) []byte { return e.text("HTTP_USER_AGENT") }),
	"referer": text(func(_ *Logger, e *Entry) []byte { return e.text("HTTP_REFERER") }),
	"host": text(func(_ *Logger, e *Entry) []byte {
		if host := e.text("HTTP_HOST"); len(host) > 0 {
			return host
		}
		return e.text("SERVER_NAME")
	}),

	"status":  number(func(e *Entry) int64 { return int64(e.Status) }),
	"micros":  number(func(e *Entry) int64 { return e.micros() }),
	"msecs":   number(func(e *Entry) int64 { return e.micros() / 1000 }),
	"secs":    seconds,
	"time":    number(func(e *Entry) int64 { return e.Start / int64(time.Second) }),
	"tmsecs":  number(func(e *Entry) int64 { return e.Start / int64(time.Millisecond) }),
	"tmicros": number(func(e *Entry) int64 { return e.Start / int64(time.Microsecond) }),
	"epoch":   number(func(e *Entry) int64 { return (e.Start + max(e.Duration, 0)) / int64(time.Second) }),
	"ctime": func(dst []byte, l *Logger, e *Entry) []byte {
		return append(dst, l.stampOf(e.Start).ctime[:]...)
	},
	"ltime": ltime,
	"ftime": func(dst []byte, l *Logger, e *Entry) []byte {
		if l.ftime == "" {
			return ltime(dst, l, e)
		}
		return Strftime(dst, l.ftime, time.Unix(0, e.Start))
	},

	"size":  number(func(e *Entry) int64 { return e.Head + e.Body }),
	"rsize": number(func(e *Entry) int64 { return e.Body }),
	"hsize": number(func(e *Entry) int64 { return e.Head }),
	"cl": number(func(e *Entry) int64 {
		if e.Req == nil {
			return 0
		}
		return e.Req.ContentLength
	}),

	"pid":       number(func(e *Entry) int64 { return int64(e.PID) }),
	"wid":       number(func(e *Entry) int64 { return int64(e.WorkerID) }),
	"core":      number(func(e *Entry) int64 { return int64(e.CoreID) }),
	"switches":  number(func(e *Entry) int64 { return int64(e.Switches) }),
	"vars":      number(func(e *Entry) int64 { return int64(e.vars()) }),
	"headers":   number(func(e *Entry) int64 { return int64(e.Headers) }),
	"pktsize":   number(func(e *Entry) int64 { return int64(e.packet()) }),
	"modifier1": number(func(e *Entry) int64 { return int64(e.Modifier1) }),
	"modifier2": number(func(e *Entry) int64 { return int64(e.Modifier2) }),
	"rss":       number(func(e *Entry) int64 { return e.RSS }),
	"vsz":       number(func(e *Entry) int64 { return e.VSZ }),
	"rssM":      number(func(e *Entry) int64 { return e.RSS >> 20 }),
	"vszM":      number(func(e *Entry) int64 { return e.VSZ >> 20 }),
	"rerr":      number(func(e *Entry) int64 { return e.ReadErrors }),
	"werr":      number(func(e *Entry) int64 { return e.WriteErrors }),
	"ioerr":     number(func(e *Entry) int64 { return e.ReadErrors + e.WriteErrors }),
}

func ltime(dst []byte, l *Logger, e *Entry) []byte {
	return append(dst, l.stampOf(e.Start).ltime[:]...)
}

// seconds writes the duration as 0.000292.
func seconds(dst []byte, _ *Logger, e *Entry) []byte {
	micros := e.micros()
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	at := len(dst)
	dst = strconv.AppendInt(dst, 1e6+micros%1e6, 10) // a 1 in front keeps the zeros
	dst[at] = '.'
	return dst
}

func number(of func(e *Entry) int64) op {
	return func(dst []byte, _ *Logger, e *Entry) []byte { return strconv.AppendInt(dst, of(e), 10) }
}

func text(of func(l *Logger, e *Entry) []byte) op {
	return func(dst []byte, l *Logger, e *Entry) []byte {
		if t := of(l, e); len(t) > 0 {
			if e.quoted {
				return escape.AppendQuoted(dst, t)
			}
			return escape.Append(dst, t)
		}
		return append(dst, '-')
	}
}

func span(of func(*request.Request) request.Span) op {
	return text(func(_ *Logger, e *Entry) []byte {
		if e.Req == nil {
			return nil
		}
		return e.Req.Bytes(of(e.Req))
	})
}
