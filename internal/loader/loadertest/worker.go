package loadertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/loader"
	"uwsgi/internal/scoreboard"
)

// work is a worker's life.
func (p *player) work() {
	switch {
	case p.is("dies-early"), p.is("dies-unless") && !exists(p.roles["dies-unless"]):
		os.Exit(1)
	case p.is("lazy-fails"), p.is("lazy-exclusive"):
		p.conn.send(map[string]any{"op": "failed", "error": "ImportError: lazily",
			"exclusive": p.is("lazy-exclusive"), "code": 22})
		os.Exit(22)
	}
	if path := p.roles["worker-lock"]; path != "" && p.boot.Lazy {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		must(err)
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
			p.conn.send(map[string]any{"op": "failed", "error": "LockError: " + path, "exclusive": true, "code": 22})
			os.Exit(22)
		}
		p.conn.send(map[string]any{"op": "loaded",
			"apps": []map[string]any{{"mount": "", "seconds": 0.1, "source": "fake"}}})
	}
	if p.is("orphans") {
		must(exec.Command("/bin/sh", "-c", "true &").Run())
	}
	board, err := scoreboard.Open(5)
	must(err)
	row := board.Row(p.row)
	row.Cells.Store(int32(p.boot.Settings.Threads))
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2, loader.DumpSignal)
	stopServing := func() {}
	orders := make(chan order)
	go p.conn.receive(orders)
	p.ask("asks-early")
	if p.slot != 1 {
		p.wait("ready-waits")
	}
	if n := p.roles["never-ready"]; !p.is("never-ready") || n != "" && n != strconv.Itoa(p.slot) {
		p.conn.send(map[string]any{"op": "ready"})
	}
	p.ask("asks")
	for {
		select {
		case sig := <-signals:
			switch sig {
			case syscall.SIGUSR1:
				p.conn.send(map[string]any{"op": "recycle", "reason": "max-requests"})
			case syscall.SIGUSR2:
				p.conn.send(map[string]any{"op": "reload"})
			default:
				fmt.Fprintf(os.Stderr, "worker %d: stacks\n", p.slot)
			}
		case o, ok := <-orders:
			if !ok {
				os.Exit(0)
			}
			if o.Op == "serve" {
				stopServing = p.serve(row)
				row.Accepting.Store(1)
				continue
			}
			fmt.Fprintf(os.Stderr, "worker %d: %s\n", p.slot, o.Op)
			switch {
			case o.Op == "drain" && !p.is("ignores-drain"):
				stopServing()
				p.wait("drain-waits")
				os.Exit(0)
			case o.Op == "harakiri" && p.is("answers"):
				p.conn.send(map[string]any{"op": "answered"})
			}
			closeAll(o.fds)
		}
	}
}

// ask sends the wish that a role names, once.
func (p *player) ask(role string) {
	what, path, ok := strings.Cut(p.roles[role], "=")
	if !ok || p.slot != 1 {
		return
	}
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		f.Close()
		p.conn.send(map[string]any{"op": what, "reason": "max-requests"})
	}
}

// serve answers on every listening socket until stop is called, which waits for the answers under
// way.
func (p *player) serve(row *scoreboard.Row) (stop func()) {
	var listeners []net.Listener
	var tasks sync.WaitGroup
	for _, l := range p.boot.Listeners {
		f := os.NewFile(uintptr(l.FD), l.Name)
		ln, err := net.FileListener(f)
		must(err)
		listeners = append(listeners, ln)
		tasks.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				row.Requests.Add(1)
				fmt.Fprintf(c, "%d %d\n", p.boot.Generation, p.slot)
				c.Close()
			}
		})
	}
	return func() {
		for _, l := range listeners {
			l.Close()
		}
		row.Accepting.Store(0)
		tasks.Wait()
	}
}
