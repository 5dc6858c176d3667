package loadertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"uwsgi/internal/loader"
	"uwsgi/internal/scoreboard"
)

// work is a worker's life.
func (p *player) work() {
	switch {
	case p.is("dies-early"), p.is("dies-unless") && !exists(p.roles["dies-unless"]):
		os.Exit(1)
	case p.is("lazy-fails"), p.is("lazy-exclusive"):
		p.conn.send(map[string]any{"op": "failed", "error": "ImportError: lazily", "exclusive": p.is("lazy-exclusive"), "code": 22})
		os.Exit(22)
	}
	if p.is("orphans") {
		must(exec.Command("/bin/sh", "-c", "true &").Run())
	}
	board, err := scoreboard.Open(5)
	must(err)
	row := board.Row(p.row)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2, loader.DumpSignal)
	stopServing := p.serve(row)
	orders := make(chan order)
	go p.conn.receive(orders)
	if !p.is("never-ready") {
		row.Accepting.Store(1)
		p.conn.send(map[string]any{"op": "ready"})
	}
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

// serve answers on every listening socket until stop is called, which waits for the answers under way.
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
