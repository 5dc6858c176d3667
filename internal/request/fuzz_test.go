package request

import (
	"strings"
	"testing"
)

// FuzzFinish: whatever a gateway sends, spans stay in the arena, names that are joined do not
// repeat, nothing of any value is lost but what is meant to be, and a length that is let through is
// the one that the environ shows.
func FuzzFinish(f *testing.F) {
	f.Add(strings.Join(browser, "\x00"), int64(0), uint8(0))
	f.Add("HTTP_B=1\x00HTTP_C=2\x00HTTP_B=3\x00HTTP_COOKIE=a\x00HTTP_COOKIE=b", int64(5), uint8(9))
	f.Add("CONTENT_LENGTH=5\x00CONTENT_LENGTH=05\x00SCRIPT_NAME=/a\x00DOCUMENT_URI=/a/b", int64(4), uint8(0))
	f.Add("HTTPS=on\x00HTTP_X_FORWARDED_PROTO=https\x00UWSGI_SCHEME=http\x00HTTP_HOST=a\x00HTTP_HOST=b", int64(0),
		uint8(0))
	f.Add("SCRIPT_NAME=/a/b\x00GATEWAY_INTERFACE=CGI/1.1\x00HTTP_PROXY=x\x00HTTP_TRANSFER_ENCODING=chunked", int64(0),
		uint8(0))
	f.Fuzz(func(t *testing.T, text string, body int64, vars uint8) {
		pairs := strings.Split(text, "\x00")
		r := packet(pairs...)
		lim := &Limits{Head: 1 << 16, Body: body, Vars: int(vars)}
		if err := Finish(r, lim, Options{}); err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		seen := map[string]string{}
		for i := range r.Vars {
			key, val := string(r.Key(i)), string(r.Val(i)) // panics outside the arena
			if _, twice := seen[key]; twice && len(key) > 5 && strings.HasPrefix(key, "HTTP_") {
				t.Fatalf("%s repeats", key)
			}
			seen[key] = val
		}
		for _, p := range pairs {
			key, val, _ := strings.Cut(p, "=")
			switch key {
			case "HTTP_TRANSFER_ENCODING", "HTTP_PROXY":
				if _, there := seen[key]; there {
					t.Fatalf("%s is there", key)
				}
				continue
			}
			got, there := seen[key]
			if !there || len(key) > 5 && strings.HasPrefix(key, "HTTP_") && !strings.Contains(got, val) {
				t.Fatalf("%s=%s became %q", key, val, got)
			}
		}
		if n, ok := Digits([]byte(seen["CONTENT_LENGTH"])); ok != r.HasLength ||
			n != r.ContentLength || body > 0 && n > body {
			t.Fatalf("length %q is %t %d with limit %d", seen["CONTENT_LENGTH"], r.HasLength, r.ContentLength, body)
		}
		for name, span := range map[string]Span{
			"REQUEST_METHOD": r.Method, "REQUEST_URI": r.URI, "PATH_INFO": r.Path, "SERVER_PROTOCOL": r.Protocol, "REMOTE_ADDR": r.RemoteAddr,
		} {
			if got := string(r.Bytes(span)); got != seen[name] {
				t.Fatalf("the span of %s is %q, the variable %q", name, got, seen[name])
			}
		}
	})
}
