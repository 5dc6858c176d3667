package e2e

import (
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestGreenletServesOn: a greenlet serves the next request, whether its own has waited or not,
// unless that has left something on it.
func TestGreenletServesOn(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import contextvars, threading, weakref
import gevent, gevent.local

made = 0
class Greenlet(gevent.Greenlet):
    def __init__(self, *args):
        global made
        made += 1
        super().__init__(*args)
gevent.Greenlet = Greenlet

mark = contextvars.ContextVar("mark", default="")
local = gevent.local.local()
kept = []

def leave(what):
    me = gevent.getcurrent()
    if what == "context":
        mark.set("marked")
    elif what == "reference":
        kept.append(me)
    elif what == "weakref":
        kept.append(weakref.ref(me))
    elif what == "link":
        me.link(lambda g: kept.append("linked %s" % g.dead))
    elif what == "attribute":
        me.mark = "marked"
    elif what == "local":
        local.mark = "marked"
    elif what == "thread":
        threading.current_thread().mark = "marked"
    elif what == "timeout":
        gevent.Timeout(0.01).start()
    elif what == "child":
        gevent.spawn(kept.append, me.dead)
    elif what == "error":
        raise ValueError("left")
    elif what == "kill":
        raise gevent.GreenletExit
    elif what == "join":
        gevent.spawn(lambda: kept.append("joined") if me.join() is None and me.dead else None)
    elif what == "killed":
        gevent.spawn(me.kill)
        gevent.sleep(10)

def found():
    me = gevent.getcurrent()
    thread = getattr(threading.current_thread(), "mark", "")
    for o in kept:
        o = o() if isinstance(o, weakref.ref) else o
        if o is me or isinstance(o, Greenlet) and not o.dead:
            yield "the same greenlet"
    yield from filter(None, (mark.get(), getattr(me, "mark", ""), getattr(local, "mark", ""), thread))

def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/made":
        return [str(made).encode()]
    if path == "/found":
        return [repr(list(found())).encode()]
    if path == "/linked":
        for _ in range(1000):
            if kept:
                break
            gevent.sleep(0.01)
        return [repr(kept).encode()]
    if path == "/clear":
        gevent.sleep(0.02)
        kept.clear()
        return [b"fine"]
    if environ["QUERY_STRING"] == "waited":
        gevent.sleep(0.001)
    leave(path[1:])
    return [b"fine"]
`)
	s.Start("--http", addr, "--module", "app", "--gevent", "200", "--gevent-monkey-patch", "--master",
		"--home", harness.Async(t))
	s.Tolerate("ValueError: left|GreenletExit")
	site := harness.HTTP(t, addr)
	site.Get("/nothing?waited")
	before := site.Get("/made").Body
	for range 25 {
		site.Get("/nothing")
		site.Get("/context") // emptied for the next request
		site.Get("/nothing?waited")
		site.Get("/context?waited")
	}
	if after := site.Get("/made").Body; after != before {
		t.Errorf("100 requests that left nothing: %s greenlets were made before, %s after", before, after)
	}
	for _, what := range []string{"nothing", "context", "reference", "weakref", "link", "attribute", "local", "thread",
		"timeout", "child", "error", "kill", "join", "killed"} {
		for _, how := range []string{"", "?waited"} {
			site.Get("/" + what + how)
			if a := site.Get("/found"); a.Body != "[]" {
				t.Errorf("after %s%s: %q", what, how, a.Body)
			}
			if want := map[string]string{"link": "['linked True']", "join": "['joined']"}[what]; want != "" {
				if a := site.Get("/linked"); a.Body != want {
					t.Errorf("%s%s: %q", what, how, a.Body)
				}
			}
			if a := site.Get("/clear"); a.Body != "fine" {
				t.Errorf("after %s%s: %s %q", what, how, a.Line, a.Body)
			}
		}
	}
}
