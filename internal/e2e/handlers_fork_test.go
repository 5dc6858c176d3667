package e2e

import (
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestForkedInHandlers: a child that a handler of a worker's forks, and that comes back from there,
// ends: its parent need not wait for it for ever, and nothing of the server's own fails in it.
func TestForkedInHandlers(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"threads": {"--module", "app"},
		"gevent":  {"--module", "app", "--gevent", "10"},
		"asyncio": {"--asgi", "app:coroutine", "--lifespan", "off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `
import os, uwsgi

def forks(number):
    pid = os.fork()
    if pid:
        print("CHILD", number, os.waitpid(pid, 0)[1], flush=True)

async def waits(number):
    forks(number)

uwsgi.register_signal(1, "worker", forks)
uwsgi.register_signal(2, "worker", waits)

def application(environ, start_response):
    uwsgi.signal(int(environ["PATH_INFO"][1:]))
    start_response("200 OK", [])
    return [b"raised"]

async def coroutine(scope, receive, send):
    uwsgi.signal(int(scope["path"][1:]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"raised"})
`)
			s.Start(append(args, "--http", addr, "--master", "--home", harness.Async(t))...)
			for _, number := range []string{"1", "2"} {
				if a := harness.HTTP(t, addr).Get("/" + number); a.Body != "raised" {
					t.Error(a.Line)
				}
				s.Log.Wait(t, `^CHILD `+number+` 0$`)
			}
			harness.Eventually(t, "both children are told of", func() bool {
				return s.Log.Count(`^pid \d+ was forked by the application in worker 1, and has returned from there`) == 2
			})
		})
	}
}
