package internal_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

// uses are the lines of package dataplane that a pattern matches, comments aside, by file and
// number; none of the files beside.
func uses(t *testing.T, pattern *regexp.Regexp, beside ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, text := range sources(t, "dataplane/*.go") {
		if slices.Contains(beside, strings.TrimPrefix(path, "dataplane/")) {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			if code, _, _ := strings.Cut(line, "//"); pattern.MatchString(code) {
				out[fmt.Sprintf("%s:%d", path, i+1)] = code
			}
		}
	}
	return out
}

// TestOneTransport: the socket of a client is read, written and asked by the methods of
// dataplane/transport.go alone. Others watch it, and give it away.
func TestOneTransport(t *testing.T) {
	allowed := []string{
		"unix.EpollCtl(", "unix.UnixRights(", "app.Serving(", // to watch it, and to give it to others
		"t.slots[c.fd]", "t.highest", "c.fd, c.lis, c.plain = ", "func (c *conn) tag()", // the table of connections
		"waitWritable(e.boot.HandoffFD", "func (l *requestLog) send(", // no client's
	}
	seen := map[string]bool{}
	raw := regexp.MustCompile(`(?:^|[^.\w])(?:recv|send|sendv|sendfile|readable|unread|queued|waitWritable|closeFD)\(` +
		`|\bcn?\.fd\b`)
lines:
	for at, code := range uses(t, raw, "transport.go", "sys.go") {
		for _, a := range allowed {
			if strings.Contains(code, a) {
				seen[a] = true
				continue lines
			}
		}
		t.Errorf("%s: a client's descriptor is used beside transport.go:%s", at, code)
	}
	for _, a := range allowed {
		if !seen[a] {
			t.Errorf("%q was not found: has what it is about another name?", a)
		}
	}
}

// TestOnlyTheTableNamesProtocols: what distinguishes a protocol is a field of its row.
func TestOnlyTheTableNamesProtocols(t *testing.T) {
	names := regexp.MustCompile(`internal/proto/(?:uwsgi|http1|fastcgi|scgi)"|"(?:` +
		strings.Join(option.Protocols, "|") + `|http11)"`)
	other := []string{`"SYSLOG_IDENTIFIER"`} // the program's name
	for at, code := range uses(t, names, "protocol.go") {
		if !slices.ContainsFunc(other, func(s string) bool { return strings.Contains(code, s) }) {
			t.Errorf("%s names a protocol: what it is about belongs into protocol.go, as a field of each row:%s", at,
				code)
		}
	}
	if n := len(uses(t, names)); n < len(option.Protocols)+4 {
		t.Errorf("only %d lines were seen to name one", n)
	}
}
