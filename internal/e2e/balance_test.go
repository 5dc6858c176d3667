package e2e

import (
	"io"
	"net"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const holding = `
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        print("held by", os.getpid(), flush=True)
        while not os.path.exists("go"):
            time.sleep(0.01)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`

// TestIdleWorkerServes: a request never waits behind a busy worker while another one is idle,
// though the busy one has its connection.
func TestIdleWorkerServes(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", holding)
	s.Start("--http", addr, "--module", "app", "-p", "2", "--threads", "1")
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	owned := map[string][]net.Conn{} // connections by the worker that has them
	var busy string
	for len(owned[busy]) < 2 {
		c := harness.Dial(t, addr)
		busy = harness.Ask(t, c, get).Body
		owned[busy] = append(owned[busy], c)
	}
	held, waits := owned[busy][0], owned[busy][1]
	io.WriteString(held, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
	s.Log.Wait(t, "^held by "+busy)
	if got := harness.Ask(t, waits, get).Body; got == busy {
		t.Errorf("%s answered though it was held", got)
	}
	s.Write("go", "")
	harness.Parse(t, held, "GET")
}

// TestFairness: clients that keep their connections and clients that make new ones all the time are
// served alike, also by requests that take a while.
func TestFairness(t *testing.T) {
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("steady.py", steady)
	s.Start("--http", addr, "--module", "steady", "-p", "2", "--threads", "2", "--disable-logging")
	kept, fresh := harness.StartLoad(addr, "/", "steady", 6, true), harness.StartLoad(addr, "/", "steady", 6, false)
	fresh.Await(t, 1500)
	kept.Stop(t)
	fresh.Stop(t)
	if k, f := kept.Good.Load(), fresh.Good.Load(); k < f/4 || f < k/8 {
		t.Errorf("%d answers on connections that were kept, %d on new ones", k, f)
	}
}
