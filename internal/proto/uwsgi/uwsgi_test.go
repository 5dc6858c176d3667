package uwsgi

import (
	"errors"
	"strings"
	"testing"

	"uwsgi/internal/request"
)

var testLimits = &request.Limits{Head: 4096}

// packet encodes pairs of NAME=value.
func packet(modifier1 byte, pairs ...string) []byte {
	buf := []byte{modifier1, 0, 0, 0}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		for _, text := range []string{name, value} {
			buf = append(append(buf, byte(len(text)), byte(len(text)>>8)), text...)
		}
	}
	buf[1], buf[2] = byte(len(buf)-4), byte((len(buf)-4)>>8)
	return buf
}

func pairsOf(r *request.Request) string {
	var pairs []string
	for i := range r.Vars {
		pairs = append(pairs, string(r.Key(i))+"="+string(r.Val(i)))
	}
	return strings.Join(pairs, "|")
}

func TestParse(t *testing.T) {
	sized := func(total int) []byte { return packet(0, "K="+strings.Repeat("v", total-5)) }
	for _, c := range []struct {
		name string
		raw  []byte
		want any // the pairs, or the error
	}{
		{"one", packet(0, "A=1"), "A=1"},
		{"several", packet(0, "REQUEST_METHOD=GET", "HTTP_X=", "PATH_INFO=/é"), "REQUEST_METHOD=GET|HTTP_X=|PATH_INFO=/é"},
		{"repeated", packet(0, "A=1", "A=2"), "A=1|A=2"},
		{"modifier 30", packet(30, "A=1"), "A=1"},
		{"modifier2", append([]byte{0, 5, 0, 7}, "\x01\x00A\x00\x00"...), "A="},
		{"body behind", append(packet(0, "A=1"), "body"...), "A=1"},
		{"long value", packet(0, "A="+strings.Repeat("x", 300)), "A=" + strings.Repeat("x", 300)},
		{"as large as the limit", sized(4096), "K=" + strings.Repeat("v", 4091)},
		{"larger than the limit", sized(4097), request.ErrHeadSize},
		{"largest size", []byte{0, 0xff, 0xff, 0}, request.ErrHeadSize},
		{"no variables", []byte{0, 0, 0, 0}, ErrEmpty},
		{"another plugin", packet(5, "A=1"), ErrModifier},
		{"spool file", packet(17, "A=1"), ErrModifier},
		{"ping", []byte{100, 0, 0, 0}, ErrModifier},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), ErrHTTP},
		{"TLS", []byte{22, 3, 1, 2}, ErrTLS},
		{"no name", packet(0, "=1"), ErrKey},
		{"no name behind others", packet(0, "A=1", "=1"), ErrKey},
		{"name past the end", []byte{0, 5, 0, 0, 9, 0, 'A', 0, 0}, ErrSize},
		{"name to the very end", []byte{0, 5, 0, 0, 3, 0, 'A', 'B', 'C'}, ErrSize},
		{"value past the end", []byte{0, 5, 0, 0, 1, 0, 'A', 1, 0}, ErrSize},
		{"value size cut", []byte{0, 4, 0, 0, 1, 0, 'A', 1}, ErrSize},
		{"name size cut", append([]byte{0, 6, 0, 0}, 1, 0, 'A', 0, 0, 1), ErrSize},
		{"name longer than 16 signed bits", []byte{0, 5, 0, 0, 0xff, 0xff, 'A', 0, 0}, ErrSize},
	} {
		r := new(request.Request)
		n, err := Parse(c.raw, r, testLimits)
		if want, ok := c.want.(error); ok {
			if err != want {
				t.Errorf("%s: %v, want %v", c.name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := pairsOf(r); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		if size := int(c.raw[1]) | int(c.raw[2])<<8; n != size+4 || r.PacketSize() != size {
			t.Errorf("%s: took %d bytes, packet size %d; want %d, %d", c.name, n, r.PacketSize(), size+4, size)
		}
		if &r.Arena[0] != &c.raw[0] {
			t.Errorf("%s: the packet was copied", c.name)
		}
		for cut := range n {
			if _, err := Parse(c.raw[:cut], new(request.Request), testLimits); err != request.ErrIncomplete {
				t.Errorf("%s cut at %d: %v", c.name, cut, err)
			}
		}
	}
}

// What cannot become a request is refused as soon as that is known, not when the bytes it promises
// have come.
func TestRefusedEarly(t *testing.T) {
	for raw, want := range map[string]error{"\x05": ErrModifier, "\x00\x01\x10\x00": request.ErrHeadSize,
		"\x00\x00\x00\x00": ErrEmpty} {
		for n := range raw {
			if _, err := Parse([]byte(raw[:n]), new(request.Request), testLimits); err != request.ErrIncomplete {
				t.Errorf("%q: %v", raw[:n], err)
			}
		}
		if _, err := Parse([]byte(raw), new(request.Request), testLimits); err != want {
			t.Errorf("%q: %v, want %v", raw, err, want)
		}
	}
}

// The joining of headers must not write into the packet: the body stands right behind it.
func TestJoinLeavesPacket(t *testing.T) {
	raw := append(packet(0, "HTTP_X=1", "HTTP_X=2", "HTTP_COOKIE=a", "HTTP_COOKIE=b"), "body"...)
	before := string(raw)
	r := new(request.Request)
	if _, err := Parse(raw, r, testLimits); err != nil {
		t.Fatal(err)
	}
	if err := request.Finish(r, testLimits, request.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := pairsOf(r); got != "HTTP_X=1, 2|HTTP_COOKIE=a; b" || string(raw) != before {
		t.Errorf("%s; packet %q", got, raw)
	}
}

// What nginx's stock uwsgi_params make of a browser's request.
var browser = packet(0,
	"QUERY_STRING=", "REQUEST_METHOD=GET", "CONTENT_TYPE=", "CONTENT_LENGTH=", "REQUEST_URI=/hello", "PATH_INFO=/hello",
	"DOCUMENT_ROOT=/usr/share/nginx/html", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_SCHEME=http", "REMOTE_ADDR=127.0.0.1",
	"REMOTE_PORT=43754", "SERVER_PORT=8080", "SERVER_NAME=example.test", "HTTP_HOST=example.test", "HTTP_USER_AGENT=curl/7.88.1",
	"HTTP_ACCEPT=*/*", "HTTP_ACCEPT_ENCODING=gzip, deflate, br", "HTTP_ACCEPT_LANGUAGE=en", "HTTP_CONNECTION=keep-alive", "HTTP_COOKIE=a=1; b=2")

func TestParseAllocatesNothing(t *testing.T) {
	r := new(request.Request)
	bad := packet(0, "A=1", "=1")
	if n := testing.AllocsPerRun(100, func() {
		for _, raw := range [][]byte{browser, bad} {
			r.Reset()
			if _, err := Parse(raw, r, testLimits); err == nil {
				_ = request.Finish(r, testLimits, request.Options{})
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	r := new(request.Request)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, err := Parse(browser, r, testLimits); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndFinish(b *testing.B) {
	r := new(request.Request)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, err := Parse(browser, r, testLimits); err != nil {
			b.Fatal(err)
		}
		if err := request.Finish(r, testLimits, request.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParse: a packet that is taken says the same when written anew; cut anywhere it is incomplete
// or refused, never different.
func FuzzParse(f *testing.F) {
	f.Add(browser, uint16(20))
	f.Add(packet(30, "A=1", "A=2", "B="), uint16(3))
	f.Add([]byte{0, 5, 0, 0, 0xff, 0xff, 'A', 0, 0}, uint16(5))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		r := new(request.Request)
		n, err := Parse(raw, r, testLimits)
		part := raw[:min(int(cut), len(raw))]
		if _, partErr := Parse(part, new(request.Request), testLimits); partErr != err &&
			partErr != request.ErrIncomplete {
			t.Fatalf("whole: %v; cut at %d: %v", err, len(part), partErr)
		}
		if err != nil {
			var refused *request.Error
			if err != request.ErrIncomplete && (!errors.As(err, &refused) || refused.Status < 400) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		again := []byte{raw[0], raw[1], raw[2], raw[3]}
		for i := range r.Vars {
			for _, text := range [][]byte{r.Key(i), r.Val(i)} {
				again = append(append(again, byte(len(text)), byte(len(text)>>8)), text...)
			}
		}
		if string(again) != string(raw[:n]) {
			t.Fatalf("%q was taken for %q", raw[:n], again)
		}
	})
}

// The modifiers are the log's.
func TestModifiers(t *testing.T) {
	r := new(request.Request)
	buf := packet(30, "A=1")
	buf[3] = 7
	if _, err := Parse(buf, r, &request.Limits{Head: 4096}); err != nil || r.Modifier1 != 30 || r.Modifier2 != 7 {
		t.Errorf("modifiers %d and %d, %v", r.Modifier1, r.Modifier2, err)
	}
	if r.Reset(); r.Modifier1 != 0 || r.Modifier2 != 0 {
		t.Error("the next request has them too")
	}
}
