package http1

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"uwsgi/internal/request"
)

// FuzzParse: however a request is cut, the verdict and the environ are the same; and what is let
// through is what a strict reader of RFC 9112 would let through.
func FuzzParse(f *testing.F) {
	for _, c := range loadCases(f, "requests") {
		f.Add(c.raw, uint16(len(c.raw)/2), uint16(4096))
	}
	s := newTestServer()
	f.Fuzz(func(t *testing.T, raw []byte, cut, limit uint16) {
		lim := &request.Limits{Head: max(int(limit), 1)}
		at := min(int(cut), len(raw))
		whole, n, err := take(s, raw, lim, false)
		for _, again := range []bool{false, true} {
			parts, m, partsErr := take(s, raw, lim, again, at)
			if err != partsErr || n != m {
				t.Fatalf("whole: %d, %v; cut at %d: %d, %v", n, err, at, m, partsErr)
			}
			if err == nil && (!maps.Equal(environ(whole), environ(parts)) || flagsOf(whole) != flagsOf(parts)) {
				t.Fatalf("whole: %q; cut at %d: %q", environ(whole), at, environ(parts))
			}
		}
		if err != nil {
			if !errors.Is(err, request.ErrIncomplete) && verdict(err) < 400 {
				t.Fatalf("error %v is no refusal", err)
			}
			return
		}
		judgeAccepted(t, raw[:n], lim, whole)
	})
}

// judgeAccepted holds what was let through against rules written another way than the parser's.
func judgeAccepted(t *testing.T, head []byte, lim *request.Limits, r *request.Request) {
	if len(head) > lim.Head || !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		t.Fatalf("took %q with limit %d", head, lim.Head)
	}
	if rest := strings.ReplaceAll(string(head), "\r\n", ""); strings.ContainsAny(rest, "\r\n\x00") {
		t.Fatalf("a bare CR, LF or NUL in %q", head)
	}
	env := environ(r)
	if len(env) != len(r.Vars) {
		t.Fatalf("a name repeats in %d variables: %q", len(r.Vars), env)
	}
	for _, line := range strings.Split(strings.TrimLeft(string(head), "\r\n"), "\r\n")[1:] {
		name, _, found := strings.Cut(line, ":")
		if line != "" && (!found || name == "" || strings.ContainsAny(name, " \t\"(),/;<=>?@[\\]{}")) {
			t.Fatalf("header line %q", line)
		}
	}
	for name := range env {
		if name == "HTTP_PROXY" || name == "HTTP_TRANSFER_ENCODING" ||
			strings.ContainsFunc(name, func(c rune) bool {
				return c <= ' ' || c >= 'a' && c <= 'z' ||
					c > '~' || c == '-'
			}) {
			t.Fatalf("variable %q", name)
		}
	}
	if r.Chunked && r.HasLength || r.Chunked && r.HTTP10 {
		t.Fatalf("chunked, and length %d, 1.0 %t", r.ContentLength, r.HTTP10)
	}
	if path := env["PATH_INFO"]; strings.Contains(path, "\x00") || path != "*" && !strings.HasPrefix(path, "/") {
		t.Fatalf("path %q", path)
	}
	if env["SCRIPT_NAME"] != "" || env["REMOTE_ADDR"] != "127.0.0.1" || env["UWSGI_ROUTER"] != "http" ||
		env["HTTP_X_FIXED"] != "ours" {
		t.Fatalf("the listener's own variables: %q", env)
	}
}

// FuzzChunked: however a body is cut, decoded bytes, end and verdict are the same.
func FuzzChunked(f *testing.F) {
	for _, c := range loadCases(f, "chunked") {
		f.Add(c.raw, uint8(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, raw []byte, srcStep, dstStep uint8) {
		limits := Chunked{MaxBody: 100, MaxChunk: 50}
		one, two := limits, limits
		body, used, err := decode(&one, raw, max(len(raw), 1), max(len(raw), 1))
		body2, used2, err2 := decode(&two, raw, max(int(srcStep), 1), max(int(dstStep), 1))
		if !bytes.Equal(body, body2) || used != used2 || err != err2 {
			t.Fatalf("whole: %q %d %v; in pieces: %q %d %v", body, used, err, body2, used2, err2)
		}
		if errors.Is(err, io.ErrNoProgress) {
			t.Fatal("stuck")
		}
		if len(body) > 100 {
			t.Fatalf("%d bytes pass a limit of 100", len(body))
		}
		if err == nil && !bytes.HasSuffix(raw[:used], []byte("\r\n\r\n")) {
			t.Fatalf("ends in %q", raw[:used])
		}
	})
}
