package chaos

import (
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// talk sends bytes to the uwsgi socket, half-closes and gives the answer.
func (r *rig) talk(b []byte) string {
	r.t.Helper()
	out, err := conversation(r.t, r.sock, string(b))
	if err != nil {
		r.t.Fatalf("after %.80q: %v", b, err)
	}
	return string(out)
}

// A packet that ends early has no answer, wherever it ends, and costs nothing.
func TestPacketTruncation(t *testing.T) {
	r := start(t, "-p", "1")
	whole := append(harness.Request("POST", "/digest", "").With("CONTENT_LENGTH", "5").Packet(), "hello"...)
	for cut := range whole {
		if got := r.talk(whole[:cut]); got != "" {
			t.Fatalf("cut at %d of %d: %q", cut, len(whole), got)
		}
		tally.onPurpose.Add(1)
	}
	if got := r.talk(whole); !strings.Contains(got, "200 OK") ||
		!strings.HasSuffix(got, "5 aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\n") {
		t.Errorf("whole: %q", got)
	}
	tally.right.Add(1)
	r.serves()
}

func TestPackets(t *testing.T) {
	r := start(t, "-p", "1")
	get := harness.Request("GET", "/", "")
	size := func(n int, body string) []byte { return append([]byte{0, byte(n), byte(n >> 8), 0}, body...) }
	with := func(b []byte, at int, v byte) []byte {
		out := append([]byte(nil), b...)
		out[at] = v
		return out
	}
	filler := func(n int) string { return strings.Repeat("a", n) }
	for name, c := range map[string]struct {
		raw  []byte
		want string // "" = closed without an answer, else a part of it
	}{
		"good":                       {get.Packet(), "200 OK"},
		"no variables":               {size(0, ""), "400 "},
		"a key past the end":         {size(4, "\xff\xffab"), "400 "},
		"a value past the end":       {size(8, "\x01\x00A\xff\xffabc"), "400 "},
		"half a length":              {size(1, "\x01"), "400 "},
		"an empty key":               {size(7, "\x00\x00\x03\x00abc"), "400 "},
		"maximal size":               {harness.Packet("REQUEST_METHOD", "GET", "REQUEST_URI", "/", "PATH_INFO", "/", "X", filler(65535-60)), "200 OK"},
		"modifier1 5":                {with(get.Packet(), 0, 5), "501 "},
		"modifier1 255":              {with(get.Packet(), 0, 255), "501 "},
		"twice CONTENT_LENGTH":       {append(harness.Packet("REQUEST_METHOD", "POST", "REQUEST_URI", "/", "PATH_INFO", "/", "CONTENT_LENGTH", "5", "CONTENT_LENGTH", "6"), "hello!"...), "400 "},
		"CONTENT_LENGTH +5":          {append(get.With("CONTENT_LENGTH", "+5").Packet(), "hello"...), "400 "},
		"CONTENT_LENGTH 0x5":         {append(get.With("CONTENT_LENGTH", "0x5").Packet(), "hello"...), "400 "},
		"CONTENT_LENGTH overflowing": {get.With("CONTENT_LENGTH", "99999999999999999999").Packet(), "400 "},
		"a protocol that is none":    {get.With("SERVER_PROTOCOL", "HTTP/\r\nX").Packet(), "HTTP/1.0 200 OK"},
		"a protocol to come":         {get.With("SERVER_PROTOCOL", "HTTP/3.0").Packet(), "HTTP/3.0 200 OK"},
		"more than CONTENT_LENGTH":   {append(get.Packet(), "GET / HTTP/1.1\r\n\r\n"...), "200 OK"},
	} {
		got := r.talk(c.raw)
		if c.want == "" && got != "" || !strings.Contains(strings.SplitN(got, "\r\n", 2)[0],
			strings.TrimSpace(c.want)) || strings.Count(got, "HTTP/1.") > 1 {
			t.Errorf("%s: %.200q, want %q", name, got, c.want)
			continue
		}
		if strings.HasSuffix(c.want, "200 OK") {
			tally.right.Add(1)
		} else {
			tally.onPurpose.Add(1)
		}
	}
	r.serves()
}

// Garbage of every size: refused or unanswered, never more than one answer, and the worker is the
// same one afterwards.
func TestPacketGarbage(t *testing.T) {
	r := start(t, "-p", "1")
	before := r.expect(200, "/pid", "").Body
	rnd := rand.New(rand.NewPCG(1, 2))
	good := harness.Request("GET", "/", "a=b").With("HTTP_X", "y").Packet()
	for range scale(500, 20000) {
		b := append([]byte(nil), good...)
		if rnd.IntN(2) == 0 {
			b = make([]byte, rnd.IntN(2000))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
		}
		for range rnd.IntN(8) {
			if len(b) > 0 {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
		}
		if got := r.talk(b); strings.Count(got, "HTTP/1.") > 1 {
			t.Fatalf("%q is answered %q", b, got)
		}
		tally.onPurpose.Add(1)
	}
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}

// Variables that make uWSGI load code or files are no more than variables.
func TestPacketVariablesThatLoadCode(t *testing.T) {
	r := newRig(t)
	evil := r.Write("evil.py", "open('"+r.Path("owned")+
		"', 'w')\ndef application(e, s):\n    s('200 OK', [])\n    return [b'evil']\n")
	r.begin("-p", "1")
	for _, name := range []string{
		"UWSGI_FILE", "UWSGI_SCRIPT", "UWSGI_MODULE", "UWSGI_CALLABLE", "UWSGI_CHDIR", "UWSGI_PYHOME", "UWSGI_HOME", "UWSGI_SETENV", "UWSGI_POSTFILE",
		"UWSGI_TOUCH_RELOAD", "UWSGI_CACHE_GET", "UWSGI_APPID", "SCRIPT_NAME", "DOCUMENT_ROOT", "SCRIPT_FILENAME", "PATH_TRANSLATED", "HTTP_PROXY",
	} {
		for _, value := range []string{evil, "evil:application", r.Dir, "/etc/passwd", "../../../../etc/passwd"} {
			got := r.talk(harness.Request("GET", "/", "").With(name, value).Packet())
			if !strings.HasSuffix(got, "\r\n\r\nhello\n") {
				t.Errorf("%s=%s: %.200q", name, value, got)
				continue
			}
			tally.right.Add(1)
		}
	}
	if _, err := os.Stat(r.Path("owned")); err == nil {
		t.Error("a variable of a request ran code")
	}
}

// The other direction of slowness: a packet byte by byte is served like any.
func TestPacketByteByByte(t *testing.T) {
	r := start(t, "-p", "1")
	c, err := net.Dial("unix", r.sock)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(harness.Patience))
	for _, b := range harness.Request("GET", "/", "").Packet() {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if a := harness.Parse(t, c, "GET"); a.Body != "hello\n" {
		t.Errorf("%+v", a)
	}
	tally.sent.Add(1)
	tally.right.Add(1)
}
