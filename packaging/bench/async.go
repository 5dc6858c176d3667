package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// upgrade are the headers of a WebSocket's handshake (RFC 6455 §1.3).
var upgrade = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

// asyncRows are those of asynchronous Python, one worker each: ASGI beside the servers that have
// it, and WSGI in greenlets beside those.
func (w *world) asyncRows() []*row {
	const uvicorn, granian, fastpysgi = "uvicorn", "granian", "fastpysgi"
	ours := func(module string, keep bool, o ...func(*side)) side {
		return us("http", keep, append([]func(*side){app(module), workers(1), inAsync}, o...)...)
	}
	peer := func(name, kind, module string, keep bool, o ...func(*side)) side {
		return newSide(name, kind, "http", keep, append([]func(*side){app(module), workers(1), inAsync}, o...))
	}
	beside := func(module string, keep bool, names ...string) []side {
		all := []side{ours(module, keep)}
		for _, name := range names {
			kind := map[string]string{uvicorn: "uvicorn", granian: "granian-asgi", fastpysgi: "fastpysgi"}[name]
			all = append(all, peer(name, kind, module, keep))
		}
		return all
	}
	most := func(ratio float64, than ...string) must { return must{"cpu", than, ratio} }
	json := text(`{"message":"Hello, World!"}`)
	rows := []*row{
		{id: "asgi-hello", title: "ASGI, keep-alive, 64 connections, hello world", want: hello, conns: 64,
			sides: beside("asgi_hello", true, uvicorn, granian, fastpysgi),
			must:  []must{most(.5, uvicorn), most(.65, granian), most(.8, fastpysgi)}},
		{id: "asgi-connect", title: "ASGI, a new connection for each request, hello world", want: hello, conns: 64,
			sides: beside("asgi_hello", false, uvicorn, granian), must: []must{most(.6, uvicorn)}},
		{id: "asgi-starlette", title: "Starlette, JSON", want: json, conns: 64,
			sides: beside("starlette_app", true, uvicorn, granian), must: []must{most(.62, uvicorn)}},
		{id: "asgi-fastapi", title: "FastAPI, JSON", want: json, conns: 64,
			sides: beside("fastapi_app", true, uvicorn, granian), must: []must{most(.8, uvicorn)}},
		{id: "asgi-sleep", title: "ASGI, sleep of 5 ms, 256 connections", target: "/sleep5", want: hello, conns: 256,
			sides: beside("asgi_paths", true, uvicorn, granian), must: []must{most(.55, uvicorn)}},
		{id: "asgi-post", title: "ASGI, a POST of 10 KiB sent back", target: "/echo", method: "POST",
			body: pattern[:10<<10], want: octets(10 << 10), conns: 64,
			sides: beside("asgi_paths", true, uvicorn, granian), must: []must{most(.45, uvicorn)}},
		{id: "asgi-stream", title: "ASGI, a stream of 100 chunks of 100 bytes", target: "/stream",
			want: answer{200, pattern[:100], 10000}, conns: 64,
			sides: beside("asgi_paths", true, uvicorn, granian), must: []must{most(.1, uvicorn)}},
	}
	for _, n := range []int{32, 4 << 10} {
		sockets := beside("asgi_paths", true, granian)
		for _, ws := range []string{"websockets", "websockets-sansio", "wsproto"} {
			sockets = append(sockets, peer("uvicorn, "+ws, "uvicorn", "asgi_paths", true,
				extra("--ws", ws, "--ws-per-message-deflate", "false")))
		}
		frame, echo := echoFrames(n)
		rows = append(rows, &row{id: fmt.Sprintf("websocket-%d", n), title: "WebSocket, an echo of " + size(int64(n)),
			want: echo, frame: frame, conns: 64, sides: sockets, must: []must{most(.6)}})
	}
	green := func(module string, keep bool, patch bool) []side {
		all := []side{ours(module, keep, extra("--gevent", "512")),
			peer("gunicorn gevent", "gunicorn", module, keep, extra("-k", "gevent", "--worker-connections", "1000")),
			newSide("uWSGI gevent", "uwsgi-gevent", "http", keep,
				[]func(*side){app(module), workers(1), inAsync, extra("--gevent", "512")})}
		if patch {
			all[0].extra = append(all[0].extra, "--gevent-monkey-patch")
			all[2].extra = append(all[2].extra, "--gevent-monkey-patch")
		}
		return all
	}
	const gunicorn, uwsgi, byThreads = "gunicorn gevent", "uWSGI gevent", "this, 256 threads"
	return append(rows,
		&row{id: "gevent-hello", title: "gevent, keep-alive, 64 connections, hello world", want: hello, conns: 64,
			sides: green("hello", true, false), must: []must{most(.15, gunicorn)}},
		&row{id: "gevent-connect", title: "gevent, a new connection for each request, hello world", want: hello,
			conns: 64,
			sides: green("hello", false, false), must: []must{most(.65, uwsgi)}},
		&row{id: "gevent-sleep", title: "gevent, sleep of 5 ms, 256 connections", target: "/sleep5",
			want: hello, conns: 256,
			sides: append(green("paths", true, true), ours("paths", true, named(byThreads), threads(256))),
			must:  []must{most(.3, byThreads)}})
}

// inAsync has a side run in the virtual environment of the asynchronous peers.
func inAsync(s *side) { s.async = true }

// echoFrames gives a client's message of n bytes as one masked frame, and the frame that brings it
// back (RFC 6455 §5.2): text where it is short, bytes where not.
func echoFrames(n int) (frame []byte, echo answer) {
	payload, first := pattern[:n], byte(0x82)
	if n < 126 {
		payload, first = []byte(strings.Repeat("Hello, World! ", n))[:n], 0x81
	}
	length := []byte{byte(n)}
	if n >= 126 {
		length = binary.BigEndian.AppendUint16([]byte{126}, uint16(n))
	}
	back := append(append([]byte{first}, length...), payload...)
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	length[0] |= 0x80
	frame = append(append(append(frame, first), length...), mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	return frame, answer{101, back, int64(len(back))}
}

// idle is what keep-alive connections cost on which nothing happens: memory beyond that of the
// server before them, and processor time.
func (w *world) idle() []result {
	n, d := 10000, 10*time.Second
	if w.quick {
		d = 3 * time.Second
	}
	out := result{ID: "asgi-idle", Title: fmt.Sprintf("ASGI, %d idle keep-alive connections", n),
		Note: "memory (PSS) of a connection, and the share of a processor, beyond those of the server without them"}
	common := []func(*side){app("asgi_hello"), workers(1), inAsync}
	for _, s := range []side{
		us("http", true, append(common, extra("--http-keepalive=300"))...),
		newSide("uvicorn", "uvicorn", "http", true, append(common, extra("--timeout-keep-alive", "300"))),
	} {
		f := figures{Side: s.name, Extra: map[string]float64{}}
		if err := w.idleOf(s, n, d, &f); err != nil {
			f.Error = err.Error()
		}
		out.Sides = append(out.Sides, f)
	}
	memory, share := out.Sides[0].Extra["bytes"]/1024, out.Sides[0].Extra["share"]
	measured := out.Sides[0].Error == ""
	out.Verdicts = []verdict{
		{Metric: "bytes", Than: "1 KiB", Ratio: memory, Must: 1, Held: measured && memory <= 1},
		{Metric: "share", Than: "none", Ratio: share, Must: .05, Held: measured && share <= .05},
	}
	return []result{out}
}

func (w *world) idleOf(s side, n int, d time.Duration, f *figures) error {
	p, err := w.launch(s)
	if err != nil {
		return err
	}
	defer p.end()
	r := &row{want: hello, conns: 64}
	if err := r.ready(p); err != nil {
		return err
	}
	share := func() float64 {
		before := p.cpu()
		time.Sleep(d)
		return 100 * (p.cpu() - before) / d.Seconds()
	}
	w.sample(r, p, pace{1, 0, time.Second}, f) // what is made at first use is made
	f.samples = nil
	time.Sleep(time.Second)
	memory, quiet := p.pss(), share()
	end, err := crowd(p, n, 0)
	if err != nil {
		return err
	}
	defer end()
	time.Sleep(time.Second)
	f.Extra["bytes"] = float64(p.pss()-memory) / float64(n)
	f.Extra["share"] = max(share()-quiet, 0)
	return nil
}

// herd is how many context switches a new connection costs where eight workers wait for it.
func (w *world) herd() []result {
	out := result{ID: "asgi-herd", Title: "ASGI, 8 idle workers, a new connection for each request, one client",
		Note: "context switches of all threads of the server, a connection"}
	r := &row{want: hello, conns: 1}
	for _, s := range []side{
		us("http", false, app("asgi_hello"), workers(8), inAsync),
		us("http", false, app("asgi_hello"), workers(8), inAsync, extra("--asgi-loop", "asyncio"),
			named("this, asyncio")),
		us("http", false, app("hello"), workers(8), inAsync, named("this, WSGI")),
		newSide("uvicorn", "uvicorn", "http", false, []func(*side){app("asgi_hello"), workers(8), inAsync}),
	} {
		f := figures{Side: s.name, Extra: map[string]float64{}}
		p, err := w.launch(s)
		if err == nil {
			if err = r.ready(p); err == nil {
				time.Sleep(time.Second) // the other workers start
				pc := w.pace()
				for range pc.rounds {
					before, n := p.switches(), f.answers
					w.sample(r, p, pace{1, 0, pc.d}, &f)
					if f.answers > n {
						f.counts = append(f.counts, float64(p.switches()-before)/float64(f.answers-n))
					}
				}
				f.settle()
				f.Extra["switches"] = median(sorted(f.counts))
			}
			p.end()
		}
		if err != nil {
			f.Error = err.Error()
		}
		out.Sides = append(out.Sides, f)
	}
	for i := range 2 {
		n := out.Sides[i].Extra["switches"]
		out.Verdicts = append(out.Verdicts, verdict{Metric: "switches", Than: map[int]string{0: "a limit, uvloop",
			1: "a limit, asyncio"}[i], Ratio: n, Must: 2.5, Held: n > 0 && n <= 2.5})
	}
	return []result{out}
}

// switches counts the context switches, voluntary or not, of all threads of the tree.
func (p *process) switches() int64 {
	total := int64(0)
	for _, pid := range p.tree() {
		names, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
		for _, name := range names {
			b, _ := os.ReadFile(name)
			for line := range strings.Lines(string(b)) {
				if key, value, _ := strings.Cut(line, ":"); strings.HasSuffix(key, "voluntary_ctxt_switches") {
					n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
					total += n
				}
			}
		}
	}
	return total
}
