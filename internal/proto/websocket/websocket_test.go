package websocket

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"uwsgi/internal/proto/websocket/websockettest"
)

var (
	frame = websockettest.Frame
	code  = websockettest.Code
)

// hear feeds c with raw in pieces of that many bytes and tells what came of it, one word a message;
// answers is what the client is sent for it.
func hear(c *Conn, raw []byte, step int) (heard []string, answers []byte) {
	raw = bytes.Clone(raw)
	for at := 0; at < len(raw); at += step {
		p := raw[at:min(at+step, len(raw))]
		for {
			m, n := c.Next(p)
			p = p[n:]
			if m.Op == 0 {
				break
			}
			heard = append(heard, word(m))
			answers = c.AppendReply(answers, m)
		}
		if len(p) > 0 {
			return append(heard, fmt.Sprintf("%d bytes left", len(p))), answers
		}
	}
	return heard, answers
}

func word(m Message) string {
	switch {
	case m.Err != nil:
		return fmt.Sprintf("failed %d", m.Err.Code)
	case m.Op == Close:
		return fmt.Sprintf("close %d %s", m.Code, m.Data)
	}
	return fmt.Sprintf("%s %s", map[Opcode]string{Text: "text", Binary: "binary", Ping: "ping", Pong: "pong"}[m.Op],
		m.Data)
}

func concat(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

const (
	limit = 100
	rsv1  = 0x40
)

// frames are what a client may send and what comes of it: as frames, and the answers to them.
var frames = []struct {
	name    string
	raw     []byte
	deflate bool
	heard   string // words joined by ", "
	answers string
}{
	{name: "nothing"},
	{name: "RFC 6455 §5.7, masked text", raw: []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), heard: "text Hello"},
	{name: "empty text", raw: frame(0x81, ""), heard: "text "},
	{name: "empty binary", raw: frame(0x82, ""), heard: "binary "},
	{name: "two", raw: concat(frame(0x81, "a"), frame(0x82, "\xff")), heard: "text a, binary \xff"},
	{name: "fragments", raw: concat(frame(0x01, "Hel"), frame(0x00, ""), frame(0x80, "lo")), heard: "text Hello"},
	{name: "only the last fragment has something", raw: concat(frame(0x02, ""), frame(0x00, ""), frame(0x80, "lo")), heard: "binary lo"},
	{name: "a character in two fragments", raw: concat(frame(0x01, "\xe2"), frame(0x80, "\x82\xac")), heard: "text €"},
	{name: "control frames in between", raw: concat(frame(0x01, "Hel"), frame(0x89, "p"), frame(0x8a, "q"), frame(0x80, "lo")),
		heard: "ping p, pong q, text Hello", answers: "\x8a\x01p"},
	{name: "a message, one that is larger, a message",
		raw: concat(frame(0x82, "a"), frame(0x02, strings.Repeat("b", 50)),
			frame(0x80, strings.Repeat("b", 50)), frame(0x82, "c")),
		heard: "binary a, binary " + strings.Repeat("b", 100) + ", binary c"},
	{name: "ping of 125", raw: frame(0x89, strings.Repeat("p", 125)), heard: "ping " + strings.Repeat("p", 125), answers: "\x8a\x7d" + strings.Repeat("p", 125)},
	{name: "ping without a word", raw: frame(0x89, ""), heard: "ping ", answers: "\x8a\x00"},
	{name: "close", raw: concat(frame(0x88, code(1000, "bye")), frame(0x81, "more")), heard: "close 1000 bye", answers: "\x88\x02\x03\xe8"},
	{name: "close without a code", raw: frame(0x88, ""), heard: "close 1005 ", answers: "\x88\x00"},
	{name: "close between fragments", raw: concat(frame(0x01, "a"), frame(0x88, code(4999, ""))), heard: "close 4999 ", answers: "\x88\x02\x13\x87"},
	{name: "as large as allowed", raw: frame(0x82, strings.Repeat("x", limit)), heard: "binary " + strings.Repeat("x", limit)},

	{name: "unmasked", raw: []byte("\x81\x05Hello"), heard: "failed 1002"},
	{name: "RSV1 without an extension", raw: frame(0x81|rsv1, "a"), heard: "failed 1002"},
	{name: "RSV2", raw: frame(0xa1, "a"), deflate: true, heard: "failed 1002"},
	{name: "RSV3", raw: frame(0x91, "a"), deflate: true, heard: "failed 1002"},
	{name: "RSV1 in a control frame", raw: frame(0x89|rsv1, "a"), deflate: true, heard: "failed 1002"},
	{name: "RSV1 in a continuation", raw: concat(frame(0x01|rsv1, "a"), frame(0x80|rsv1, "b")), deflate: true, heard: "failed 1002"},
	{name: "opcode 3", raw: frame(0x83, "a"), heard: "failed 1002"},
	{name: "opcode 7", raw: frame(0x87, "a"), heard: "failed 1002"},
	{name: "opcode 11", raw: frame(0x8b, "a"), heard: "failed 1002"},
	{name: "opcode 15", raw: frame(0x8f, "a"), heard: "failed 1002"},
	{name: "fragmented ping", raw: frame(0x09, "a"), heard: "failed 1002"},
	{name: "fragmented close", raw: frame(0x08, ""), heard: "failed 1002"},
	{name: "ping of 126", raw: frame(0x89, strings.Repeat("p", 126)), heard: "failed 1002"},
	{name: "continuation of nothing", raw: frame(0x80, "a"), heard: "failed 1002"},
	{name: "continuation after the end", raw: concat(frame(0x01, "a"), frame(0x80, "b"), frame(0x80, "c")), heard: "text ab, failed 1002"},
	{name: "message within one", raw: concat(frame(0x01, "a"), frame(0x81, "b")), heard: "failed 1002"},
	{name: "length in two bytes for one", raw: []byte("\x82\xfe\x00\x7d\x00\x00\x00\x00"), heard: "failed 1002"},
	{name: "length in eight bytes for two", raw: []byte("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00"), heard: "failed 1002"},
	{name: "negative length", raw: []byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), heard: "failed 1002"},
	{name: "length of the largest", raw: []byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), heard: "failed 1009"},
	{name: "too large", raw: frame(0x82, strings.Repeat("x", limit+1)), heard: "failed 1009"},
	{name: "too large in fragments", raw: concat(frame(0x02, strings.Repeat("x", limit)), frame(0x80, "x")), heard: "failed 1009"},
	{name: "not UTF-8", raw: frame(0x81, "a\xff"), heard: "failed 1007"},
	{name: "not UTF-8, known early", raw: frame(0x01, "\xed\xa0"), heard: "failed 1007"},
	{name: "half a character at the end", raw: concat(frame(0x01, "a\xe2"), frame(0x80, "\x82")), heard: "failed 1007"},
	{name: "half a character at the end of one", raw: frame(0x81, "\xe2\x82"), heard: "failed 1007"},
	{name: "close of one byte", raw: frame(0x88, "\x03"), heard: "failed 1002"},
	{name: "close of a reason that is not UTF-8", raw: frame(0x88, code(1000, "\xff")), heard: "failed 1007"},
	{name: "nothing more after a fault", raw: concat(frame(0x83, ""), frame(0x81, "a"), frame(0x88, "")), heard: "failed 1002"},

	{name: "RFC 7692 §7.2.3.1", raw: frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), deflate: true, heard: "text Hello"},
	{name: "… in fragments", raw: concat(frame(0x41, "\xf2\x48\xcd"), frame(0x80, "\xc9\xc9\x07\x00")), deflate: true, heard: "text Hello"},
	{name: "RFC 7692 §7.2.3.3, no compression", raw: frame(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), deflate: true, heard: "text Hello"},
	{name: "RFC 7692 §7.2.3.4, final block", raw: frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), deflate: true, heard: "text Hello"},
	{name: "… without its trailer", raw: frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00"), deflate: true, heard: "text Hello"},
	{name: "RFC 7692 §7.2.3.5, two blocks", raw: frame(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), deflate: true, heard: "text Hello"},
	{name: "no context is taken over", raw: concat(frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), frame(0xc1, "\xf2\x00\x11\x00\x00")), deflate: true,
		heard: "text Hello, failed 1007"},
	{name: "compressed nothing", raw: frame(0xc1, "\x00"), deflate: true, heard: "text "},
	{name: "plain beside compressed", raw: frame(0x81, "Hello"), deflate: true, heard: "text Hello"},
	{name: "cannot be inflated", raw: frame(0xc1, "\xff\xff\xff"), deflate: true, heard: "failed 1007"},
	{name: "compressed, not UTF-8", raw: frame(0xc1, "\x00\x01\x00\xfe\xff\xff\x00"), deflate: true, heard: "failed 1007"},
	{name: "final blocks without end", raw: frame(0xc2, strings.Repeat("\x03\x00", 30)), deflate: true, heard: "failed 1007"},
}

func TestFrames(t *testing.T) {
	for _, f := range frames {
		for _, step := range []int{max(len(f.raw), 1), 1, 2, 3, 7} {
			var c Conn
			c.Init(limit, Deflate{On: f.deflate})
			heard, answers := hear(&c, f.raw, step)
			if got := strings.Join(heard, ", "); got != f.heard {
				t.Errorf("%s, %d at a time: %q, expected %q", f.name, step, got, f.heard)
			}
			if !strings.Contains(f.heard, "failed") {
				if string(answers) != f.answers {
					t.Errorf("%s: answered with %q, expected %q", f.name, answers, f.answers)
				}
				continue
			}
			var want int
			fmt.Sscanf(f.heard[strings.Index(f.heard, "failed"):], "failed %d", &want)
			if len(answers) < 4 || answers[0] != 0x88 || string(answers[2:4]) != code(want, "") ||
				int(answers[1]) != len(answers)-2 {
				t.Errorf("%s: answered with %q, expected a close frame with %d", f.name, answers, want)
			}
			if !c.Over() || !c.Closing() {
				t.Errorf("%s: over %t, closing %t", f.name, c.Over(), c.Closing())
			}
		}
	}
}

// TestCloseCodes: those that may be on the wire, by RFC 6455 §7.4 and IANA's registry, and no
// others.
func TestCloseCodes(t *testing.T) {
	for n := range 6000 {
		var c Conn
		c.Init(limit, Deflate{})
		heard, _ := hear(&c, frame(0x88, code(n, "")), 100)
		valid := n >= 1000 && n <= 1014 && n != 1004 && n != 1005 && n != 1006 || n >= 3000 && n < 5000
		want := "failed 1002"
		if valid {
			want = fmt.Sprintf("close %d ", n)
		}
		if heard[0] != want {
			t.Errorf("close frame with %d: %q, expected %q", n, heard, want)
		}
	}
}

// TestClosing: after a close frame of ours only the client's counts, and nothing is sent any more.
func TestClosing(t *testing.T) {
	var c Conn
	c.Init(limit, Deflate{On: true})
	if got := c.AppendClose(nil, Restart, "the server restarts"); string(got) != "\x88\x15"+code(1012,
		"the server restarts") {
		t.Errorf("close frame %q", got)
	}
	heard, answers := hear(&c, concat(frame(0x01, "aa"), frame(0x80, "b"), frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"),
		frame(0x89, "p"),
		frame(0x88, code(1000, ""))), 1000)
	if got := strings.Join(heard, ", "); got != "ping p, close 1000 " {
		t.Errorf("heard %q", got)
	}
	if answers = c.AppendPing(c.AppendClose(answers, 1000, ""), nil); len(answers) > 0 {
		t.Errorf("answered with %q", answers)
	}
}

func TestCloseFrames(t *testing.T) {
	for _, f := range []struct {
		code   int
		reason string
		want   string
	}{
		{1000, "", code(1000, "")},
		{1005, "dropped", ""},
		{1006, "", ""},
		{3000, strings.Repeat("x", 123), code(3000, strings.Repeat("x", 123))},
		{3000, strings.Repeat("x", 124), code(3000, strings.Repeat("x", 123))},
		{3000, strings.Repeat("x", 122) + "€", code(3000, strings.Repeat("x", 122))},
		{3000, strings.Repeat("x", 120) + "€€", code(3000, strings.Repeat("x", 120)+"€")},
	} {
		var c Conn
		c.Init(0, Deflate{})
		if got := c.AppendClose(nil, f.code, f.reason); string(got[2:]) != f.want || int(got[1]) != len(f.want) {
			t.Errorf("%d %q: %q", f.code, f.reason, got)
		}
	}
}

// TestEncode has the examples of RFC 6455 §5.7, and lengths at the borders.
func TestEncode(t *testing.T) {
	var c Conn
	c.Init(0, Deflate{})
	for _, e := range []struct {
		op     Opcode
		n      int
		header string
	}{
		{Text, 0, "\x81\x00"}, {Text, 5, "\x81\x05"}, {Binary, 125, "\x82\x7d"}, {Binary, 126, "\x82\x7e\x00\x7e"}, {Binary, 256, "\x82\x7e\x01\x00"},
		{Binary, 65535, "\x82\x7e\xff\xff"}, {Binary, 65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
	} {
		p := bytes.Repeat([]byte("x"), e.n)
		out, rest := c.Encode([]byte("before"), e.op, p)
		if got := string(out) + string(rest); got != "before"+e.header+string(p) {
			t.Errorf("%d bytes: %.30q", e.n, got)
		}
		if len(rest) > 0 && &rest[0] != &p[0] {
			t.Errorf("%d bytes were copied", e.n)
		}
	}
}

// TestCompressed: what Encode has compressed, the other side inflates to what it was, also one
// whose window is small.
func TestCompressed(t *testing.T) {
	text := []byte(strings.Repeat("compression without context takeover, ", 100))
	for _, bits := range []uint8{0, 8, 11, 12} {
		var c, other Conn
		c.Init(0, Deflate{On: true, bits: bits})
		other.Init(1<<20, Deflate{On: true})
		for range 2 {
			out, rest := c.Encode(nil, Text, text)
			compressed := out[0]&rsv1 != 0
			if compressed != (bits == 0 || bits == 12) {
				t.Fatalf("%d bytes for a window of 2^%d, compressed: %t", len(text), bits, compressed)
			}
			if !compressed {
				continue
			}
			header := 2
			if out[1] == 126 {
				header = 4
			}
			heard, _ := hear(&other, frame(out[0], string(out[header:])+string(rest)), 1000)
			if len(heard) != 1 || heard[0] != "text "+string(text) {
				t.Fatalf("came back as %.80q", heard)
			}
		}
		if out, _ := c.Encode(nil, Text, text[:100]); out[0]&rsv1 != 0 {
			t.Error("a short message was compressed")
		}
	}
	var c Conn
	c.Init(0, Deflate{On: true})
	noise := make([]byte, 2000)
	for i, seed := 0, uint32(1); i < len(noise); i++ {
		seed = seed*1664525 + 1013904223
		noise[i] = byte(seed >> 24)
	}
	if out, _ := c.Encode(nil, Binary, noise); out[0]&rsv1 != 0 {
		t.Errorf("noise of %d bytes was sent as %d", len(noise), len(out))
	}
}

// TestBomb: what a message is inflated to counts against the limit, and no more than that is made.
func TestBomb(t *testing.T) {
	var c, other Conn
	c.Init(0, Deflate{On: true})
	out, _ := c.Encode(nil, Binary, make([]byte, 64<<20))
	other.Init(1<<20, Deflate{On: true})
	raw := frame(out[0], string(out[10:])) // the header has a length of eight bytes
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, _ := other.Next(raw)
	runtime.ReadMemStats(&after)
	if m.Err == nil || m.Err.Code != TooBig {
		t.Errorf("%d bytes came to %.80q", len(raw), word(m))
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > 8<<20 {
		t.Errorf("%d bytes of memory were made for it", made)
	}
}

// TestHostileLength: a length costs nothing before the bytes come.
func TestHostileLength(t *testing.T) {
	var c Conn
	c.Init(0, Deflate{})
	raw := []byte("\x82\xff\x00\x00\x7f\xff\xff\xff\xff\xff\x00\x00\x00\x00abc")
	if n := testing.AllocsPerRun(1, func() { c.Next(raw) }); n > 1 || cap(c.message) > 64 {
		t.Errorf("%g allocations, %d bytes set aside", n, cap(c.message))
	}
}

// TestNoAllocation: a message that comes in one piece is where it came, whatever surrounds it.
func TestNoAllocation(t *testing.T) {
	var c Conn
	c.Init(0, Deflate{})
	one := frame(0x81, strings.Repeat("text €", 1000))
	raw := concat(one, frame(0x89, "ping"), one, one[:10])
	rest := one[10:]
	buf, out := make([]byte, len(raw)+len(rest)), make([]byte, 0, 100)
	for _, whole := range []bool{true, false} {
		n := testing.AllocsPerRun(10, func() {
			p := buf[:copy(buf, raw)]
			if whole {
				p = buf[:copy(buf, raw[:len(raw)-10])]
			}
			for {
				m, n := c.Next(p)
				if p = p[n:]; m.Op == 0 {
					break
				}
				out = c.AppendReply(out[:0], m)
			}
			if !whole {
				c.Next(buf[:copy(buf, rest)])
			}
		})
		if whole && n > 0 {
			t.Errorf("%g allocations", n)
		}
	}
	c.Next(nil)
	if cap(c.message) > keepMemory {
		t.Errorf("an idle connection keeps %d bytes", cap(c.message))
	}
}

func TestQueue(t *testing.T) {
	var q Queue
	if m := q.Pop(); m.Op != 0 || q.Full() {
		t.Errorf("an empty queue gave %v", m)
	}
	data := []byte("0")
	for i := range queueMessages {
		if q.Full() {
			t.Fatalf("full with %d", i)
		}
		data[0] = byte('0' + i)
		q.Push(Message{Op: Binary, Data: data})
	}
	if !q.Full() {
		t.Error("not full")
	}
	for i := range queueMessages {
		if m := q.Pop(); m.Op != Binary || m.Data[0] != byte('0'+i) {
			t.Fatalf("%d: %v", i, m)
		}
	}
	q.Push(Message{Op: Text, Data: make([]byte, queueBytes)})
	if !q.Full() {
		t.Error("not full by its bytes")
	}
	if q.Pop(); q.Full() || q.size != 0 {
		t.Errorf("%d bytes are left", q.size)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, n := range []int{32, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			raw := frame(0x82, strings.Repeat("x", n))
			buf := make([]byte, len(raw))
			var c Conn
			c.Init(0, Deflate{})
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, raw)
				c.Next(buf)
			}
		})
	}
}
