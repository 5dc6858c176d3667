package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// quiet is what an instance takes that has nothing to do, or little: most instances, most of the
// time. The processor time is that of all its processes, whatever woke them.
func (w *world) quiet() []result {
	d := 10 * time.Second
	if w.quick {
		d = 4 * time.Second
	}
	idle := w.seldom("idle", "4 workers and nothing to do: processor time a second", us("http", true, workers(4)),
		them("http11", true, workers(4)),
		func(*running) (int, error) { time.Sleep(d); return int(d / time.Second), nil }, 3)
	every := func(r *running, ask func() error) (int, error) {
		n := 0
		tick := time.NewTicker(time.Second / 20)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end); n++ {
			if err := ask(); err != nil {
				return n, err
			}
			<-tick.C
		}
		return n, nil
	}
	anew := func(r *running) (int, error) {
		request := uwsgiRequest("GET", "/", nil, nil)
		return every(r, func() error { _, err := ask(r.network, r.addr, request); return err })
	}
	kept := func(r *running) (int, error) {
		c, err := net.Dial(r.network, r.addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		in, request := bufio.NewReader(c), httpRequest("GET", "/", true, nil, nil)
		return every(r, func() error {
			if _, err := c.Write(request); err != nil {
				return err
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, res.Body)
			return err
		})
	}
	return []result{
		idle,
		w.seldom("seldom", "4 workers, 20 requests a second, each on a new connection (unix socket): processor time "+
			"a request", us("uwsgi-unix", false, workers(4)), them("uwsgi-unix", false, workers(4)), anew, 1.5),
		w.seldom("seldom-kept", "the same over one HTTP connection that is kept", us("http", true, workers(4)),
			them("http11", true, workers(4)), kept, 1.5),
	}
}

// seldom measures what load, which says how often it did what it does, takes of each side.
func (w *world) seldom(id, title string, ours, theirs side, load func(*running) (int, error), most float64) result {
	out := result{ID: id, Title: title}
	sides := []side{ours}
	if w.against != "" {
		before := ours
		before.name, before.binary = "this, before", w.against
		sides = append(sides, before)
	}
	for _, s := range append(sides, theirs) {
		f := figures{Side: s.name, Extra: map[string]float64{}}
		p, err := w.launch(s)
		if err == nil {
			if err = (&row{want: hello}).ready(p); err == nil {
				time.Sleep(3 * time.Second) // until what a start leaves to do is done
				before := p.cpu()
				var n int
				if n, err = load(p); err == nil && n > 0 {
					f.Extra["us"] = (p.cpu() - before) * 1e6 / float64(n)
				}
			}
			p.end()
		}
		if err != nil {
			f.Error = strings.TrimSpace(fmt.Sprint(err))
		}
		out.Sides = append(out.Sides, f)
	}
	out.judge([]must{{"us", []string{"uWSGI"}, most}})
	return out
}
