package accesslog

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"uwsgi/internal/escape"
	"uwsgi/internal/request"
)

// op writes one piece of a compiled log-format.
type op func(dst []byte, l *Logger, e *Entry) []byte

// compile cuts a format at its %(name)s. All else is literal, "%%" and an unfinished "%(" too
// (which uWSGI prints twice).
func compile(format string) []op {
	ops := []op{}
	object := isJSON(format)
	quotes := 0 // seen so far
	count := func(text string) {
		for i := 0; i < len(text); i++ {
			if text[i] == '\\' && object {
				i++
			} else if text[i] == '"' {
				quotes++
			}
		}
	}
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
			count(format[:open])
			ops, format = append(ops, literal(format[:open])), format[open:]
			continue
		}
		if open > 0 {
			count(format[:open])
			ops = append(ops, literal(format[:open]))
		}
		v := variable(format[open+len("%(") : open+length])
		switch quoted := quotes%2 == 1; {
		case object && quoted:
			v = styled(v, inJSON)
		case object:
			v = jsonValue(v)
		case quoted:
			v = styled(v, inQuotes)
		}
		ops = append(ops, v)
		format = format[open+length+1:]
	}
	if format != "" {
		ops = append(ops, literal(format))
	}
	return ops
}

// style is how a text is escaped: so that it stays within its line, and within the quotation marks
// or the JSON string that log-format has around it.
type style uint8

const (
	inLine style = iota
	inQuotes
	inJSON
	raw
)

func styled(v op, s style) op {
	return func(dst []byte, l *Logger, e *Entry) []byte {
		e.style = s
		dst = v(dst, l, e)
		e.style = inLine
		return dst
	}
}

// isJSON reports whether the lines of a format are to be read as JSON, perhaps behind a prefix: it
// is an object, whatever its variables are.
func isJSON(format string) bool {
	brace := strings.IndexByte(format, '{')
	if brace < 0 {
		return false
	}
	var b strings.Builder
	for rest := format[brace:]; ; {
		before, after, found := strings.Cut(rest, "%(")
		b.WriteString(before)
		if !found {
			return json.Valid([]byte(b.String()))
		}
		if _, rest, found = strings.Cut(after, ")"); !found {
			return false
		}
		b.WriteByte('0')
	}
}

// jsonValue is v where JSON has no quotation marks around it: what is no value by itself becomes a
// string, what is not there null.
func jsonValue(v op) op {
	v = styled(v, raw)
	return func(dst []byte, l *Logger, e *Entry) []byte {
		at := len(dst)
		dst = v(dst, l, e)
		value := dst[at:]
		odd := bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
		switch {
		case string(value) == "-":
			return append(dst[:at], "null"...)
		case odd || !json.Valid(value):
			value = bytes.Clone(value) // dst is written over
			return append(escape.AppendJSON(append(dst[:at], '"'), value), '"')
		}
		return dst
	}
}

func literal(text string) op {
	return func(dst []byte, _ *Logger, _ *Entry) []byte { return append(dst, text...) }
}

// variable is the op of a name: one of variables, var.NAME, metric.NAME, or one that the
// application sets.
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
	"modifier1": number(func(e *Entry) int64 { m, _ := e.modifiers(); return m }),
	"modifier2": number(func(e *Entry) int64 { _, m := e.modifiers(); return m }),
	"rss":       number(func(e *Entry) int64 { return e.RSS }),
	"vsz":       number(func(e *Entry) int64 { return e.VSZ }),
	"rssM":      number(func(e *Entry) int64 { return e.RSS >> 20 }),
	"vszM":      number(func(e *Entry) int64 { return e.VSZ >> 20 }),
	"rerr":      number(func(*Entry) int64 { return 0 }), // a request that could not be read has no line
	"werr":      number(func(e *Entry) int64 { return e.WriteErrors }),
	"ioerr":     number(func(e *Entry) int64 { return e.WriteErrors }),
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
			switch e.style {
			case inQuotes:
				return escape.AppendQuoted(dst, t)
			case inJSON:
				return escape.AppendJSON(dst, t)
			case raw:
				return append(dst, t...)
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
