package http1

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"uwsgi/internal/request"
)

// decode runs a whole body through c: pieces of src at most srcStep long into a dst of dstStep
// bytes. It returns the decoded bytes, how many of src were used, and io.ErrUnexpectedEOF when the
// body does not end in src.
func decode(c *Chunked, src []byte, srcStep, dstStep int) (body []byte, used int, err error) {
	dst := make([]byte, dstStep)
	for used < len(src) {
		piece := src[used:min(used+srcStep, len(src))]
		for {
			nd, ns, done, err := c.Decode(dst, piece)
			body = append(body, dst[:nd]...)
			used += ns
			piece = piece[ns:]
			if err != nil || done {
				return body, used, err
			}
			if len(piece) == 0 {
				break
			}
			if nd == 0 && ns == 0 {
				return body, used, io.ErrNoProgress
			}
		}
	}
	return body, used, io.ErrUnexpectedEOF
}

func TestChunked(t *testing.T) {
	for _, c := range loadCases(t, "chunked") {
		for _, step := range []int{1, 2, 3, 7, len(c.raw) + 9} {
			raw := append(append([]byte(nil), c.raw...), "GET / HT"...)
			body, used, err := decode(new(Chunked), raw, step, 4)
			if got := verdict(err); got != c.status {
				t.Errorf("%s, %d at a time: %d (%v), want %d", c.name, step, got, err, c.status)
			} else if err == nil && (string(body) != c.body || used != len(c.raw)) {
				t.Errorf("%s, %d at a time: %q, %d bytes used; want %q, %d", c.name, step, body,
					used, c.body, len(c.raw))
			}
			if err != nil {
				continue
			}
			for cut := range c.raw {
				if _, _, err := decode(new(Chunked), c.raw[:cut], step, 4); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s cut at %d: %v", c.name, cut, err)
				}
			}
		}
	}
}

// Decoding into the source itself is how a body is gathered without a second buffer.
func TestChunkedInPlace(t *testing.T) {
	for _, c := range loadCases(t, "chunked") {
		if c.status != 200 {
			continue
		}
		buf := bytes.Clone(c.raw)
		n, used, done, err := new(Chunked).Decode(buf, buf)
		if err != nil || !done || used != len(c.raw) || string(buf[:n]) != c.body {
			t.Errorf("%s: %q %d %t %v", c.name, buf[:n], used, done, err)
		}
	}
}

func TestChunkedLimits(t *testing.T) {
	long := strings.Repeat("x", maxExtensions+2) // the first byte of a name is free
	for _, c := range []struct {
		name    string
		decoder Chunked
		raw     string
		want    error
	}{
		{"body at the limit", Chunked{MaxBody: 6}, "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", nil},
		{"body over the limit", Chunked{MaxBody: 5}, "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", request.ErrBodySize},
		{"body over the limit, refused at its size", Chunked{MaxBody: 5}, "7fffffffffffffff\r\n", request.ErrBodySize},
		{"chunk at the limit", Chunked{MaxChunk: 3}, "3\r\nabc\r\n0\r\n\r\n", nil},
		{"chunk over the limit", Chunked{MaxChunk: 3}, "4\r\n", ErrChunkLimit},
		{"sum past 63 bits", Chunked{body: 1}, "7fffffffffffffff\r\n", ErrChunkSize},
		{"long extension", Chunked{}, "1;" + long + "\r\n", ErrChunkExt},
		{"long space", Chunked{}, "1" + strings.Repeat(" ", maxExtensions+2), ErrChunkExt},
		{"many extensions", Chunked{}, strings.Repeat("1;abcdefgh\r\nx\r\n", maxExtensions/7+1), ErrChunkExt},
		{"long trailer", Chunked{}, "0\r\nX: " + long + "\r\n", ErrTrailSize},
		{"many trailers", Chunked{}, "0\r\n" + strings.Repeat("X: y\r\n", maxTrailers/5), ErrTrailSize},
	} {
		_, _, err := decode(&c.decoder, []byte(c.raw), len(c.raw), 64)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestChunkedReset(t *testing.T) {
	c := Chunked{MaxBody: 5, MaxChunk: 4}
	for range 3 {
		if body, _, err := decode(&c, []byte("4\r\nabcd\r\n0\r\n\r\n"), 5, 9); err != nil || string(body) != "abcd" {
			t.Fatalf("%q, %v", body, err)
		}
		c.Reset()
	}
}

func TestChunkedAllocatesNothing(t *testing.T) {
	var c Chunked
	src, dst := []byte("5\r\nhello\r\n0\r\n\r\n"), make([]byte, 16)
	bad := []byte("5\r\nhelloo")
	if n := testing.AllocsPerRun(100, func() {
		c.Reset()
		c.Decode(dst, src)
		c.Reset()
		c.Decode(dst, bad)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChunked(b *testing.B) {
	src := []byte(strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 16) + "0\r\n\r\n")
	dst := make([]byte, len(src))
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		var c Chunked
		if _, _, done, err := c.Decode(dst, src); !done || err != nil {
			b.Fatal(err)
		}
	}
}
