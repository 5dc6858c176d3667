package dataplane

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/option"
	"uwsgi/internal/request"
	"uwsgi/internal/wire"
)

// A protocol that an option can name is one that is spoken, and no other is.
func TestProtocolsOfOptions(t *testing.T) {
	spoken, named := slices.Sorted(maps.Keys(protocols)), slices.Sorted(slices.Values(option.Protocols))
	if !slices.Equal(spoken, named) {
		t.Errorf("spoken are %q, and options name %q", spoken, named)
	}
}

// telegram is a protocol of the tests: a request's head is "PATH LENGTH ID\n"; its body, and the
// response, come in telegrams, ID:SIZE:bytes. A size of 0 ends them.
func telegram() *protocol {
	header := func(dst []byte, id uint16, n int) []byte { return fmt.Appendf(dst, "%d:%d:", id, n) }
	return &protocol{
		start: "ANSWER ",
		parse: func(cn *conn, buf []byte, r *request.Request, _ *request.Limits) (int, error) {
			line, _, whole := bytes.Cut(buf, []byte("\n"))
			if !whole {
				return 0, request.ErrIncomplete
			}
			if bytes.Equal(line, []byte("ping")) {
				return len(line) + 1, errAside
			}
			word := bytes.Fields(line)
			if len(word) != 3 {
				return 0, &request.Error{Status: 400, Reason: "no telegram"}
			}
			fmt.Sscan(string(word[2]), &cn.id)
			for i, name := range []string{"PATH_INFO", "CONTENT_LENGTH"} {
				r.AddVar(name, word[i])
			}
			r.AddVarString("REQUEST_METHOD", "POST")
			r.KeepAlive = true
			return len(line) + 1, nil
		},
		aside: func(p []byte) []byte { return append([]byte("pong "), p...) },
		records: &records{
			max:   100,
			begin: header,
			append: func(dst []byte, id uint16, p []byte) []byte {
				for part := range slices.Chunk(p, 100) {
					dst = append(header(dst, id, len(part)), part...)
				}
				return dst
			},
			end: func(dst []byte, id uint16) []byte { return header(dst, id, 0) },
			body: func(id uint16, p []byte) (n, used int, rest decoder, err error) {
				d := &telegrams{id: id}
				n, used, done, err := d.Decode(p, p)
				if !done {
					rest = d
				}
				return n, used, rest, err
			},
		},
	}
}

// telegrams decodes a body byte by byte.
type telegrams struct {
	id   uint16
	head string
	left int
	done bool
}

func (d *telegrams) Decode(dst, src []byte) (nDst, nSrc int, done bool, err error) {
	for ; nSrc < len(src) && !d.done; nSrc++ {
		if d.left > 0 {
			dst[nDst] = src[nSrc]
			nDst++
			d.left--
			continue
		}
		if d.head += string(src[nSrc]); strings.Count(d.head, ":") < 2 {
			continue
		}
		var id uint16
		if _, err := fmt.Sscanf(d.head, "%d:%d:", &id, &d.left); err != nil || id != d.id {
			return nDst, nSrc, false, &request.Error{Status: 400, Reason: "no telegram of this request"}
		}
		d.head, d.done = "", d.left == 0
	}
	return nDst, nSrc, d.done, nil
}

// undo takes a response out of its telegrams.
func undo(t *testing.T, id uint16, r io.Reader) string {
	t.Helper()
	d, one, out := telegrams{id: id}, make([]byte, 1), ""
	for {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		if d.left > 100 {
			t.Fatalf("a telegram of %d bytes", d.left)
		}
		n, _, done, err := d.Decode(one, one)
		if err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		if out += string(one[:n]); done {
			return out
		}
	}
}

// A row is all that a new protocol needs: requests whole and in pieces, bodies, responses of all
// kinds, refusals and what is no request.
func TestARowIsAProtocol(t *testing.T) {
	protocols["telegram"] = telegram()
	defer delete(protocols, "telegram")
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	file.WriteString(pattern(5000))
	s := serve(t, config{listen: []string{"telegram"}, handler: func(x *fakeCall) Outcome {
		x.start("200 OK", "X-Body: "+string(x.body()))
		switch x.variable("PATH_INFO") {
		case "/blocks":
			x.write(pattern(250))
			x.write("end")
			return x.finish()
		case "/file":
			return x.sendfile(file, 100, 4000)
		case "/large":
			return x.reply(pattern(20000))
		case "/fails":
			return Failed
		}
		return x.reply("hello")
	}})
	c := s.dial("telegram")
	for _, tc := range []struct{ request, want string }{
		{"/whole 4 7\n7:4:body7:0:", "ANSWER 200 OK\r\nX-Body: body\r\n\r\nhello"},
		{"/blocks 0 7\n7:0:", "ANSWER 200 OK\r\nX-Body: \r\n\r\n" + pattern(250) + "end"},
		{"/file 3 7\n7:3:abc7:0:", "ANSWER 200 OK\r\nX-Body: abc\r\n\r\n" + pattern(5000)[100:4100]},
		{"/large 0 7\n7:0:", "ANSWER 200 OK\r\nX-Body: \r\n\r\n" + pattern(20000)},
	} {
		c.send(tc.request)
		if got := undo(t, 7, c.r); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.request, got, tc.want)
		}
	}
	c.send("ping\n")
	answer := make([]byte, len("pong ping\n"))
	if _, err := io.ReadFull(c.r, answer); err != nil || string(answer) != "pong ping\n" {
		t.Errorf("got %q, %v, want the answer to what is no request", answer, err)
	}
	piecewise := func(text string) {
		for i := range text {
			c.send(text[i : i+1])
			s.taken(c)
		}
	}
	piecewise("/x 6 9\n9:2:ab9:4:cdef9:0:")
	if got, want := undo(t, 9, c.r), "ANSWER 200 OK\r\nX-Body: abcdef\r\n\r\nhello"; got != want {
		t.Errorf("in pieces: got %q, want %q", got, want)
	}
	c.send("/fails 0 7\n7:0:")
	if got := undo(t, 7, c.r); !strings.HasPrefix(got, "ANSWER 500 Internal Server Error\r\n") {
		t.Errorf("got %q for an application that fails", got)
	}
	c.send("/short 9 7\n7:2:ab7:0:")
	if got := undo(t, 7, c.r); !strings.HasPrefix(got, "ANSWER 400 Bad Request\r\n") {
		t.Errorf("got %q for a body that ends early", got)
	}
	if got := s.exchange("telegram", "nonsense\n"); got != "" { // without an id there is nobody to answer
		t.Errorf("got %q for no telegram", got)
	}
}

// A socket whose protocol is not known is not served with another one.
func TestUnknownProtocol(t *testing.T) {
	settings := option.Default()
	if _, err := newListener(0, wire.Listener{Name: "127.0.0.1:80", Protocol: "https"}, "host", settings); err == nil ||
		!strings.Contains(err.Error(), `127.0.0.1:80: "https" is no protocol`) {
		t.Errorf("%v", err)
	}
}
