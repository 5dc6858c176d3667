package chaos

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/proto/websocket/websockettest"
)

// Reloads of every kind, one after the other, with new code each time, while clients ask, streams
// run and WebSockets are open: no request fails, WebSockets hear 1012, streams end as they should,
// and what comes after a reload is the new code's.
func TestEventedReloads(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := newEvented(t, loop)
		trigger := r.Write("trigger", "")
		code := readFile("testdata/" + r.file)
		r.begin("-p", "2", "--master-fifo", "fifo", "--touch-reload", trigger, "--reload-mercy", "4",
			"--harakiri", "60")
		r.fds = 0
		n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+"; }")
		crowds := []*crowd{
			traffic(r.addr, "/sleep?s=0.002", "slept\n", 4, true), traffic(r.addr, "/", "hello\n", 2, false),
			traffic(r.addr, "/stream?n=40&s=0.005&size=10", strings.Repeat("xxxxxxxxx\n", 40)+"end\n", 3, true),
			traffic(n.Addr, "/race", "raced", 2, true),
		}
		stop := make(chan struct{})
		end := sync.OnceFunc(func() { close(stop) })
		defer end()
		var long sync.WaitGroup
		var closed, ended atomic.Int64
		for range 4 {
			long.Go(func() { again(stop, func() { untilRestart(t, r.addr, "/socket", &closed) }) })
			if loop != "gevent" { // a WSGI stream hears of nothing
				long.Go(func() { again(stop, func() { untilEnd(t, r.addr, &ended) }) })
			}
		}
		crowds[0].await(t, 50)
		for i := range scale(6, 40) {
			gen := fmt.Sprintf("generation %d", i+2)
			r.code(strings.Replace(code, `GENERATION = "1"`, fmt.Sprintf("GENERATION = %q", gen), 1))
			switch i % 3 {
			case 0:
				r.Signal(syscall.SIGHUP)
			case 1:
				os.WriteFile(r.Path("fifo"), []byte("c"), 0) // the workers alone, and then all
				os.WriteFile(r.Path("fifo"), []byte("r"), 0)
			case 2:
				stamp := time.Now()
				os.Chtimes(trigger, stamp, stamp)
			}
			harness.Eventually(t, gen, func() bool {
				tally.sent.Add(1)
				a, err := r.http().Try("GET", "/generation", nil, "Connection: close")
				if err != nil {
					t.Errorf("/generation: %v", err)
				}
				note(200)
				return err == nil && a.Body == gen
			})
			crowds[0].await(t, 50)
		}
		end()
		mark := r.Log.Mark()
		r.Signal(syscall.SIGHUP) // frees those that wait
		r.Log.WaitFrom(t, mark, `^gracefully \(RE\)spawned uWSGI master process`)
		for _, c := range crowds {
			c.end(t)
		}
		long.Wait()
		t.Logf("%d WebSockets heard 1012, %d streams ended", closed.Load(), ended.Load())
		if closed.Load() < 4 || ended.Load() < 4 && loop != "gevent" {
			t.Errorf("%d WebSockets were closed, %d streams ended", closed.Load(), ended.Load())
		}
	})
}

// The mercy ends for what does not end by itself: requests that take too long, streams that hear of
// nothing and tasks in the background are cancelled in its last moment, so that the application
// ends in order. A WebSocket that is accepted while the worker leaves is closed as those before it.
// A WSGI stream hears of nothing in any case.
func TestEventedMercy(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		t.Parallel() // most of it is waiting
		r := startEvented(t, loop, "-p", "1", "--reload-mercy", "6")
		r.fds = 0
		r.Tolerate(`response to .* was cut off|uwsgi\.Harakiri: `)
		pid := r.workers()[0]
		var all sync.WaitGroup
		all.Go(func() { r.answered(t, "/patient", 504) })
		all.Go(func() { r.answered(t, "/background?s=3600", 200) })
		all.Go(func() { r.answered(t, "/sleep?s=2", 200) })
		var closed, ended atomic.Int64
		all.Go(func() { untilRestart(t, r.addr, "/late-socket", &closed) })
		inHand := 5
		if loop != "gevent" {
			all.Go(func() { untilEnd(t, r.addr, &ended) })
			inHand++
		}
		stream := harness.Send(t, r.addr, head("GET", "/deaf"))
		harness.ReadUntil(t, stream, "tick")
		harness.Eventually(t, "all are in hand", func() bool { return r.left().Exchanges >= inHand })
		r.Reload()
		harness.Eventually(t, "1012", func() bool { return closed.Load() == 1 })
		if ended.Load() != 0 {
			t.Errorf("the WebSocket was closed when streams were told, not at once")
		}
		all.Wait()
		r.Log.Wait(t, `the mercy ends, 3 requests are cancelled$`)
		r.Log.Wait(t, fmt.Sprintf("^shutdown of %d$", pid))
		r.serves()
	})
}

func again(stop chan struct{}, f func()) {
	for {
		select {
		case <-stop:
			return
		default:
			f()
		}
	}
}

// untilRestart has a WebSocket open until the server restarts.
func untilRestart(t *testing.T, addr, path string, closed *atomic.Int64) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	c.SetDeadline(time.Now().Add(3 * harness.Patience))
	k, err := websockettest.Open(c, path)
	if err != nil || k.Answer.StatusCode != 101 {
		t.Errorf("a WebSocket: %+v, %v", k, err)
		return
	}
	defer k.Close()
	for {
		first, payload, err := k.Hear()
		switch {
		case err == nil && first == websockettest.Ping:
			continue
		case err != nil || first != websockettest.Close || payload != websockettest.Code(1012, ""):
			t.Errorf("a WebSocket ends with %#x %q %v", first, payload, err)
		}
		closed.Add(1)
		return
	}
}

// untilEnd reads a stream that ends when the server wants it to.
func untilEnd(t *testing.T, addr string, ended *atomic.Int64) {
	tally.sent.Add(1)
	a, err := harness.HTTP(t, addr).Try("GET", "/endless", nil, "Connection: close")
	if err != nil || !strings.HasSuffix(a.Body, "end\n") {
		tally.lost.Add(1)
		t.Errorf("an endless stream: %v", err)
		return
	}
	tally.right.Add(1)
	ended.Add(1)
}
