package e2e

import (
	"regexp"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestMaxRequests recycles workers all the time under load, and loses nothing; the replacement
// comes first, and numbers stay.
func TestMaxRequests(t *testing.T) {
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("steady.py", steady)
	s.Start("--http", addr, "--module", "steady", "-p", "2", "--max-requests", "40", "--min-worker-lifetime",
		"0", "--disable-logging")
	loads := []*harness.Load{harness.StartLoad(addr, "/", "steady", 4, true),
		harness.StartLoad(addr, "/", "steady", 4, false)}
	for s.Log.Count(`^\.\.\.The work of process \d+ is done`) < 8 {
		for _, l := range loads {
			l.Await(t, 20)
		}
	}
	for _, l := range loads {
		l.Stop(t)
	}
	s.Log.Wait(t, `^Respawned uWSGI worker 1 `)
	s.Log.Wait(t, `^Respawned uWSGI worker 2 `)
	for _, line := range s.Log.Lines(0) {
		if m := regexp.MustCompile(`worker (\d+)`).FindStringSubmatch(line); m != nil && m[1] != "1" && m[1] != "2" {
			t.Errorf("a slot of its own: %s", line)
		}
	}
}

// The seed's own limits: an address space of 1 GB is far more than a small application has, so it
// is never recycled for it, though the Go runtime reserves more than that.
func TestReloadOnAddressSpace(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
hoard = []
def application(environ, start_response):
    if environ["PATH_INFO"] == "/grow":
        hoard.append(bytearray(1200 << 20))
    start_response("200 OK", [])
    return [b"ok"]
`)
	s.Start("--http", addr, "--module", "app", "--reload-on-as", "1024", "--memory-report",
		"--min-worker-lifetime", "0")
	site := harness.HTTP(t, addr)
	for range 20 {
		site.Get("/")
	}
	m := s.Log.Wait(t, `\{address space usage: \d+ bytes/(\d+)MB\} \{rss usage: (\d+) bytes`)
	if len(m[1]) > 3 {
		t.Errorf("the report shows %s MB of address space", m[1])
	}
	if n := s.Log.Count("is done. Seeya"); n != 0 {
		t.Errorf("%d workers were recycled though they are small", n)
	}
	site.Get("/grow")
	s.Log.Wait(t, `^\.\.\.The work of process \d+ is done`)
	if a := site.Get("/"); a.Body != "ok" {
		t.Errorf("%s", a.Line)
	}
}

// A worker that is told to end by its age is replaced first.
func TestMaxWorkerLifetime(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("steady.py", steady)
	s.Start("--http", addr, "--module", "steady", "-p", "1", "--max-worker-lifetime", "1", "--min-worker-lifetime",
		"0", "--disable-logging")
	load := harness.StartLoad(addr, "/", "steady", 2, true)
	s.Log.Wait(t, `^worker 1 lifetime reached, it was running for \d+ second`)
	s.Log.Wait(t, `^Respawned uWSGI worker 1`)
	load.Await(t, 10)
	load.Stop(t)
}

// reload-on-exception and its kinds replace the worker at once, young as it is; other exceptions do
// not.
func TestReloadOnException(t *testing.T) {
	for option, replaced := range map[string]bool{
		"--reload-on-exception": true, "--reload-on-exception-type=ValueError": true, "--reload-on-exception-value=it broke": true,
		"--reload-on-exception-repr=ValueError: it broke": true, "--reload-on-exception-type=KeyError": false,
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who+`
good = application
def application(environ, start_response):
    if environ["PATH_INFO"] == "/broken":
        raise ValueError("it broke")
    return good(environ, start_response)
`)
			s.Start("--http", addr, "--module", "app", option)
			s.Allow("ValueError: it broke")
			site := harness.HTTP(t, addr)
			worker := site.Get("/").Body
			if a := site.Get("/broken"); a.Status != 500 {
				t.Errorf("%s", a.Line)
			}
			if replaced {
				s.Log.Wait(t, `^\.\.\. monitored exception detected, respawning worker 1 \(pid: `+worker+`\)\.\.\.$`)
				s.Log.Wait(t, `^worker 1 killed successfully`)
			}
			if now := site.Get("/").Body; (now != worker) != replaced {
				t.Errorf("worker %s serves after %s", now, worker)
			}
		})
	}
}
