package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// startDjango serves testdata/django by HTTP with the distribution's own Python and Django; it
// gives the address.
func startDjango(t *testing.T, args ...string) (*harness.Server, string) {
	t.Helper()
	s, addr := harness.New(t), harness.Addr(t)
	s.Setenv(harness.DebianPath)
	s.Copy("testdata/django", "site")
	s.Start(append([]string{"--http", addr, "--chdir", "site", "--module", "mysite1.wsgi", "--master"}, args...)...)
	return s, addr
}

func TestDebianDjango(t *testing.T) {
	t.Parallel()
	_, addr := startDjango(t, "--processes", "2", "--threads", "2")
	site := harness.HTTP(t, addr)
	if a := site.Get("/?x"); a.Status != 200 || !strings.Contains(a.Body, "It worked!") {
		t.Errorf("%s %s", a.Line, a.Body)
	}
	var at struct{ Python, Prefix string }
	if err := json.Unmarshal([]byte(site.Get("/where/").Body), &at); err != nil || at.Prefix != "/usr" {
		t.Errorf("not the distribution's Python: %v, %v", at, err)
	}
}

// A view that fails is Django's to answer; its traceback goes to the log by way of Django's own
// logging.
func TestDjangoError(t *testing.T) {
	t.Parallel()
	s, addr := startDjango(t)
	s.Allow("RuntimeError: the view failed")
	if a := harness.HTTP(t, addr).Get("/error/"); a.Status != 500 || !strings.Contains(a.Body, "Server Error (500)") {
		t.Errorf("%s %s", a.Line, a.Body)
	}
	s.Log.Wait(t, "RuntimeError: the view failed")
}

// The first command of the README: nothing but --http and the application, here with Flask in each
// of its two homes.
func TestFlaskByHTTPAlone(t *testing.T) {
	for name, home := range map[string]func(*harness.Server, string) []string{
		"debian": func(s *harness.Server, addr string) []string {
			s.Setenv(harness.DebianPath)
			return []string{"--http", addr, "--module", "shop:app"}
		},
		"virtualenv": func(s *harness.Server, addr string) []string {
			return []string{"--http", addr, "--module", "shop:app", "--virtualenv",
				harness.Venv(t, harness.OtherPython())}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/flask/shop.py", "shop.py")
			s.Start(home(s, addr)...)
			checkShop(t, s, harness.HTTP(t, addr))
		})
	}
}

func checkShop(t *testing.T, s *harness.Server, shop *harness.Client) {
	t.Helper()
	if a := shop.Get("/"); a.Body != "Hello from Flask\n" || a.Status != 200 {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	a := shop.Do("POST", "/items/7?a=b", strings.NewReader(`{"k": [1]}`), "Content-Type: application/json")
	var got map[string]any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || got["number"] != 7.0 ||
		got["json"].(map[string]any)["k"].([]any)[0] != 1.0 {
		t.Errorf("%s %s", a.Line, a.Body)
	}
	if a := shop.Get("/stream"); a.Body != "part 0\npart 1\npart 2\n" {
		t.Errorf("stream: %s %q", a.Line, a.Body)
	}
	cookie := "Cookie: " + strings.SplitN(shop.Get("/visits").Header.Get("Set-Cookie"), ";", 2)[0]
	if a := shop.Get("/visits", cookie); a.Body != "2" {
		t.Errorf("second visit: %s", a.Body)
	}
	s.Allow("RuntimeError: the view failed")
	if a := shop.Get("/fail"); a.Status != 500 {
		t.Errorf("a view that fails: %s", a.Line)
	}
}
