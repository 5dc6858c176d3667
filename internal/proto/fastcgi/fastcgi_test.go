package fastcgi

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"uwsgi/internal/request"
)

var testLimits = &request.Limits{Head: 4096}

// rec encodes one record; padding bytes are not zero, so that none is taken for content.
func rec(kind byte, id uint16, content string, padding int) string {
	h := []byte{version, kind, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), byte(padding), 0}
	return string(h) + content + strings.Repeat("\xee", padding)
}

func begin(id uint16, flags byte) string {
	return rec(typeBegin, id, string([]byte{0, roleResponder, flags, 0, 0, 0, 0, 0}), 0)
}

// params encodes pairs of NAME=value.
func pairs(list ...string) string {
	var text []byte
	for _, p := range list {
		name, value, _ := strings.Cut(p, "=")
		for _, s := range []string{name, value} {
			if len(s) < 0x80 {
				text = append(text, byte(len(s)))
			} else {
				text = binary.BigEndian.AppendUint32(text, uint32(len(s))|1<<31)
			}
		}
		text = append(append(text, name...), value...)
	}
	return string(text)
}

func pairsOf(r *request.Request) string {
	var list []string
	for i := range r.Vars {
		list = append(list, string(r.Key(i))+"="+string(r.Val(i)))
	}
	return strings.Join(list, "|")
}

func TestParse(t *testing.T) {
	long := "LONG=" + strings.Repeat("x", 300)
	ab := pairs("A=1", "B=")
	end := rec(typeParams, 1, "", 0)
	for _, c := range []struct {
		name string
		raw  string
		want any // the pairs, or the error
		n    int // bytes taken; 0 = all
	}{
		{"whole", begin(1, 0) + rec(typeParams, 1, ab, 0) + end, "A=1|B=", 0},
		{"padded", begin(1, 0) + rec(typeParams, 1, ab, 7) + rec(typeParams, 1, "", 255), "A=1|B=", 0},
		{"four-byte lengths", begin(1, 0) + rec(typeParams, 1, pairs(long, "A=1"), 0) + end, long + "|A=1", 0},
		{"four-byte length of a short text", begin(1, 0) + rec(typeParams, 1, "\x80\x00\x00\x01\x80\x00\x00\x00A", 0) + end, "A=", 0},
		{"split inside a pair", begin(1, 0) + rec(typeParams, 1, ab[:3], 5) + rec(typeParams, 1, ab[3:], 0) + end, "A=1|B=", 0},
		{"body behind", begin(1, 0) + rec(typeParams, 1, ab, 0) + end + rec(typeStdin, 1, "x", 0), "A=1|B=", 16 + 8 + len(ab) + 8},
		{"STDIN without the end of PARAMS", begin(1, 0) + rec(typeParams, 1, ab, 0) + rec(typeStdin, 1, "x", 0), "A=1|B=", 16 + 8 + len(ab)},
		{"records of others and of unknown kinds", begin(1, 0) + rec(typeStdin, 2, "x", 0) + rec(typeValues, 0, "", 0) + rec(42, 1, "x", 0) + rec(typeParams, 1, ab, 0) + end, "A=1|B=", 0},
		{"large id", begin(0xfffe, 1) + rec(typeParams, 0xfffe, ab, 0) + rec(typeParams, 0xfffe, "", 0), "A=1|B=", 0},
		{"as large as the limit", begin(1, 0) + rec(typeParams, 1, pairs("K="+strings.Repeat("v", 4090)), 0) + end, "K=" + strings.Repeat("v", 4090), 0},
		{"larger than the limit", begin(1, 0) + rec(typeParams, 1, pairs("K="+strings.Repeat("v", 4091)), 0) + end, error(request.ErrHeadSize), 0},
		{"larger in several records", begin(1, 0) + strings.Repeat(rec(typeParams, 1, pairs("K="+strings.Repeat("v", 2000)), 0), 3), error(request.ErrHeadSize), 0},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", ErrVersion, 0},
		{"another version later", begin(1, 0) + "\x02", ErrVersion, 0},
		{"no BEGIN", rec(typeParams, 1, ab, 0) + end, ErrBegin, 0},
		{"short BEGIN", rec(typeBegin, 1, "\x00\x01\x00", 0), ErrBegin, 0},
		{"another role", rec(typeBegin, 1, "\x00\x02\x00\x00\x00\x00\x00\x00", 0), ErrRole, 0},
		{"management", rec(typeValues, 0, pairs("FCGI_MPXS_CONNS="), 0), ErrManagement, 0},
		{"aborted", begin(1, 0) + rec(typeAbort, 1, "", 0), ErrAborted, 0},
		{"begun twice", begin(1, 0) + begin(1, 0), ErrMultiple, 0},
		{"two requests at once", begin(1, 0) + begin(2, 0), ErrMultiple, 0},
		{"no parameters", begin(1, 0) + end, ErrEmpty, 0},
		{"no name", begin(1, 0) + rec(typeParams, 1, "\x00\x011", 0) + end, ErrName, 0},
		{"name past the end", begin(1, 0) + rec(typeParams, 1, "\x02\x00A", 0) + end, ErrParams, 0},
		{"value past the end", begin(1, 0) + rec(typeParams, 1, "\x01\x02A1", 0) + end, ErrParams, 0},
		{"lengths that add up to too much", begin(1, 0) + rec(typeParams, 1, "\xff\xff\xff\xff\xff\xff\xff\xffA", 0) + end, ErrParams, 0},
		{"length cut", begin(1, 0) + rec(typeParams, 1, "\x80\x00\x00", 0) + end, ErrParams, 0},
		{"value length missing", begin(1, 0) + rec(typeParams, 1, "\x01", 0) + end, ErrParams, 0},
	} {
		r := new(request.Request)
		raw := []byte(c.raw)
		n, b, err := Parse(raw, r, testLimits)
		if want, ok := c.want.(error); ok {
			if err != want {
				t.Errorf("%s: %v, want %v", c.name, err, want)
			}
			continue
		}
		clear(raw) // the parameters must have been copied
		if got := pairsOf(r); err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.name, got, err)
			continue
		}
		if c.n == 0 {
			c.n = len(c.raw)
		}
		if n != c.n {
			t.Errorf("%s: took %d bytes, want %d", c.name, n, c.n)
		}
		if want := (Begin{ID: uint16(c.raw[2])<<8 | uint16(c.raw[3]), KeepConn: c.raw[10]&1 != 0}); b != want {
			t.Errorf("%s: %+v, want %+v", c.name, b, want)
		}
		for cut := range n {
			r.Reset()
			if _, _, err := Parse([]byte(c.raw[:cut]), r, testLimits); err != request.ErrIncomplete {
				t.Errorf("%s cut at %d: %v", c.name, cut, err)
			}
		}
	}
}

// decode runs a whole body through s, pieces of src at most srcStep long into a dst of dstStep
// bytes.
func decode(s *Stdin, src string, srcStep, dstStep int) (body string, used int, done bool, err error) {
	dst := make([]byte, dstStep)
	for used < len(src) && !done {
		piece := []byte(src[used:min(used+srcStep, len(src))])
		for len(piece) > 0 && !done {
			var nd, ns int
			nd, ns, done, err = s.Decode(dst, piece)
			body += string(dst[:nd])
			used += ns
			piece = piece[ns:]
			if err != nil || nd == 0 && ns == 0 {
				return body, used, done, err
			}
		}
	}
	return body, used, done, nil
}

func TestStdin(t *testing.T) {
	end := rec(typeStdin, 1, "", 0)
	for _, c := range []struct {
		name, raw, body string
		done            bool
		err             error
	}{
		{"empty", end, "", true, nil},
		{"empty, padded", rec(typeStdin, 1, "", 9), "", true, nil},
		{"one record", rec(typeStdin, 1, "hello", 3) + end, "hello", true, nil},
		{"several", rec(typeStdin, 1, "he", 0) + rec(typeStdin, 1, "llo", 5) + end, "hello", true, nil},
		{"others between", rec(typeStdin, 2, "xx", 1) + rec(typeStdin, 2, "", 0) + rec(typeStdin, 1, "hello", 0) + rec(typeValues, 0, "x", 3) + rec(8, 1, "data", 0) + rec(8, 1, "", 2) + end, "hello", true, nil},
		{"not ended", rec(typeStdin, 1, "hello", 0), "hello", false, nil},
		{"aborted", rec(typeStdin, 1, "he", 0) + rec(typeAbort, 1, "", 0), "he", false, ErrAborted},
		{"another aborted", rec(typeAbort, 2, "", 0) + end, "", true, nil},
		{"another begins", rec(typeStdin, 1, "he", 0) + begin(2, 0), "he", false, ErrMultiple},
		{"another version", rec(typeStdin, 1, "he", 0) + "GET / HTTP/1.1", "he", false, ErrVersion},
	} {
		for _, step := range []int{1, 2, 5, 1000} {
			raw := c.raw
			if c.done {
				raw += begin(1, 0) // of the next request on the connection
			}
			s := &Stdin{ID: 1}
			body, used, done, err := decode(s, raw, step, 3)
			if body != c.body || done != c.done || err != c.err || c.done && used != len(c.raw) {
				t.Errorf("%s, %d at a time: %q, %d used, %t, %v", c.name, step, body, used, done, err)
			}
		}
		buf := []byte(c.raw)
		n, _, done, err := (&Stdin{ID: 1}).Decode(buf, buf)
		if string(buf[:n]) != c.body || done != c.done || err != c.err {
			t.Errorf("%s in place: %q, %t, %v", c.name, buf[:n], done, err)
		}
	}
}

func TestResponse(t *testing.T) {
	if got := AppendStdout(nil, 0x102, nil); len(got) != 0 {
		t.Errorf("nothing became %q", got)
	}
	if got, want := string(AppendEnd(AppendStdout(nil, 0x102, []byte("hi")), 0x102, 3, UnknownRole)),
		rec(typeStdout, 0x102, "hi", 0)+
			rec(typeStdout, 0x102, "", 0)+rec(typeEnd, 0x102, "\x00\x00\x00\x03\x03\x00\x00\x00", 0); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	long := strings.Repeat("0123456789", 15000)
	if got, want := string(AppendStdout(nil, 1, []byte(long))), rec(typeStdout, 1, long[:MaxContent], 0)+
		rec(typeStdout, 1, long[MaxContent:2*MaxContent], 0)+rec(typeStdout, 1, long[2*MaxContent:], 0); got != want {
		t.Error("a long text is not cut as it should be")
	}
}

func TestReply(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{rec(typeValues, 0, pairs("FCGI_MAX_CONNS=", "FCGI_MPXS_CONNS="), 2), rec(typeValuesRes, 0, pairs("FCGI_MPXS_CONNS=0"), 0)},
		{rec(typeValues, 0, "", 0), rec(typeValuesRes, 0, "", 0)},
		{rec(42, 0, "x", 0), rec(typeUnknown, 0, "\x2a\x00\x00\x00\x00\x00\x00\x00", 0)},
		{"junk", ""},
	} {
		if got := string(AppendReply(nil, []byte(c.query))); got != c.want {
			t.Errorf("%q: %q, want %q", c.query, got, c.want)
		}
	}
	query := rec(typeValues, 0, pairs("FCGI_MPXS_CONNS="), 0)
	n, _, err := Parse([]byte(query+begin(1, 0)), new(request.Request), testLimits)
	if err != ErrManagement || n != len(query) {
		t.Errorf("a question before a request: %d, %v", n, err)
	}
}

var browser = []byte(begin(1, 0) + rec(typeParams, 1,
	pairs("SCRIPT_NAME=/hello", "DOCUMENT_URI=/hello", "REQUEST_METHOD=GET", "REQUEST_URI=/hello",
		"QUERY_STRING=", "CONTENT_TYPE=", "CONTENT_LENGTH=", "SERVER_PROTOCOL=HTTP/1.1", "GATEWAY_INTERFACE=CGI/1.1", "REMOTE_ADDR=127.0.0.1",
		"HTTP_HOST=example.test", "HTTP_USER_AGENT=curl/7.88.1", "HTTP_ACCEPT=*/*"), 3) + rec(typeParams, 1, "", 0) + rec(typeStdin, 1, "", 0))

// nginx's stock fastcgi_params give the whole path as SCRIPT_NAME.
func TestPath(t *testing.T) {
	r := new(request.Request)
	if _, _, err := Parse(browser, r, testLimits); err != nil {
		t.Fatal(err)
	}
	if err := request.Finish(r, testLimits, request.Options{}); err != nil || string(r.Bytes(r.Path)) != "/hello" {
		t.Errorf("path %q, %v", r.Bytes(r.Path), err)
	}
	if script, _ := r.Lookup("SCRIPT_NAME"); script.Len != 0 {
		t.Errorf("SCRIPT_NAME %q", r.Bytes(script))
	}
}

func TestAllocatesNothing(t *testing.T) {
	r := new(request.Request)
	out := make([]byte, 0, 1000)
	var s Stdin
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		at, b, err := Parse(browser, r, testLimits)
		if err == nil {
			err = request.Finish(r, testLimits, request.Options{})
		}
		s = Stdin{ID: b.ID}
		if _, _, done, _ := s.Decode(nil, browser[at:]); err != nil || !done {
			t.Fatal(err, done)
		}
		out = AppendEnd(AppendStdout(out[:0], b.ID, browser), b.ID, 0, Complete)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	r := new(request.Request)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, _, err := Parse(browser, r, testLimits); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParse: a head cut anywhere is incomplete or refused, never different; what is taken says the
// same when written anew.
func FuzzParse(f *testing.F) {
	f.Add(browser, uint16(20))
	f.Add([]byte(begin(1, 1)+rec(typeParams, 1, "\x01", 3)+rec(typeParams, 1, "\x01A1", 0)+rec(typeStdin, 1, "", 0)),
		uint16(30))
	f.Add([]byte(begin(1, 0)+rec(typeParams, 1, "\x80\x00\x00\x01\x80\x00\x00\x00A", 0)+rec(typeParams, 1, "", 0)),
		uint16(9))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		r := new(request.Request)
		n, b, err := Parse(raw, r, testLimits)
		part := raw[:min(int(cut), len(raw))]
		pieces := new(request.Request)
		m, c, partErr := Parse(bytes.Clone(part), pieces, testLimits)
		if partErr == request.ErrIncomplete {
			m, c, partErr = Parse(raw, pieces, testLimits)
		}
		if partErr != err || m != n || c != b || err == nil && pairsOf(pieces) != pairsOf(r) {
			t.Fatalf("whole: %d, %v, %v; cut at %d: %d, %v, %v", n, b, err, len(part), m, c, partErr)
		}
		if err != nil {
			return
		}
		if len(r.Arena) > testLimits.Head {
			t.Fatalf("%d bytes of parameters", len(r.Arena))
		}
		var list []string
		for i := range r.Vars {
			if bytes.IndexByte(r.Key(i), '=') >= 0 {
				return // pairs cannot write it
			}
			list = append(list, string(r.Key(i))+"="+string(r.Val(i)))
		}
		again := new(request.Request)
		text := pairs(list...)
		if len(text) > testLimits.Head {
			return
		}
		if _, _, err := Parse([]byte(begin(b.ID, 0)+rec(typeParams, b.ID, text, 1)+rec(typeParams, b.ID, "", 0)), again,
			testLimits); err != nil || pairsOf(again) != pairsOf(r) {
			t.Fatalf("%s, written anew: %s, %v", pairsOf(r), pairsOf(again), err)
		}
	})
}

// FuzzStdin: however a body is cut, decoded bytes, end and verdict are the same.
func FuzzStdin(f *testing.F) {
	f.Add(rec(typeStdin, 1, "hello", 3)+rec(typeStdin, 2, "x", 0)+rec(typeStdin, 1, "", 1), uint8(3), uint8(2))
	f.Add(rec(typeStdin, 1, "he", 0)+rec(typeAbort, 1, "", 0), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, raw string, srcStep, dstStep uint8) {
		whole := max(len(raw), 1)
		body, used, done, err := decode(&Stdin{ID: 1}, raw, whole, whole)
		body2, used2, done2, err2 := decode(&Stdin{ID: 1}, raw, max(int(srcStep), 1), max(int(dstStep), 1))
		if body != body2 || used != used2 || done != done2 || err != err2 {
			t.Fatalf("whole: %q %d %t %v; in pieces: %q %d %t %v", body, used, done, err, body2, used2, done2, err2)
		}
		if !done && err == nil && used != len(raw) {
			t.Fatalf("stuck at %d of %d", used, len(raw))
		}
	})
}
