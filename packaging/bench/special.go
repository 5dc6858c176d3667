package main

import (
	"bytes"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// special are the rows that are no mere comparison of load.
func (w *world) special() []func() []result {
	return []func() []result{w.nginxRow, w.memory, w.starting, w.fair, w.quiet, w.beside, w.growConnections,
		w.growWorkers, w.growBodies,
		w.idle, w.herd}
}

var specialIDs = []string{"nginx", "memory", "start", "fair", "quiet", "slow", "grow-connections", "grow-workers",
	"grow-bodies", "asgi-idle", "asgi-herd"}

// nginxRow is the uwsgi protocol as it is mostly used: behind nginx, whose own time is not counted.
func (w *world) nginxRow() []result {
	r := &row{id: "nginx", title: "behind nginx, uwsgi protocol, unix socket, hello world", want: hello, conns: 64,
		must: []must{{"cpu", nil, .95}, {"rps", nil, 1}}}
	out := result{ID: r.id, Title: r.title, Note: "the CPU is the server's alone; the requests/s are those of " +
		"nginx and server together"}
	var back, front []*running
	for _, s := range []side{us("uwsgi-unix", false), them("uwsgi-unix", false)} {
		f := figures{Side: s.name}
		b, err := w.launch(s)
		var n *running
		if err == nil {
			defer b.end()
			if err = r.ready(b); err == nil {
				n, err = w.launch(newSide("nginx before "+s.name, "nginx", "http", true,
					[]func(*side){app(b.addr), workers(1)}))
			}
		}
		if err == nil {
			defer n.end()
			err = r.ready(n)
		}
		if err != nil {
			f.Error = err.Error()
		}
		out.Sides = append(out.Sides, f)
		back, front = append(back, b), append(front, n)
	}
	p := w.pace()
	for round := range p.rounds {
		for k := range front {
			i := k
			if round%2 == 1 {
				i = len(front) - 1 - k
			}
			if out.Sides[i].Error == "" {
				both := *front[i]
				both.process = back[i].process
				w.sample(r, &both, p, &out.Sides[i])
			}
		}
	}
	for i := range out.Sides {
		out.Sides[i].settle()
	}
	out.judge(r.must)
	return []result{out}
}

// memory is what eight workers of a Django application take after 10,000 requests.
func (w *world) memory() []result {
	return []result{
		w.memoryAfter("memory", "8 workers of a Django application after 10,000 requests: memory of all "+
			"processes (PSS)", &row{want: text("Hello, World!\n"), conns: 32}),
		w.memoryAfter("memory-page", "the same, requests of a page with a template and a database read",
			&row{target: "/page", marker: "20 entries", conns: 32}),
	}
}

func (w *world) memoryAfter(id, title string, r *row) result {
	out := result{ID: id, Title: title}
	r.once = 10000
	if w.quick {
		r.once = 3000
	}
	for _, s := range []side{
		us("uwsgi-unix", false, app("django_app"), workers(8)),
		them("uwsgi-unix", false, app("django_app"), workers(8)),
		them("uwsgi-unix", false, app("django_app"), workers(8), environ("BENCH_FREEZE=1"), named("uWSGI, gc.freeze")),
	} {
		f := figures{Side: s.name, Extra: map[string]float64{}}
		p, err := w.launch(s)
		if err == nil {
			if err = r.ready(p); err == nil {
				w.sample(r, p, pace{1, 0, time.Hour}, &f)
				f.settle()
				time.Sleep(200 * time.Millisecond)
				f.Extra["pss"] = float64(p.pss()) / 1e6
			}
			p.end()
		}
		if err != nil {
			f.Error = err.Error()
		}
		out.Sides = append(out.Sides, f)
	}
	out.judge([]must{{"pss", []string{"uWSGI"}, .5}, {"pss", []string{"uWSGI, gc.freeze"}, .8}})
	return out
}

// starting is how long a start and a reload take.
func (w *world) starting() []result {
	starts := result{ID: "start", Title: "start to the first answer, 8 workers, Django"}
	reloads := result{ID: "reload", Title: "reload to the first answer of the new code, 8 workers, Django"}
	sides := []side{us("uwsgi-unix", false, app("django_app"), workers(8)),
		them("uwsgi-unix", false, app("django_app"), workers(8))}
	took := make([][2][]float64, len(sides))
	errs := make([]string, len(sides))
	for range w.pace().rounds {
		for i, s := range sides {
			begin := time.Now()
			p, err := w.launch(s)
			if err != nil {
				errs[i] = err.Error()
				continue
			}
			request := uwsgiRequest("GET", "/born", nil, nil)
			changed := func(old []byte) ([]byte, error) {
				for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
					text, err := ask(p.network, p.addr, request)
					if _, body, ok := bytes.Cut(text, headEnd); err == nil && ok &&
						bytes.HasPrefix(text, []byte("HTTP/1.1 200")) && !bytes.Equal(body, old) {
						return body, nil
					}
				}
				return nil, fmt.Errorf("no answer in 30 s:\n%s", p.tail())
			}
			first, err := changed(nil)
			if err == nil {
				took[i][0] = append(took[i][0], time.Since(begin).Seconds())
				time.Sleep(300 * time.Millisecond)
				begin = time.Now()
				syscall.Kill(p.cmd.Process.Pid, syscall.SIGHUP)
				if _, err = changed(first); err == nil {
					took[i][1] = append(took[i][1], time.Since(begin).Seconds())
				}
			}
			if err != nil {
				errs[i] = err.Error()
			}
			p.end()
		}
	}
	for i, s := range sides {
		for k, out := range []*result{&starts, &reloads} {
			slices.Sort(took[i][k])
			out.Sides = append(out.Sides, figures{Side: s.name, Error: errs[i],
				Extra: map[string]float64{"seconds": median(took[i][k])}})
		}
	}
	starts.judge([]must{{"seconds", nil, 1.1}})
	reloads.judge([]must{{"seconds", nil, 1.1}})
	return []result{starts, reloads}
}

// fair has eight keep-alive clients share two workers whose requests take 50 ms: nobody may wait
// for one while the other is idle.
func (w *world) fair() []result {
	out := result{ID: "fair", Title: "8 keep-alive clients, 2 workers, requests of 50 ms: share of " +
		"the ideal 40 requests/s"}
	d := 6 * time.Second
	if w.quick {
		d = 3 * time.Second
	}
	r := &row{target: "/sleep50", want: hello, conns: 8}
	s := us("http", true, app("paths"))
	f := figures{Side: s.name, Extra: map[string]float64{}}
	p, err := w.launch(s)
	if err == nil {
		if err = r.ready(p); err == nil {
			w.sample(r, p, pace{1, time.Second, d}, &f)
			f.settle()
			f.Extra["ideal"] = f.RPS / 40
		}
		p.end()
	}
	if err != nil {
		f.Error = err.Error()
	}
	out.Sides = []figures{f}
	out.Verdicts = []verdict{{Metric: "rps", Than: "the ideal", Ratio: f.Extra["ideal"], Must: .95,
		Held: f.Extra["ideal"] >= .95 && f.Wrong == 0}}
	return []result{out}
}

// beside measures normal load with and without a thousand idle connections and a thousand clients
// that send a byte a second. The load is Django's: two processors full of hello world show how the
// connections came to be spread over the workers, and little else.
func (w *world) beside() []result {
	crowd := func(w *world, s *running) (func(), error) { return crowd(s, 1000, 1000) }
	plain := &row{want: text("Hello, World!\n"), conns: 32}
	s := us("http", true, app("django_app"))
	out := result{ID: "slow", Title: "1,000 idle connections and 1,000 clients that send a byte a second, " +
		"beside normal load (Django)"}
	with, without := figures{Side: "beside them"}, figures{Side: "the same load alone"}
	p, err := w.launch(s)
	if err == nil {
		if err = plain.ready(p); err == nil {
			pc := w.pace()
			for range pc.rounds {
				w.sample(plain, p, pc, &without)
				crowded := *plain
				crowded.around = crowd
				w.sample(&crowded, p, pc, &with)
			}
		}
		p.end()
	}
	if err != nil {
		with.Error = err.Error()
	}
	with.settle()
	without.settle()
	out.Sides = []figures{with, without}
	out.judge([]must{{"rps", nil, .95}, {"p99", nil, 1.2}})
	return []result{out}
}

// growConnections, growWorkers and growBodies show that nothing falls off a cliff.
func (w *world) growConnections() []result {
	out := result{ID: "grow-connections", Title: "HTTP keep-alive, hello world, by connections"}
	p, err := w.launch(us("http", true))
	if err != nil {
		return []result{out}
	}
	defer p.end()
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		r := &row{want: hello, conns: n}
		f := figures{Side: fmt.Sprint(n), Extra: map[string]float64{}}
		if err := r.ready(p); err != nil {
			f.Error = err.Error()
		} else {
			pc := w.pace()
			pc.warm += time.Duration(n) * 100 * time.Microsecond
			for range max(1, pc.rounds/2) {
				w.sample(r, p, pc, &f)
			}
			f.settle()
			f.Extra["pss"] = float64(p.pss()) / 1e6
		}
		out.Sides = append(out.Sides, f)
	}
	return []result{out}
}

func (w *world) growWorkers() []result {
	out := result{ID: "grow-workers", Title: "HTTP keep-alive, 64 connections, hello world, by workers"}
	for _, n := range []int{1, 2, 4, 8, 16, 32, 64} {
		if w.quick && n != 1 && n != 8 && n != 64 {
			continue
		}
		r := &row{want: hello, conns: 64}
		f := figures{Side: fmt.Sprint(n), Extra: map[string]float64{}}
		p, err := w.launch(us("http", true, workers(n)))
		if err == nil {
			if err = r.ready(p); err == nil {
				time.Sleep(time.Duration(n) * 20 * time.Millisecond)
				w.sample(r, p, w.pace(), &f)
				f.settle()
				f.Extra["pss"] = float64(p.pss()) / 1e6
			}
			p.end()
		}
		if err != nil {
			f.Error = err.Error()
		}
		out.Sides = append(out.Sides, f)
	}
	return []result{out}
}

func (w *world) growBodies() []result {
	up := result{ID: "grow-uploads", Title: "a request body, by size (2 clients)"}
	down := result{ID: "grow-downloads", Title: "a response body, by size (2 clients)"}
	p, err := w.launch(us("http", true, app("paths"), extra("--limit-post", fmt.Sprint(int64(4)<<30))))
	if err != nil {
		return []result{up, down}
	}
	defer p.end()
	sizes := []int64{1 << 10, 32 << 10, 1 << 20, 32 << 20, 1 << 30}
	if w.quick {
		sizes = sizes[:4]
	}
	for _, n := range sizes {
		body := make([]byte, 0, n+int64(len(pattern)))
		for int64(len(body)) < n {
			body = append(body, pattern...)
		}
		rows := []*row{
			{target: "/post", method: "POST", body: body[:n], want: text("0 left, right\n"), conns: 2},
			{target: fmt.Sprintf("/stream?%d", n), want: octets(n), conns: 2},
		}
		for i, out := range []*result{&up, &down} {
			f := figures{Side: size(n), Extra: map[string]float64{}}
			r := rows[i]
			if n >= 32<<20 {
				r.once = 4
			}
			peak, stop := watch(p)
			w.sample(r, p, pace{1, 0, w.pace().d}, &f)
			stop()
			f.settle()
			f.Extra["peak_pss"] = float64(*peak) / 1e6
			if len(f.samples) > 0 {
				f.Extra["mb_per_s"] = f.RPS * float64(n) / 1e6
			}
			out.Sides = append(out.Sides, f)
		}
	}
	return []result{up, down}
}

// watch notes the largest PSS of p until it is stopped.
func watch(p *running) (*int64, func()) {
	peak, quit, done := new(int64), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			*peak = max(*peak, p.pss())
			select {
			case <-quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(quit); <-done }
}

func size(n int64) string {
	for _, u := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			return fmt.Sprintf("%d %s", n, u)
		}
		n >>= 10
	}
	return fmt.Sprint(n)
}
