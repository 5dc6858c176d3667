package dataplane

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/request"
	"uwsgi/internal/scoreboard"
	"uwsgi/internal/wire"
)

// BenchmarkStatic is one core's work for a file of 1 KiB on a kept connection.
func BenchmarkStatic(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(dir+"/a.css", make([]byte, 1024), 0o644); err != nil {
		b.Fatal(err)
	}
	settings := option.Default()
	settings.StaticMaps = []option.StaticMap{{Kind: "map", Prefix: "/s", Path: dir}}
	st, err := newStatic(settings)
	if err != nil {
		b.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	c := benchCore(b, settings, pair[0])
	x := c.x
	x.eng.static = st
	defer c.files.close()
	head := []byte("GET /s/a.css HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		x.reply = reply{remaining: -1, keep: true}
		x.answering.begin()
		x.req.Reset()
		if n, err := x.cn.lis.parse(x.cn, head, &x.req, &x.eng.limits); err != nil || n != len(head) {
			b.Fatal(err)
		}
		if err := request.Finish(&x.req, &x.eng.limits, x.cn.lis.proto.finish); err != nil {
			b.Fatal(err)
		}
		if !x.serveStatic() {
			b.Fatal("not served")
		}
		if n, err := unix.Read(pair[1], buf); err != nil || n < 1024 {
			b.Fatal(n, err)
		}
	}
}

// benchCore is a core without an engine's sockets, that serves the connection fd.
func benchCore(b *testing.B, settings *option.Settings, fd int) *Core {
	board, err := scoreboard.New(1, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(board.FD()) })
	e := &Engine{app: &fakeApp{}, settings: settings, board: board, row: board.Row(0),
		limits: request.Limits{Head: settings.BufferSize}}
	c := newCore(e, 0)
	lis, err := newListener(0, wire.Listener{Name: "127.0.0.1:80", Protocol: "http"}, "host", settings)
	if err != nil {
		b.Fatal(err)
	}
	c.own.cn = &conn{fd: fd, lis: lis}
	c.x.started = 1
	return c
}
