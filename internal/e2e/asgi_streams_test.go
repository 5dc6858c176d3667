package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// streamed is a request to testdata/asgi/streams.py.
type streamed struct {
	page    string
	method  string // GET
	headers string
	body    string
	leave   string // the client is gone when it has read so far; empty: it waits for the whole answer
	at      string // … or when the page has noted this
	last    string // the page's last note; empty: it makes none
}

var streams = []streamed{
	{page: "/stream", last: "background thread"},
	{page: "/stream/plain", last: "background ends"},
	{page: "/stream/fails", last: "generator ends"},
	{page: "/stream/length", last: "generator ends"},
	{page: "/stream", method: "HEAD", last: "background thread"},
	{page: "/events", last: "background ends"},
	{page: "/whole", last: "background thread"},
	{page: "/whole", method: "HEAD", last: "background thread"},
	{page: "/file", last: "background ends"},
	{page: "/file", method: "HEAD", last: "background ends"},
	{page: "/file", headers: "Range: bytes=0-0\r\n", last: "background ends"},
	{page: "/file", headers: "Range: bytes=100-299\r\n", last: "background ends"},
	{page: "/file", headers: "Range: bytes=-7\r\n", last: "background ends"},
	{page: "/file", headers: "Range: bytes=159990-\r\n", last: "background ends"},
	{page: "/file", headers: "Range: bytes=0-9,20-29,-5\r\n", last: "background ends"},
	{page: "/file", headers: "Range: bytes=5-9\r\n", method: "HEAD", last: "background ends"},
	{page: "/file", headers: "Range: bytes=200000-\r\n"},
	{page: "/file", headers: "Range: bytes=9-5\r\n"},
	{page: "/file", headers: "Range: lines=1-2\r\n"},
	{page: "/file", headers: "Range: bytes=0-9\r\nIf-Range: Tue, 14 Nov 2023 22:13:20 GMT\r\n", last: "background ends"},
	{page: "/file", headers: "Range: bytes=0-9\r\nIf-Range: \"another\"\r\n", last: "background ends"},
	{page: "/stream/idle", leave: "first\n", last: "generator ends"},
	{page: "/stream/silent", at: "generator begins", last: "generator ends"},
	{page: "/stream/endless", leave: "xxxx", last: "generator ends"},
	{page: "/events/idle", leave: "first\r\n", last: "generator ends"},
	{page: "/slow", at: "waits", last: "background thread"},
	{page: "/stream/late", at: "waits", last: "background thread"},
	{page: "/file/late", at: "waits", last: "background thread"},
	{page: "/upload", method: "POST", body: "hello", at: "piece of 5", last: "ClientDisconnect"},
}

// TestAsyncStreams: responses that take a while are what they are under uvicorn: status, headers,
// body, and what the application sees, in order, also when its client leaves.
func TestAsyncStreams(t *testing.T) {
	t.Parallel()
	venv := harness.Async(t)
	for _, name := range []string{"starlette", "fastapi"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := watch(t, startUvicorn(t, venv, "streams", name), name)
			for _, loop := range []string{"uvloop", "asyncio"} {
				s, addr := harness.New(t), harness.Addr(t)
				s.Copy("testdata/asgi/streams.py", "streams.py")
				s.Setenv("APPLICATION=" + name)
				s.Tolerate("ValueError: within the stream|/stream/fails was cut off|ExceptionGroup")
				s.Start("--http", addr, "--module", "streams", "--home", venv, "--master", "--asgi-loop", loop)
				for i, got := range watch(t, addr, name) {
					if got != want[i] {
						t.Errorf("%s, %+v:\n%s\nwant\n%s", loop, streams[i], got, want[i])
					}
				}
			}
		})
	}
}

// dependency is noted last, or as the last but what the garbage collector brings about.
const dependency = "dependency ends"

// watch gives what each of the streams was, and did.
func watch(t *testing.T, addr, name string) (all []string) {
	t.Helper()
	site := harness.HTTP(t, addr)
	for _, q := range streams {
		all = append(all, q.watch(t, addr, name, site))
	}
	return all
}

func (q streamed) watch(t *testing.T, addr, name string, site *harness.Client) string {
	t.Helper()
	noted := func() (all []string) {
		if err := json.Unmarshal([]byte(site.Get("/noted?page="+q.page).Body), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := len(noted())
	wait := func(what string) (notes []string) {
		t.Helper()
		if !harness.Within(harness.Patience, func() bool {
			notes = noted()[before:]
			return (what == "" || slices.Contains(notes, what)) &&
				(name != "fastapi" || what != q.last || slices.Contains(notes, dependency))
		}) {
			t.Errorf("%+v: %q, not %q", q, notes, what)
		}
		return slices.DeleteFunc(notes, func(note string) bool { return note == dependency })
	}
	method, framing := q.method, ""
	if method == "" {
		method = "GET"
	}
	if q.body != "" {
		framing = "Content-Length: 100000\r\n"
	}
	c := harness.Send(t, addr, method+" "+q.page+" HTTP/1.1\r\nHost: site.test\r\n"+q.headers+framing+"\r\n"+q.body)
	answer := ""
	switch {
	case q.leave != "":
		resp := head(t, strings.NewReader(harness.ReadUntil(t, c, q.leave)), method)
		answer = fmt.Sprintf("%d %v\n", resp.StatusCode, resp.Header) // how much comes at once is the server's affair
		c.Close()
	case q.at != "":
		wait(q.at)
		c.Close()
	default:
		answer = heard(t, c, method)
	}
	return answer + fmt.Sprintf("%q", wait(q.last))
}

// head reads the head of an answer, and leaves out what each server has of its own.
func head(t *testing.T, c io.Reader, method string) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	for _, own := range []string{"Date", "Server", "Connection", "Keep-Alive"} {
		resp.Header.Del(own)
	}
	return resp
}

// heard is a whole answer.
func heard(t *testing.T, c io.Reader, method string) string {
	t.Helper()
	resp := head(t, c, method)
	body, err := io.ReadAll(resp.Body)
	told := fmt.Sprintf("%d %v %d bytes, %.300q, whole: %v\n", resp.StatusCode, resp.Header,
		len(body), body, err == nil)
	if _, boundary, ok := strings.Cut(resp.Header.Get("Content-Type"), "boundary="); ok { // a random one
		told = strings.ReplaceAll(told, boundary, "BOUNDARY")
	}
	return told
}
