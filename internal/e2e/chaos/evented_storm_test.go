package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// Workers are killed while clients ask: of the requests only those fail that a death can have hit.
func TestEventedKills(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "3", "--forkbomb-delay", "0")
		r.fds = 0
		r.Tolerate(`DAMN !`)
		var dead casualties
		crowds := []*crowd{traffic(r.addr, "/sleep?s=0.002", "slept\n", 4, true),
			traffic(r.addr, "/stream?n=5&s=0.001", strings.Repeat("xxxxxxxxx\n", 5)+"end\n", 3, true),
			traffic(r.addr, "/", "hello\n", 2, false)}
		for _, c := range crowds {
			c.excuse = dead.explain
		}
		for range scale(4, 40) {
			crowds[0].await(t, 30)
			if pids := r.workers(); len(pids) > 0 {
				pid := pids[rand.IntN(len(pids))]
				dead.during(func() {
					kill(t, pid)
					harness.Eventually(t, "it is gone", func() bool { return !harness.Alive(pid) })
				})
			}
		}
		for _, c := range crowds {
			c.end(t)
		}
		r.serving(3)
		r.serves()
	})
}

// Workers are recycled all the time, by max-requests and by SIGHUP of their own: no request fails.
func TestEventedRecycling(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "2", "--max-requests", "60", "--min-worker-lifetime", "0",
			"--reload-mercy", "4")
		r.fds = 0
		crowds := []*crowd{traffic(r.addr, "/race", "raced", 4, true), traffic(r.addr, "/", "hello\n", 2, false),
			traffic(r.addr, "/background", "answered", 2, true),
			traffic(r.addr, "/stream?n=30&s=0.01", strings.Repeat("xxxxxxxxx\n", 30)+"end\n", 3, true)}
		for range scale(2, 20) {
			crowds[0].await(t, 300)
		}
		for _, c := range crowds {
			c.end(t)
		}
		if n := r.Log.Count("spawned uWSGI worker"); n < 6 {
			t.Errorf("%d workers began", n)
		}
	})
}

// Readers that take a kilobyte now and then of responses that are long, or never end, do not make
// the server or the application keep what they have not taken; writers that dribble and heads that
// never end hold nobody else up.
func TestEventedSlowClients(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock")
		r.Tolerate(`closed the connection after|write`)
		before := r.clean()
		clients := scale(20, 200)
		var open []net.Conn
		for i := range clients {
			path := "/stream?n=100000&size=50000" // 5 GB
			if i%4 == 0 {
				path = "/big?n=500000"
			}
			c := harness.Send(t, r.addr, head("GET", path))
			c.(*net.TCPConn).SetReadBuffer(4096)
			harness.ReadUntil(t, c, "\r\n\r\n")
			open = append(open, c)
			open = append(open, harness.Send(t, r.addr, head("POST", "/upload", "Content-Length: 1000000")+"x"))
			open = append(open, harness.Send(t, r.addr, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "))
		}
		served := traffic(r.addr, "/", "hello\n", 2, true)
		for range 5 {
			for i, c := range open {
				if i%3 == 0 {
					io.CopyN(io.Discard, c, 1024)
				} else {
					io.WriteString(c, "x")
				}
			}
			served.await(t, 20)
		}
		during := r.left()
		// The kernel keeps what is in its buffers; of ours are 64 KiB and the block being sent.
		if grown := during.RSS - before.RSS; grown > clients*(1<<20)+(16<<20) {
			t.Errorf("it has grown by %d MiB for %d slow clients", grown>>20, clients)
		}
		sent := during.Sent
		served.await(t, 20)
		if now := r.left().Sent; now-sent > 100*50000 {
			t.Errorf("the application runs on: %d bytes, then %d", sent, now)
		}
		served.end(t)
		for _, c := range open {
			c.Close()
		}
		r.clean()
	})
}

// More connections than a loop may have in flight wait for their turn; none is lost.
func TestEventedLimit(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock", inFlight(loop), "8")
		var all sync.WaitGroup
		for i := range scale(200, 2000) {
			all.Go(func() {
				switch i % 3 {
				case 0:
					r.answered(t, "/sleep?s=0.01", 200)
				case 1:
					r.answered(t, "/background?s=0.01", 200)
				case 2:
					if err := vanish(r.addr, head("GET", "/wait"), "", i%4); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		r.clean()
	})
}

// Without descriptors a loop tells clients so, serves those it has, and goes on as they leave.
func TestEventedDescriptors(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock", "--max-fd", "160", "--listen", "64")
		r.Tolerate(`cannot accept connections|were answered 503`)
		var all sync.WaitGroup
		for range scale(300, 2000) {
			all.Go(func() { r.answered(t, "/sleep?s=0.02", 200, 503) })
		}
		all.Wait()
		r.serves()
		r.clean()
	})
}

// WSGI applications on threads beside an ASGI application, under reloads: no request of either
// fails.
func TestEventedMounts(t *testing.T) {
	asgiLoops(t, func(t *testing.T, loop string) {
		r := newEvented(t, loop)
		r.app = []string{"--mount", "/new=evented.py", "--mount", "/old=app.py", "--manage-script-name",
			"--asgi-loop", loop, "--home", harness.Async(t)}
		r.begin("-p", "2", "--threads", "3", "--reload-mercy", "5", "--max-requests", "300",
			"--min-worker-lifetime", "0")
		r.fds = 0
		crowds := []*crowd{
			traffic(r.addr, "/old/sleep?s=0.002", "slept\n", 6, true), traffic(r.addr, "/old/", "hello\n", 2, false),
			traffic(r.addr, "/new/sleep?s=0.002", "slept\n", 3, true), traffic(r.addr, "/new/", "hello\n", 2, false),
			traffic(r.addr, "/old/big?n=300000", strings.Repeat("x", 300000), 2, true)}
		for range scale(3, 30) {
			for _, c := range crowds {
				c.await(t, 20)
			}
			r.Reload()
		}
		for _, c := range crowds {
			c.end(t)
		}
	})
}

// nginx in front, by uwsgi_pass and proxy_pass: the same answers, and reloads lose nothing.
func TestEventedBehindNginx(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "2", "--reload-mercy", "5")
		r.fds = 0
		n := harness.StartNginx(t, fmt.Sprintf(`
location /uwsgi/ { rewrite ^/uwsgi(/.*)$ $1 break; include /etc/nginx/uwsgi_params; uwsgi_param PATH_INFO $uri;
    uwsgi_pass unix:%s; }
location /http/ { proxy_pass http://%s/; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $http_connection; proxy_set_header Host $http_host; }`, r.sock, r.addr))
		var crowds []*crowd
		for _, way := range []string{"/uwsgi", "/http"} {
			k := openSocket(t, n.Addr, way+"/socket")
			echoes(t, k, "through "+way)
			k.Close()
			for path, status := range map[string]int{"/": 200, "/nothing": 500, "/big?n=3000000": 200,
				"/stream?n=1000&size=1000": 200, "/wrong?what=crlf": 200} {
				a, err := harness.HTTP(t, n.Addr).Try("GET", way+path, nil)
				b, err2 := r.http().Try("GET", path, nil)
				tally.sent.Add(2)
				if err != nil || err2 != nil || a.Status != status || b.Status != status ||
					status == 200 && a.Body != b.Body {
					t.Errorf("%s%s: %v, %v, %v, %v", way, path, a.Line, b.Line, err, err2)
				}
				note(status)
				note(status)
			}
			body := strings.Repeat("b", 300000)
			a, err := harness.HTTP(t, n.Addr).Try("POST", way+"/upload", strings.NewReader(body))
			if err != nil || a.Body != "300000" {
				t.Errorf("%s: %+v, %v", way, a, err)
			}
			crowds = append(crowds, traffic(n.Addr, way+"/race", "raced", 3, true),
				traffic(n.Addr, way+"/", "hello\n", 2, false),
				traffic(n.Addr, way+"/stream?n=20&s=0.005", strings.Repeat("xxxxxxxxx\n", 20)+"end\n", 2, true))
		}
		r.Tolerate(`ASGI callable returned|without calling start_response`)
		for range scale(3, 30) {
			for _, c := range crowds {
				c.await(t, 10)
			}
			r.Reload()
		}
		for _, c := range crowds {
			c.end(t)
		}
	})
}
