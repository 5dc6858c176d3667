package scgi

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/request"
)

var testLimits = &request.Limits{Head: 4096}

// head encodes pairs of NAME=value.
func head(pairs ...string) []byte {
	var text []byte
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		text = append(append(append(append(text, name...), 0), value...), 0)
	}
	return append(append(append([]byte(strconv.Itoa(len(text))), ':'), text...), ',')
}

func pairsOf(r *request.Request) string {
	var pairs []string
	for i := range r.Vars {
		pairs = append(pairs, string(r.Key(i))+"="+string(r.Val(i)))
	}
	return strings.Join(pairs, "|")
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  string
		want any // the pairs, or the error
	}{
		{"as the protocol has it", "70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,", "CONTENT_LENGTH=27|SCGI=1|REQUEST_METHOD=POST|REQUEST_URI=/deepthought"},
		{"body behind", "4:A\x001\x00,body", "A=1"},
		{"empty value", "3:A\x00\x00,", "A="},
		{"empty value between", "6:A\x00\x00B\x00\x00,", "A=|B="},
		{"leading zeros", "0004:A\x001\x00,", "A=1"},
		{"as large as the limit", string(head("K=" + strings.Repeat("v", 4093))), "K=" + strings.Repeat("v", 4093)},
		{"larger than the limit", "4097:", request.ErrHeadSize},
		{"empty", "0:,", ErrEmpty},
		{"no length", ":A\x001\x00,", ErrLength},
		{"negative", "-4:A\x001\x00,", ErrLength},
		{"plus", "+4:A\x001\x00,", ErrLength},
		{"space", "4 :A\x001\x00,", ErrLength},
		{"endless length", "4000000000", ErrLength},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", ErrLength},
		{"no comma", "4:A\x001\x00;", ErrEnd},
		{"too short a length", "3:A\x001\x00,", ErrEnd},
		{"no NUL at the end", "4:A\x0012,", ErrEnd},
		{"no name", "3:\x001\x00,", ErrName},
		{"no name behind others", "7:A\x001\x00\x002\x00,", ErrName},
		{"no value", "6:A\x001\x00B\x00,", ErrPairs},
		{"only a name", "2:A\x00,", ErrPairs},
	} {
		r := new(request.Request)
		n, err := Parse([]byte(c.raw), r, testLimits)
		if want, ok := c.want.(error); ok {
			if err != want {
				t.Errorf("%s: %v, want %v", c.name, err, want)
			}
			continue
		}
		if got := pairsOf(r); err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.name, got, err)
			continue
		}
		if c.raw[n-1] != ',' {
			t.Errorf("%s: took %d bytes", c.name, n)
		}
		for cut := range n {
			if _, err := Parse([]byte(c.raw[:cut]), new(request.Request), testLimits); err != request.ErrIncomplete {
				t.Errorf("%s cut at %d: %v", c.name, cut, err)
			}
		}
	}
}

var browser = head("CONTENT_LENGTH=0", "SCGI=1", "REQUEST_METHOD=GET", "REQUEST_URI=/hello",
	"DOCUMENT_URI=/hello", "QUERY_STRING=",
	"SERVER_PROTOCOL=HTTP/1.1", "REMOTE_ADDR=127.0.0.1", "HTTP_HOST=example.test", "HTTP_USER_AGENT=curl/7.88.1", "HTTP_ACCEPT=*/*")

// nginx's stock scgi_params have no PATH_INFO.
func TestPath(t *testing.T) {
	r := new(request.Request)
	if _, err := Parse(browser, r, testLimits); err != nil {
		t.Fatal(err)
	}
	if err := request.Finish(r, testLimits, request.Options{}); err != nil || string(r.Bytes(r.Path)) != "/hello" {
		t.Errorf("path %q, %v", r.Bytes(r.Path), err)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	r := new(request.Request)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		if _, err := Parse(browser, r, testLimits); err != nil {
			t.Fatal(err)
		}
		if err := request.Finish(r, testLimits, request.Options{}); err != nil {
			t.Fatal(err)
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

// FuzzParse: a head that is taken says the same when written anew; cut anywhere it is incomplete or
// refused, never different.
func FuzzParse(f *testing.F) {
	f.Add(browser, uint16(20))
	f.Add([]byte("4:A\x001\x00,body"), uint16(5))
	f.Add([]byte("7:A\x001\x00\x002\x00,"), uint16(2))
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
		var text []byte
		for i := range r.Vars {
			text = append(append(append(append(text, r.Key(i)...), 0), r.Val(i)...), 0)
		}
		if again := strconv.Itoa(len(text)) + ":" + string(text) + ","; again != strings.TrimLeft(string(raw[:n]),
			"0") {
			t.Fatalf("%q was taken for %q", raw[:n], again)
		}
	})
}
