package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func us(proto string, keep bool, o ...func(*side)) side { return newSide("this", "us", proto, keep, o) }
func them(proto string, keep bool, o ...func(*side)) side {
	return newSide("uWSGI", "uwsgi", proto, keep, o)
}

func newSide(name, kind, proto string, keep bool, o []func(*side)) side {
	s := side{name: name, kind: kind, proto: proto, keep: keep, app: "hello", workers: 2, threads: 1}
	for _, f := range o {
		f(&s)
	}
	return s
}

func named(name string) func(*side)    { return func(s *side) { s.name = name } }
func app(name string) func(*side)      { return func(s *side) { s.app = name } }
func workers(n int) func(*side)        { return func(s *side) { s.workers = n } }
func threads(n int) func(*side)        { return func(s *side) { s.threads = n } }
func extra(args ...string) func(*side) { return func(s *side) { s.extra = append(s.extra, args...) } }
func environ(v string) func(*side)     { return func(s *side) { s.env = append(s.env, v) } }
func journal(s *side)                  { s.journal = true }

// pattern is what paths.py sends.
var pattern = func() []byte {
	p := make([]byte, 64<<10)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}()

func octets(n int64) answer { return answer{200, pattern, n} }

func text(s string) answer { return answer{200, []byte(s), int64(len(s))} }

// browser is about thirty headers as a browser and a proxy or two send them.
func browser() []string {
	h := []string{
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Accept-Language: de,en-US;q=0.7,en;q=0.3",
		"Accept-Encoding: gzip, deflate, br, zstd", "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Dest: document",
		"Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin",
		"Sec-Fetch-User: ?1", "Priority: u=0, i", "DNT: 1", "Sec-GPC: 1", "Pragma: no-cache", "Cache-Control: no-cache",
		"Referer: https://example.org/some/where?page=3",
		"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ012345; theme=dark; " +
			"_ga=GA1.2.123456789.1700000000",
		"X-Forwarded-For: 203.0.113.7, 198.51.100.2", "X-Forwarded-Proto: http", "X-Forwarded-Host: example.org",
		"X-Real-IP: 203.0.113.7", "X-Request-ID: 6f1c5b0e-8d7f-4f43-9a0a-0c1d2e3f4a5b",
		"Via: 1.1 edge", "Sec-CH-UA-Mobile: ?0", "Sec-CH-UA-Platform: Linux",
		"Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789",
	}
	for i := len(h); i < 28; i++ {
		h = append(h, fmt.Sprintf("X-Custom-%d: value number %d", i, i))
	}
	return h
}

// prepare makes the files and the database that the rows use.
func (w *world) prepare() error {
	if err := os.MkdirAll(w.files(), 0o755); err != nil {
		return err
	}
	for name, size := range map[string]int{"1k.txt": 1 << 10, "10m.bin": 10 << 20} {
		data := make([]byte, 0, size+len(pattern))
		for len(data) < size {
			data = append(data, pattern...)
		}
		if err := os.WriteFile(filepath.Join(w.files(), name), data[:size], 0o644); err != nil {
			return err
		}
	}
	site := filepath.Join(w.apps, "site")
	os.Setenv("PYTHONPATH", site)
	defer os.Unsetenv("PYTHONPATH")
	return run(filepath.Join(w.venv, "bin", "python3"), filepath.Join(site, "manage_bench.py"),
		filepath.Join(w.work, "site.db"))
}

// rows are the comparisons; special.go has the others.
func (w *world) rows() []*row {
	cpu := func(ratio float64, than ...string) must { return must{"cpu", than, ratio} }
	rps := func(ratio float64, than ...string) must { return must{"rps", than, ratio} }
	unixPair := func(o ...func(*side)) []side {
		return []side{us("uwsgi-unix", false, o...), them("uwsgi-unix", false, o...)}
	}
	paths := func(id, title, target string, r row) *row {
		r.id, r.title, r.target, r.conns = id, title, target, 32
		r.sides = unixPair(app("paths"))
		r.must = []must{cpu(1)}
		return &r
	}
	httpPeers := func(keep bool) []side {
		peer := func(name, kind string, args ...string) side {
			return newSide(name, kind, "http", keep, []func(*side){extra(args...)})
		}
		all := []side{us("http", keep)}
		if keep {
			all = append(all, them("http11", true, named("uWSGI http11-socket")),
				them("router", true, named("uWSGI http router")), them("http", false, named("uWSGI http-socket")))
			all = append(all, peer("gunicorn sync", "gunicorn"),
				peer("gunicorn gthread", "gunicorn", "-k", "gthread", "--threads", "8", "--worker-connections", "1000"))
			all = append(all, peer("granian", "granian"),
				peer("granian, 1 worker 1 thread", "granian", "--workers", "1", "--blocking-threads", "1"),
				peer("bjoern", "bjoern"), peer("fastwsgi", "fastwsgi"), peer("waitress", "waitress"))
		} else {
			all = append(all, them("http11", false, named("uWSGI http11-socket")),
				them("http", false, named("uWSGI http-socket")))
			all = append(all, peer("bjoern", "bjoern"), peer("fastwsgi", "fastwsgi"), peer("granian", "granian"),
				peer("gunicorn sync", "gunicorn"))
		}
		return all
	}
	uwsgiHTTP := []string{"uWSGI http11-socket", "uWSGI http router", "uWSGI http-socket"}
	withGunicorn := func(o ...func(*side)) []side {
		return []side{us("http", true, o...), them("http11", true, append(o, named("uWSGI"))...),
			newSide("gunicorn", "gunicorn", "http", true, append(o, extra("-k", "sync")))}
	}
	logTo := func(ours, theirs []string, o ...func(*side)) []side {
		return []side{us("uwsgi-unix", false, append(o, extra(ours...))...),
			them("uwsgi-unix", false, append(o, extra(theirs...))...)}
	}
	caching := func(id, title, target string, sides func(...func(*side)) []side, m must) *row {
		return &row{id: id, title: title, target: target, want: text("done\n"), conns: 8, must: []must{m},
			sides: sides(app("caching"), workers(1), extra("--cache2", "name=bench,items=1000,blocksize=256"))}
	}
	files := w.files()
	static := func(id, title, target string, n int64, conns int) *row {
		m := extra("--static-map", "/static="+files)
		return &row{id: id, title: title, target: target, want: octets(n), conns: conns,
			sides: []side{us("http", true, m), them("http11", true, m, named("uWSGI http11-socket")),
				them("http", false, m, named("uWSGI http-socket")), newSide("nginx", "nginx", "http", true, nil)},
			must: []must{rps(2, "uWSGI http11-socket", "uWSGI http-socket")}}
	}
	return append([]*row{
		{id: "unix", title: "uwsgi protocol, unix socket, hello world", want: hello, conns: 64, sides: unixPair(),
			must: []must{cpu(.95), rps(1)}},
		{id: "tcp", title: "uwsgi protocol, TCP socket, hello world", want: hello, conns: 64,
			sides: []side{us("uwsgi-tcp", false), them("uwsgi-tcp", false)}, must: []must{cpu(.95), rps(1)}},
		{id: "keepalive", title: "HTTP keep-alive, 64 connections, hello world", want: hello, conns: 64,
			sides: httpPeers(true), must: []must{rps(3, uwsgiHTTP...), rps(1.1), cpu(.85)},
			note: "gunicorn sync, http-socket and http11-socket close or hold connections; the client connects anew " +
				"where the server closes"},
		{id: "connect", title: "HTTP, a new connection for each request, hello world", want: hello, conns: 64,
			sides: httpPeers(false), must: []must{cpu(.95, "uWSGI http11-socket", "uWSGI http-socket", "bjoern"),
				rps(1, "uWSGI http11-socket", "uWSGI http-socket", "bjoern")}},
		{id: "threads", title: "one worker, 4 threads, the application sleeps 5 ms", target: "/sleep5", want: hello,
			conns: 16, sides: unixPair(app("paths"), workers(1), threads(4)), must: []must{rps(1), {"p99", nil, 1}}},
		paths("headers", "28 headers, cookies, a query of 2 KiB", "/?"+strings.Repeat("q=0123456789abcd&", 120),
			row{want: hello, headers: browser()}),
		paths("10k", "a response of 10 KiB", "/10k", row{want: octets(10 << 10)}),
		paths("1m", "a response of 1 MiB", "/1m", row{want: octets(1 << 20)}),
		paths("post", "a POST of 100 KiB", "/post",
			row{want: text("0 left, right\n"), method: "POST",
				body: append(append([]byte{}, pattern...), pattern[:36<<10]...)}),
		paths("generator", "a generator of 100 chunks of 1 KiB", "/generator",
			row{want: answer{200, pattern[:1024], 100 << 10}}),
		paths("wrapper", "wsgi.file_wrapper, 10 MiB", "/file", row{want: octets(10 << 20)}),
		{id: "django", title: "Django, hello world", want: text("Hello, World!\n"), conns: 16,
			sides: withGunicorn(app("django_app")), must: []must{cpu(.9)}},
		{id: "django-page", title: "Django, a page with a template and a database read", target: "/page",
			marker: "20 entries", conns: 16, sides: withGunicorn(app("django_app")), must: []must{cpu(.9)}},
		{id: "log-file", title: "request log, default format, to a file", want: hello, conns: 64,
			sides: logTo([]string{"--logto", filepath.Join(w.work, "us-req.log")},
				[]string{"--logto", filepath.Join(w.work, "them-req.log")}), must: []must{cpu(1)}},
		{id: "log-journal", title: "request log, default format, to the journal", want: hello, conns: 64,
			sides: logTo(nil, nil, journal), must: []must{cpu(1)},
			note: "a stand-in reads the journal's socket (ours) and the stream that systemd gives as " +
				"standard error (uWSGI's)"},
		caching("cache-get", "5,000 cache_get of 100 bytes in a request", "/get", unixPair, cpu(.8)),
		caching("cache-set", "5,000 cache_update of 100 bytes in a request", "/set", unixPair, cpu(.8)),
		caching("cache-eight", "5,000 calls of the cache in a request, one of five a "+
			"cache_update: eight workers at once",
			"/both", func(o ...func(*side)) []side {
				return []side{us("uwsgi-unix", false, append(slices.Clone(o), named("8 workers"), workers(8))...),
					us("uwsgi-unix", false, append(slices.Clone(o), named("1 worker"))...)}
			}, cpu(1.5)),
		static("static-1k", "static-map, 1 KiB", "/static/1k.txt", 1<<10, 64),
		static("static-10m", "static-map, 10 MiB", "/static/10m.bin", 10<<20, 8),
	}, w.asyncRows()...)
}
