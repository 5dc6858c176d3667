package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// TestBrowser: a page, a WebSocket, server-sent events, an upload and a stream in a real browser,
// on both loops, straight and with nginx between.
func TestBrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: packaging/deps.sh test")
	}
	for _, loop := range []string{"uvloop", "asyncio"} {
		t.Run(loop, func(t *testing.T) {
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/asgi/browser.py", "browser.py")
			s.Start("--http", addr, "--socket", "uwsgi.sock", "--module", "browser", "--chmod-socket=666",
				"--asgi-loop", loop, "--lifespan", "off", "--home", harness.Async(t))
			nginx := harness.StartNginx(t, `
				location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:`+s.Path("uwsgi.sock")+`; uwsgi_buffering off; uwsgi_request_buffering off; }
				location /socket { proxy_pass http://`+addr+`; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }`)
			for name, at := range map[string]string{"straight": addr, "nginx": nginx.Addr} {
				mark := s.Log.Mark()
				browse(t, chromium, "http://"+at+"/")
				seen := s.Log.WaitFrom(t, mark, "^seen (.*)")[1]
				for _, want := range []string{
					`"socket":["chat","hé",[1,2,3],3001,"",true]`, `"events":["0","1","2"]`, `"upload":"300000"`, `"stream":1000000`,
				} {
					if !strings.Contains(seen, want) {
						t.Errorf("%s: the page has no %s: %s", name, want, seen)
					}
				}
				s.Log.WaitFrom(t, mark, "the browser closed with 3001 enough")
				s.Log.WaitFrom(t, mark, "the browser left the events")
			}
		})
	}
}

// browse opens the page and returns once it is loaded, which it is when its scripts are done.
func browse(t *testing.T, chromium, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--dump-dom", url).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", chromium, err, out)
	}
}
