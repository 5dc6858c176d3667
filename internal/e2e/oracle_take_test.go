package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"

	"uwsgi/internal/e2e/harness"
)

// volatile are environ entries and headers that differ from request to request, or from server to
// server, by their nature.
var volatile = regexp.MustCompile(`^(environ REMOTE_PORT|environ DOCUMENT_ROOT)$`)

// take notes an answer: its status, headers, body, and where the body is an environ, that. fastcgi:
// it is in that protocol's records.
func take(at side, r io.Reader, fastcgi bool) seen {
	out := seen{}
	raw, err := io.ReadAll(r)
	if err != nil {
		out["end"] = "a reset"
	}
	if fastcgi {
		ended := false
		if raw, ended = harness.Stdout(raw); !ended {
			out["end"] = "no END_REQUEST"
		}
	}
	if len(raw) == 0 {
		out["answer"] = "none"
		return out
	}
	proto, line, header, body, ok := split(raw)
	if !ok {
		out["answer"] = fmt.Sprintf("no HTTP: %q", raw)
		return out
	}
	out["answer"] = proto + " " + line
	body = out.unframe(header, body)
	for name, values := range header {
		out["header "+name] = short(strings.Join(values, " | "))
		if name == "Date" {
			out["header Date"] = "a date"
		}
	}
	if !out.addEnviron(at, body) {
		out["body"] = short(string(body))
	}
	maps.DeleteFunc(out, func(k, _ string) bool { return volatile.MatchString(k) })
	return out
}

func short(s string) string {
	if len(s) > 120 {
		return fmt.Sprintf("%d bytes: %.40q", len(s), s)
	}
	return fmt.Sprintf("%q", s)
}

// unframe takes chunks apart.
func (s seen) unframe(header http.Header, body []byte) []byte {
	if header.Get("Transfer-Encoding") != "chunked" {
		return body
	}
	plain, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
	if err != nil {
		s["chunks"] = "cut off"
	}
	return plain
}

// addEnviron notes a body that is an environ.
func (s seen) addEnviron(at side, body []byte) bool {
	var environ map[string]any
	if json.Unmarshal(body, &environ) != nil {
		return false
	}
	delete(s, "header Content-Length") // as long as the environ is
	for k, v := range environ {
		s["environ "+k] = fmt.Sprintf("%q", fmt.Sprint(v))
	}
	if s["environ uwsgi.core"] != "" {
		s["environ uwsgi.core"] = "a core" // whichever was free
	}
	for name, addr := range map[string]string{"the http-socket's": at.http, "the http11-socket's": at.http11,
		"nginx's": at.front, "the router's": at.router} {
		if _, port, _ := strings.Cut(addr, ":"); s["environ SERVER_PORT"] == fmt.Sprintf("%q", port) {
			s["environ SERVER_PORT"] = name
		}
	}
	return true
}

func (s seen) isEnviron() bool {
	for k := range s {
		if strings.HasPrefix(k, "environ ") {
			return true
		}
	}
	return false
}

func (s seen) withoutEnviron() seen {
	out := maps.Clone(s)
	if s.isEnviron() {
		out["body"] = "an environ"
	}
	maps.DeleteFunc(out, func(k, _ string) bool { return strings.HasPrefix(k, "environ ") })
	return out
}

// split takes an answer apart; the body is all that comes behind the head.
func split(raw []byte) (proto, line string, header http.Header, body []byte, ok bool) {
	head, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("HTTP/")) && !bytes.HasPrefix(head, []byte("Status: ")) {
		return "", "", nil, nil, false
	}
	lines := strings.Split(string(head), "\r\n")
	proto, line, _ = strings.Cut(lines[0], " ")
	header = http.Header{}
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ":")
		k = http.CanonicalHeaderKey(k)
		header[k] = append(header[k], strings.TrimSpace(v))
	}
	return proto, line, header, body, true
}
