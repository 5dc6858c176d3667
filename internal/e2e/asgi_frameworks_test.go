package e2e

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestAsyncFrameworks: five frameworks answer as they do under uvicorn, answer by answer: over HTTP
// on both loops, and behind nginx by the uwsgi protocol.
func TestAsyncFrameworks(t *testing.T) {
	t.Parallel()
	venv := harness.Async(t)
	for _, name := range []string{"starlette", "fastapi", "quart", "litestar", "django"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := visit(t, venv, startUvicorn(t, venv, "frameworks", name))
			for _, loop := range []string{"uvloop", "asyncio"} {
				s, addr := harness.New(t), harness.Addr(t)
				s.Copy("testdata/asgi/frameworks.py", "frameworks.py")
				s.Setenv("APPLICATION=" + name)
				s.Tolerate("ValueError: the view failed|ERROR|No route found for path")
				s.Start("--http", addr, "--socket", s.Path("s.sock"), "--chmod-socket=666", "--module",
					"frameworks", "--home", venv,
					"--master", "--asgi-loop", loop, "--lazy-apps")
				alike(t, loop+", http", visit(t, venv, addr), want)
				if loop == "asyncio" {
					continue
				}
				s.Reload() // what the site counts begins anew
				front := harness.StartNginx(t, `location / {
					include /etc/nginx/uwsgi_params; uwsgi_pass unix:`+s.Path("s.sock")+`; client_max_body_size 10m;
					uwsgi_param HTTP_UPGRADE $http_upgrade; uwsgi_param HTTP_CONNECTION $http_connection; uwsgi_buffering off;
				}`)
				alike(t, loop+", nginx", visit(t, venv, front.Addr), want)
			}
		})
	}
}

func alike(t *testing.T, how string, got, want []any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d answers, want %d", how, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if of := headersOf(want[i]); of != nil && of["content-length"] == nil {
			delete(headersOf(got[i]), "content-length") // uvicorn sends in chunks what it could know the length of
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%s:\n%v\nwant\n%v", how, got[i], want[i])
		}
	}
}

// headersOf are those of an answer, nil for what else visit.py has noted.
func headersOf(noted any) map[string]any {
	if all := noted.([]any); len(all) == 4 {
		headers, _ := all[2].(map[string]any)
		return headers
	}
	return nil
}

// visit is what testdata/asgi/visit.py sees there.
func visit(t *testing.T, venv, addr string) (seen []any) {
	t.Helper()
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), "testdata/asgi/visit.py", "http://"+addr)
	out, err := cmd.Output()
	if err != nil {
		text := ""
		if e, ok := err.(*exec.ExitError); ok {
			text = string(e.Stderr)
		}
		t.Fatalf("visit of %s: %v\n%s", addr, err, text)
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// startUvicorn serves the application of that name, of a module of testdata/asgi, with uvicorn, and
// gives the address.
func startUvicorn(t *testing.T, venv, module, name string) string {
	t.Helper()
	addr := harness.Addr(t)
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(filepath.Join(venv, "bin", "uvicorn"), module+":application", "--app-dir", "testdata/asgi",
		"--host", host, "--port", port,
		"--log-level", "critical")
	cmd.Env = append(os.Environ(), "APPLICATION="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	harness.Eventually(t, "uvicorn serves", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}
