package dataplane

import (
	"io"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

// fcgiRecord makes one record.
func fcgiRecord(kind byte, id int, content string) string {
	pad := (8 - len(content)%8) % 8
	head := []byte{1, kind, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), byte(pad), 0}
	return string(head) + content + strings.Repeat("\x00", pad)
}

// fcgi makes a whole request; each part of the body is a record.
func fcgi(id int, keep bool, vars []string, body ...string) string {
	flags := "\x00"
	if keep {
		flags = "\x01"
	}
	out := fcgiRecord(1, id, "\x00\x01"+flags+"\x00\x00\x00\x00\x00")
	var params strings.Builder
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		params.Write([]byte{byte(len(name))})
		if len(value) < 128 {
			params.Write([]byte{byte(len(value))})
		} else {
			params.Write([]byte{0x80 | byte(len(value)>>24), byte(len(value) >> 16),
				byte(len(value) >> 8), byte(len(value))})
		}
		params.WriteString(name + value)
	}
	// Split in the middle of a pair, as the specification allows.
	text := params.String()
	out += fcgiRecord(4, id, text[:len(text)/2]) + fcgiRecord(4, id, text[len(text)/2:]) + fcgiRecord(4, id, "")
	for _, part := range body {
		out += fcgiRecord(5, id, part)
	}
	return out + fcgiRecord(5, id, "")
}

// fcgiAnswer is a response of one record.
func fcgiAnswer(id int, text string) string {
	n, end := len(text), "\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	return string([]byte{1, 6, 0, byte(id), byte(n >> 8), byte(n), 0, 0}) + text +
		string([]byte{1, 6, 0, byte(id), 0, 0, 0, 0, 1, 3, 0, byte(id)}) + end
}

// fcgiDecode takes the first response in raw apart: what STDOUT carried, and what follows
// END_REQUEST.
func fcgiDecode(t *testing.T, id int, raw string) (stdout, rest string) {
	t.Helper()
	var out strings.Builder
	for ended := false; len(raw) >= 8; {
		n, pad := int(raw[4])<<8|int(raw[5]), int(raw[6])
		if raw[0] != 1 || int(raw[2])<<8|int(raw[3]) != id || len(raw) < 8+n+pad {
			t.Fatalf("bad record %q", raw[:8])
		}
		content := raw[8 : 8+n]
		kind := raw[1]
		raw = raw[8+n+pad:]
		switch {
		case kind == 6 && n == 0:
			ended = true
		case kind == 6 && !ended:
			out.WriteString(content)
		case kind == 3 && ended && content == "\x00\x00\x00\x00\x00\x00\x00\x00":
			return out.String(), raw
		default:
			t.Fatalf("record of type %d, ended %v: %q", kind, ended, content)
		}
	}
	t.Fatalf("no END_REQUEST after %d bytes; %q is left", out.Len(), raw)
	return "", ""
}

func TestFastCGI(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20000) // 320,000 bytes: several records
	checkFDs(t)
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	io.WriteString(file, big)
	s := serve(t, config{
		listen: []string{"fastcgi", "fastcgi-nph"},
		handler: func(x *fakeCall) Outcome {
			switch x.variable("PATH_INFO") {
			case "/big":
				x.start("200 OK")
				return x.reply(big)
			case "/pinned":
				x.start("200 OK")
				return x.replyPinned([]byte(big))
			case "/stream-big":
				x.start("200 OK")
				x.write(big)
				x.write("tail")
				return x.finish()
			case "/file":
				x.start("200 OK")
				return x.sendfile(file, 16, int64(len(big)-16))
			case "/long-head":
				x.start("200 OK", "X: "+strings.Repeat("h", 70000))
				return x.reply("hello")
			case "/echo":
				return echo(x)
			}
			return scripted(x)
		},
	})
	for path, want := range map[string]string{
		"/known":       "200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"/plain":       "200 OK\r\n\r\nhello",
		"/stream":      "200 OK\r\n\r\nhello",
		"/stream-none": "200 OK\r\n\r\n",
		"/raise":       "500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n",
		"/big":         "200 OK\r\n\r\n" + big,
		"/pinned":      "200 OK\r\n\r\n" + big,
		"/stream-big":  "200 OK\r\n\r\n" + big + "tail",
		"/file":        "200 OK\r\n\r\n" + big[16:],
		"/long-head":   "200 OK\r\nX: " + strings.Repeat("h", 70000) + "\r\n\r\nhello",
	} {
		for protocol, start := range map[string]string{"fastcgi": "Status: ", "fastcgi-nph": "HTTP/1.1 "} {
			got, rest := fcgiDecode(t, 258, s.exchange(protocol, fcgi(258, false, cgi("GET", path))))
			if got != start+want || rest != "" {
				t.Errorf("%s %s: got %d bytes: %.80q, rest %q", protocol, path, len(got), got, rest)
			}
		}
	}
	if n := s.app.released.Load(); n != 2 {
		t.Errorf("%d bodies were released", n)
	}
	t.Run("keep", func(t *testing.T) {
		c := s.dial("fastcgi")
		c.send(fcgi(1, true, cgi("GET", "/plain")) + fcgi(2, true, cgi("GET", "/stream")) + fcgi(1,
			false, cgi("GET", "/big")))
		rest := c.all()
		for i, want := range []string{"hello", "hello", big} {
			var got string
			got, rest = fcgiDecode(t, []int{1, 2, 1}[i], rest)
			if _, got, _ = strings.Cut(got, "\r\n\r\n"); got != want {
				t.Errorf("answer %d: %.80q", i, got)
			}
		}
	})
	t.Run("body", func(t *testing.T) {
		for _, tc := range []struct {
			name, length, want string
			body               []string
		}{
			{"exact", "5", "Status: 200 OK\r\n\r\n5|-|false|hello", []string{"hel", "lo"}},
			{"more than CONTENT_LENGTH", "3", "Status: 200 OK\r\n\r\n3|-|false|hel", []string{"hello"}},
			{"less", "9", "Status: 400 Bad Request\r\n", []string{"hello"}},
			{"unknown length", "", "Status: 200 OK\r\n\r\n5|-|false|hello", []string{"hello"}},
			{"none", "", "Status: 200 OK\r\n\r\n|-|false|", nil},
			{"Caddy's unknown length", "-1", "Status: 200 OK\r\n\r\n5|-|false|hello", []string{"hel", "lo"}},
			{"Caddy's, and none", "-1", "Status: 200 OK\r\n\r\n-|-|false|", nil},
		} {
			vars := cgi("POST", "/echo", "CONTENT_LENGTH="+tc.length)
			whole := fcgi(1, false, vars, tc.body...)
			if got, _ := fcgiDecode(t, 1, s.exchange("fastcgi", whole)); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
			}
			// The same with the end of the body coming later.
			c := s.dial("fastcgi")
			c.send(whole[:len(whole)-8])
			s.taken(c)
			c.send(whole[len(whole)-8:])
			if got, _ := fcgiDecode(t, 1, c.all()); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s, in two parts: got %q, want %q", tc.name, got, tc.want)
			}
		}
	})
	t.Run("values", func(t *testing.T) {
		c := s.dial("fastcgi")
		c.send(fcgiRecord(9, 0, "\x0f\x00FCGI_MPXS_CONNS") + fcgi(1, false, cgi("GET", "/plain")))
		got := c.all()
		const want = "\x01\x0a\x00\x00\x00\x12\x00\x00\x0f\x01FCGI_MPXS_CONNS0"
		if !strings.HasPrefix(got, want) {
			t.Fatalf("%q", got)
		}
		if out, _ := fcgiDecode(t, 1, got[len(want):]); out != "Status: 200 OK\r\n\r\nhello" {
			t.Errorf("%q", out)
		}
	})
}

func TestFastCGIRefusals(t *testing.T) {
	s := serve(t, config{listen: []string{"fastcgi"},
		set: func(s *option.Settings) { s.LimitPost = 8; s.BufferSize = 4096 }})
	begin := fcgi(3, false, cgi("GET", "/"))[:16]
	for _, tc := range []struct{ name, text, want string }{
		{"garbage", "GET / HTTP/1.1\r\n\r\n", ""},
		{"no begin", fcgiRecord(5, 1, ""), ""},
		{"abort", begin + fcgiRecord(2, 3, ""), "Status: 400 Bad Request\r\n"},
		{"second begin", begin + fcgiRecord(1, 4, "\x00\x01\x00\x00\x00\x00\x00\x00"), "Status: 400 "},
		{"role", fcgiRecord(1, 3, "\x00\x02\x00\x00\x00\x00\x00\x00"), "Status: 501 "},
		{"params", begin + fcgiRecord(4, 3, "\x7f\x7fx") + fcgiRecord(4, 3, ""), "Status: 400 "},
		{"too many", fcgi(3, false, cgi("GET", "/", "X="+strings.Repeat("x", 5000))), "Status: 431 "},
		{"limit-post", fcgi(3, false, cgi("GET", "/", "CONTENT_LENGTH=9"), "123456789"), "Status: 413 "},
		{"limit-post without a length", fcgi(3, false, cgi("GET", "/"), "123456789"), "Status: 413 "},
		{"aborted body", strings.TrimSuffix(fcgi(3, false, cgi("GET", "/", "CONTENT_LENGTH=5"), "hel"), fcgiRecord(5, 3, "")) + fcgiRecord(2, 3, ""), "Status: 400 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.dial("fastcgi")
			c.send(tc.text)
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			got := c.all()
			if tc.want == "" {
				if got != "" {
					t.Errorf("got %q", got)
				}
				return
			}
			if out, rest := fcgiDecode(t, 3, got); !strings.HasPrefix(out, tc.want) || rest != "" {
				t.Errorf("got %q, want %q", out, tc.want)
			}
		})
	}
}

// A refusal bears the id of the request that is refused, whatever others the core has served
// meanwhile; one that has none is not answered.
func TestFastCGIRefusalID(t *testing.T) {
	s := serve(t, config{listen: []string{"fastcgi"}})
	begun := strings.TrimSuffix(fcgi(7, true, cgi("POST", "/a", "CONTENT_LENGTH=100"), "part"), fcgiRecord(5, 7, ""))
	for name, end := range map[string]string{"aborted": fcgiRecord(2, 7, ""), "ended early": fcgiRecord(5, 7, ""),
		"no record": strings.Repeat("x", 8)} {
		c := s.dial("fastcgi")
		c.send(begun)
		s.taken(c)
		s.exchange("fastcgi", fcgi(3, false, cgi("GET", "/b")))
		c.send(end)
		if out, _ := fcgiDecode(t, 7, c.all()); !strings.HasPrefix(out, "Status: 400 ") {
			t.Errorf("%s: %q", name, out)
		}
	}
	s.exchange("fastcgi", fcgi(3, false, cgi("GET", "/b")))
	if got := s.exchange("fastcgi", strings.Repeat("x", 8)); got != "" {
		t.Errorf("what is no request was answered %q", got)
	}
	c := s.dial("fastcgi") // the connection's own earlier request
	c.send(fcgi(3, true, cgi("GET", "/b")) + strings.Repeat("x", 8))
	if out, rest := fcgiDecode(t, 3, c.all()); !strings.HasSuffix(out, "hello /b") || rest != "" {
		t.Errorf("%q, and then %q", out, rest)
	}
}
