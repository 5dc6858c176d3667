package accesslog

import (
	"strconv"

	"uwsgi/internal/escape"
)

// maxLine is the size past which uWSGI writes the short form of a line, newline included.
const maxLine = 4096

// appendDefault writes uWSGI's own line:
//
//	[pid: 17966|app: 0|req: 1/1] 127.0.0.1 () {28 vars in 293 bytes} [Sun Nov 22 11:05:38 2026] GET / => generated 11 bytes in 0 msecs (HTTP/1.1 200) 2 headers in 51 bytes (2 switches on core 0)
func (l *Logger) appendDefault(dst []byte, e *Entry) []byte {
	if l.memory {
		dst = append(dst, "{address space usage: "...)
		dst = appendMemory(dst, e.VSZ)
		dst = append(dst, "} {rss usage: "...)
		dst = appendMemory(dst, e.RSS)
		dst = append(dst, "} "...)
	}
	start := len(dst)
	dst = l.appendWhole(dst, e, false)
	if len(dst)-start+1 > maxLine {
		dst = l.appendWhole(dst[:start], e, true)
	}
	return dst
}

// appendWhole writes the line behind the memory report. In its short form nothing that the client
// chose is in it.
func (l *Logger) appendWhole(dst []byte, e *Entry, short bool) []byte {
	var addr, user, method, uri, protocol []byte
	if r := e.Req; r != nil && !short {
		addr, user = l.addr(e), e.text("REMOTE_USER")
		method, uri, protocol = r.Bytes(r.Method), r.Bytes(r.URI), r.Bytes(r.Protocol)
	}
	if short {
		addr, method, uri, protocol = placeholderAddr, placeholder, placeholder, placeholder
	}
	took, unit := e.micros(), " micros "
	if !l.micros {
		took, unit = took/1000, " msecs "
	}

	dst = append(dst, "[pid: "...)
	dst = strconv.AppendInt(dst, int64(e.PID), 10)
	dst = append(dst, "|app: "...)
	dst = strconv.AppendInt(dst, int64(e.App), 10)
	dst = append(dst, "|req: "...)
	dst = strconv.AppendInt(dst, e.AppRequests, 10)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, e.TotalRequests, 10)
	dst = append(dst, "] "...)
	dst = escape.Append(dst, addr)
	dst = append(dst, " ("...)
	dst = escape.Append(dst, user)
	dst = append(dst, ") {"...)
	dst = strconv.AppendInt(dst, int64(e.vars()), 10)
	dst = append(dst, " vars in "...)
	dst = strconv.AppendInt(dst, int64(e.packet()), 10)
	dst = append(dst, " bytes} ["...)
	dst = append(dst, l.stampOf(e.Start).ctime[:]...)
	dst = append(dst, "] "...)
	dst = escape.Append(dst, method)
	dst = append(dst, ' ')
	dst = escape.Append(dst, uri)
	dst = append(dst, " => generated "...)
	dst = strconv.AppendInt(dst, e.Body, 10)
	dst = append(dst, " bytes in "...)
	dst = strconv.AppendInt(dst, took, 10)
	dst = append(dst, unit...)
	if e.Via != "" {
		dst = append(dst, "via "...)
		dst = append(dst, e.Via...)
		dst = append(dst, "() "...)
	}
	dst = append(dst, '(')
	dst = escape.Append(dst, protocol)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, ") "...)
	dst = strconv.AppendInt(dst, int64(e.Headers), 10)
	dst = append(dst, " headers in "...)
	dst = strconv.AppendInt(dst, e.Head, 10)
	dst = append(dst, " bytes ("...)
	dst = strconv.AppendInt(dst, int64(e.Switches), 10)
	dst = append(dst, " switches on core "...)
	dst = strconv.AppendInt(dst, int64(e.CoreID), 10)
	return append(dst, ')')
}

var (
	placeholder     = []byte("-")
	placeholderAddr = []byte("0.0.0.0")
)

// appendMemory writes "61054976 bytes/58MB".
func appendMemory(dst []byte, n int64) []byte {
	dst = strconv.AppendInt(dst, n, 10)
	dst = append(dst, " bytes/"...)
	dst = strconv.AppendInt(dst, n>>20, 10)
	return append(dst, "MB"...)
}
