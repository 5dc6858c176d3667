package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// row is one line of the table: the same load against every side, in turn.
type row struct {
	id, title string
	method    string // GET
	target    string
	headers   []string
	body      []byte
	want      answer
	marker    string // the body is learned from the first answer, holds this, and is the same on every side
	conns     int
	once      int    // answers instead of seconds
	frame     []byte // a WebSocket's client sends it, and gets want
	sides     []side
	must      []must
	// around runs something beside the load of a side, and gives what ends it.
	around func(w *world, r *running) (func(), error)
	note   string
}

// must is what the first side has to reach beside others.
type must struct {
	metric string   // cpu, rps, p99, pss, seconds, ideal
	than   []string // names of sides; empty: all of them
	ratio  float64  // of rps: at least; of the others: at most
}

// figures are the medians of one side.
type figures struct {
	Side    string             `json:"side"`
	CPU     float64            `json:"cpu_us_per_request"`
	RPS     float64            `json:"requests_per_second"`
	P50     float64            `json:"p50_us"`
	P99     float64            `json:"p99_us"`
	Least   float64            `json:"cpu_least"`  // the smallest CPU figure: what others on the machine disturb least
	Spread  float64            `json:"cpu_spread"` // (largest − smallest) / median of the CPU figures
	Wrong   int64              `json:"wrong_answers"`
	Error   string             `json:"error,omitempty"`
	Extra   map[string]float64 `json:"extra,omitempty"`
	samples []sample
	answers int64
	counts  []float64 // of something else, by rounds
}

type sample struct{ cpu, rps, p50, p99 float64 }

// verdict is one must as measured.
type verdict struct {
	Metric string  `json:"metric"`
	Than   string  `json:"than"`
	Ratio  float64 `json:"ratio"` // median of the rounds' ratios, where both were measured in each
	Low    float64 `json:"low,omitempty"`
	High   float64 `json:"high,omitempty"`
	Must   float64 `json:"must"`
	Held   bool    `json:"held"`
}

// result is a measured row.
type result struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Sides    []figures `json:"sides"`
	Verdicts []verdict `json:"verdicts"`
	Note     string    `json:"note,omitempty"`
}

func (r *row) request(s side) []byte {
	method, target := r.method, r.target
	if method == "" {
		method = "GET"
	}
	if target == "" {
		target = "/"
	}
	if strings.HasPrefix(s.proto, "uwsgi") {
		return uwsgiRequest(method, target, r.headers, r.body)
	}
	return httpRequest(method, target, s.keep, r.headers, r.body)
}

func (r *row) load(s *running) load {
	l := load{network: s.network, addr: s.addr, conns: r.conns, request: r.request(s.side), keep: s.side.keep,
		untilEnd: strings.HasPrefix(s.side.proto, "uwsgi"), want: r.want, once: r.once, frame: r.frame}
	if r.frame != nil {
		l.request = httpRequest("GET", "/", true, upgrade, nil)
	}
	return l
}

// ready waits until s gives the right answer, and learns it where the row says so.
func (r *row) ready(s *running) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		text, err := ask(s.network, s.addr, r.request(side{proto: s.side.proto}))
		if err == nil {
			if err = r.judge(text); err == nil {
				return nil
			}
			return fmt.Errorf("%s: %w\n%s", s.side.name, err, s.tail())
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s ended at start:\n%s", s.side.name, s.tail())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not serve after 30 s (%v):\n%s", s.side.name, err, s.tail())
		}
	}
}

// judge checks one whole answer as it came from the wire. Where WebSockets are measured the
// application says hello to others.
func (r *row) judge(text []byte) error {
	if r.frame != nil {
		return (&row{want: hello}).judge(text)
	}
	head, body, ok := bytes.Cut(text, headEnd)
	var f framing
	if bad := f.read(append(head, '\r', '\n')); !ok || bad != "" {
		return fmt.Errorf("no answer but %.80q", text)
	}
	if r.marker != "" && r.want.body == nil {
		if f.status != 200 || !bytes.Contains(body, []byte(r.marker)) {
			return fmt.Errorf("status %d and %.200q", f.status, body)
		}
		r.want = answer{200, bytes.Clone(body), int64(len(body))}
	}
	if f.status != r.want.status {
		return fmt.Errorf("status %d, not %d", f.status, r.want.status)
	}
	if f.left == -2 {
		return nil // chunked: the load itself checks it
	}
	if int64(len(body)) != r.want.length || !r.want.check(0, body) {
		return fmt.Errorf("a body of %d bytes, not the %d expected, or other content", len(body), r.want.length)
	}
	return nil
}

// ask sends one request over a connection of its own and reads to the end.
func ask(network, addr string, request []byte) ([]byte, error) {
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(c); err != nil {
		return nil, err
	}
	if b.Len() == 0 {
		return nil, fmt.Errorf("nothing came")
	}
	return b.Bytes(), nil
}

// pace is how long and how often each side is measured.
type pace struct {
	rounds  int
	warm, d time.Duration
}

func (w *world) pace() pace {
	if w.rounds > 0 {
		return pace{w.rounds, w.stretch / 4, w.stretch}
	}
	if w.quick {
		return pace{2, 100 * time.Millisecond, 350 * time.Millisecond}
	}
	return pace{5, 300 * time.Millisecond, 2 * time.Second}
}

// measure starts all sides, then loads them in turn.
func (w *world) measure(r *row) result {
	out := result{ID: r.id, Title: r.title, Note: r.note}
	servers := make([]*running, len(r.sides))
	out.Sides = make([]figures, len(r.sides))
	for i, s := range r.sides {
		out.Sides[i].Side = s.name
		p, err := w.launch(s)
		if err == nil {
			servers[i] = p
			defer p.end()
			err = r.ready(p)
		}
		if err != nil {
			out.Sides[i].Error = err.Error()
			servers[i] = nil
		}
	}
	p := w.pace()
	for round := range p.rounds {
		for k := range servers {
			i := k
			if round%2 == 1 { // there and back: what drifts falls on both
				i = len(servers) - 1 - k
			}
			if servers[i] != nil {
				w.sample(r, servers[i], p, &out.Sides[i])
			}
		}
	}
	for i := range out.Sides {
		out.Sides[i].settle()
	}
	out.judge(r.must)
	return out
}

func (w *world) sample(r *row, s *running, p pace, f *figures) {
	if r.around != nil {
		stop, err := r.around(w, s)
		if err != nil {
			f.Error = err.Error()
			return
		}
		defer stop()
	}
	g, err := newGenerator(r.load(s))
	if err != nil {
		f.Error = err.Error()
		return
	}
	var before, after float64
	o := g.run(p.warm, p.d, func() { before = s.cpu() }, func() { after = s.cpu() })
	f.Wrong += o.Wrong
	if o.FirstFail != "" && f.Error == "" {
		f.Error = o.FirstFail
	}
	if o.Answers == 0 && f.Error == "" {
		f.Error = "no answer in a whole stretch"
	}
	f.answers += o.Answers
	if o.Answers > 0 {
		f.samples = append(f.samples, sample{(after - before) * 1e6 / float64(o.Answers),
			float64(o.Answers) / o.Seconds, o.Latency.at(.5), o.Latency.at(.99)})
	}
}

// settle makes the medians.
func (f *figures) settle() {
	pick := func(of func(sample) float64) []float64 {
		var all []float64
		for _, s := range f.samples {
			all = append(all, of(s))
		}
		slices.Sort(all)
		return all
	}
	cpu := pick(func(s sample) float64 { return s.cpu })
	if len(cpu) == 0 {
		return
	}
	f.Least = cpu[0]
	f.CPU, f.RPS = median(cpu), median(pick(func(s sample) float64 { return s.rps }))
	f.P50, f.P99 = median(pick(func(s sample) float64 { return s.p50 })),
		median(pick(func(s sample) float64 { return s.p99 }))
	if f.CPU > 0 {
		f.Spread = (cpu[len(cpu)-1] - cpu[0]) / f.CPU
	}
}

func sorted(all []float64) []float64 {
	slices.Sort(all)
	return all
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios are those of each round, sorted: what disturbs the machine falls on both sides of a round.
func ratios(a, b *figures, metric string) []float64 {
	of, ok := map[string]func(sample) float64{"cpu": func(s sample) float64 { return s.cpu },
		"rps": func(s sample) float64 { return s.rps }, "p99": func(s sample) float64 { return s.p99 }}[metric]
	if !ok || len(a.samples) != len(b.samples) {
		return nil
	}
	var all []float64
	for i := range a.samples {
		if v := of(b.samples[i]); v > 0 {
			all = append(all, of(a.samples[i])/v)
		}
	}
	slices.Sort(all)
	return all
}

func (f *figures) value(metric string) float64 {
	switch metric {
	case "cpu":
		return f.CPU
	case "rps":
		return f.RPS
	case "p99":
		return f.P99
	}
	return f.Extra[metric]
}

// more is true of what should be large.
func more(metric string) bool { return metric == "rps" }

// judge compares the first side with the best of those that each must names.
func (out *result) judge(musts []must) {
	for _, m := range musts {
		best, name, other := 0.0, "", 0
		for i := 1; i < len(out.Sides); i++ {
			f := &out.Sides[i]
			v := f.value(m.metric)
			if v == 0 || len(m.than) > 0 && !slices.Contains(m.than, f.Side) {
				continue
			}
			if name == "" || more(m.metric) && v > best || !more(m.metric) && v < best {
				best, name, other = v, f.Side, i
			}
		}
		if name == "" {
			continue
		}
		v := verdict{Metric: m.metric, Than: name, Must: m.ratio, Ratio: out.Sides[0].value(m.metric) / best}
		if all := ratios(&out.Sides[0], &out.Sides[other], m.metric); len(all) > 0 {
			v.Ratio, v.Low, v.High = median(all), all[0], all[len(all)-1]
		}
		v.Held = v.Ratio > 0 && (more(m.metric) && v.Ratio >= m.ratio || !more(m.metric) && v.Ratio <= m.ratio) &&
			out.Sides[0].Wrong == 0
		out.Verdicts = append(out.Verdicts, v)
	}
}

func (out *result) print() {
	fmt.Fprintf(os.Stderr, "\n%s: %s\n", out.ID, out.Title)
	for i := range out.Sides {
		f := &out.Sides[i]
		fmt.Fprintf(os.Stderr, "  %-28s", f.Side)
		if f.CPU > 0 {
			fmt.Fprintf(os.Stderr, " %9.1f µs CPU (±%2.0f%%, least %.1f) %9.0f/s  p50 %8.0f p99 %8.0f µs", f.CPU,
				f.Spread*50, f.Least, f.RPS, f.P50, f.P99)
		}
		for k, v := range f.Extra {
			fmt.Fprintf(os.Stderr, "  %s %.4g", k, v)
		}
		if f.Wrong > 0 || f.Error != "" {
			fmt.Fprintf(os.Stderr, "  WRONG %d: %s", f.Wrong, f.Error)
		}
		fmt.Fprintln(os.Stderr)
	}
	for _, v := range out.Verdicts {
		fmt.Fprintf(os.Stderr, "  -> %s %.3f of %s (must %.2f) %s", v.Metric, v.Ratio, v.Than, v.Must,
			map[bool]string{true: "holds", false: "DOES NOT HOLD"}[v.Held])
		if v.High > 0 {
			fmt.Fprintf(os.Stderr, "  (rounds: %.3f to %.3f)", v.Low, v.High)
		}
		fmt.Fprintln(os.Stderr)
	}
}
