package logging

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"uwsgi/internal/accesslog"
	"uwsgi/internal/escape"
	"uwsgi/internal/option"
)

// encoder is one step of log-encoder: a message with its newline in, bytes out.
type encoder struct {
	only  string // id of the only logger it is for, "" = all
	apply func(msg []byte) []byte
}

// newEncoders builds a chain; now is the clock of ${unix} and its like.
func newEncoders(name string, list []option.LogEncoder, now func() time.Time) ([]encoder, error) {
	var out []encoder
	for _, e := range list {
		apply, err := newEncoder(e.Kind, e.Arg, now)
		if err != nil {
			return nil, option.Wrong(name, e.Kind, err)
		}
		out = append(out, encoder{only: e.Logger, apply: apply})
	}
	return out, nil
}

func newEncoder(kind, arg string, now func() time.Time) (func([]byte) []byte, error) {
	switch kind {
	case "prefix":
		return func(m []byte) []byte { return append([]byte(arg), m...) }, nil
	case "suffix":
		return func(m []byte) []byte { return append(m, arg...) }, nil
	case "nl":
		return func(m []byte) []byte { return append(m, '\n') }, nil
	case "format":
		t := parseTemplate(arg)
		return func(m []byte) []byte { return t.expand(m, now(), false) }, nil
	case "json":
		t := parseTemplate(arg)
		return func(m []byte) []byte { return t.expand(m, now(), true) }, nil
	case "gzip", "compress":
		return nil, fmt.Errorf("compressed log streams are not written; let logrotate compress the file")
	}
	return nil, fmt.Errorf("unable to find log encoder %s (there are format, json, prefix, suffix and nl)", kind)
}

// template is the text of the format and json encoders, cut at its ${…}.
type template []part

type part struct{ literal, name string }

// parseTemplate cuts a text at its ${name}; what is no name it knows stays as it is.
func parseTemplate(text string) template {
	var t template
	lit := ""
	for text != "" {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			break
		}
		name := text[i+2 : i+end]
		if known(name) {
			t = append(t, part{literal: lit + text[:i]}, part{name: name})
			lit = ""
		} else {
			lit += text[:i+end+1]
		}
		text = text[i+end+1:]
	}
	return append(t, part{literal: lit + text})
}

func known(name string) bool {
	switch name {
	case "msg", "msgnl", "unix", "micros", "millis":
		return true
	}
	return strings.HasPrefix(name, "strftime:")
}

func (t template) expand(msg []byte, now time.Time, inJSON bool) []byte {
	bare := bytes.TrimSuffix(msg, []byte("\n"))
	var out []byte
	for _, p := range t {
		switch {
		case p.name == "":
			out = append(out, p.literal...)
		case p.name == "msg":
			out = appendMessage(out, bare, inJSON)
		case p.name == "msgnl":
			out = appendMessage(out, msg, inJSON)
		case p.name == "unix":
			out = strconv.AppendInt(out, now.Unix(), 10)
		case p.name == "micros":
			out = strconv.AppendInt(out, now.UnixMicro(), 10)
		case p.name == "millis":
			out = strconv.AppendInt(out, now.UnixMilli(), 10)
		default:
			out = accesslog.Strftime(out, p.name[len("strftime:"):], now)
		}
	}
	return out
}

// appendMessage appends a message, as it stands within a JSON string where inJSON is set.
func appendMessage(dst, msg []byte, inJSON bool) []byte {
	if !inJSON {
		return append(dst, msg...)
	}
	return escape.AppendJSON(dst, msg)
}
