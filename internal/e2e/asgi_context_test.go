package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestOneRequestOneTask: what a request does to its context (PEP 567) and to its task, no other one
// finds there, though a task serves several requests where that cannot be told; and it does, or the
// test would be of nothing.
func TestOneRequestOneTask(t *testing.T) {
	t.Parallel()
	try := func(name string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/asgi/tasks.py", "tasks.py")
			s.Start(append([]string{"--http", addr, "--module", "tasks", "--lifespan", "off"}, args...)...)
			// ask gives the answers to requests that are there when the loop looks again
			ask := func(paths ...string) (bodies []string) {
				var clients []net.Conn
				for _, path := range append([]string{"block"}, paths...) {
					clients = append(clients, harness.Send(t, addr,
						fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)))
				}
				for _, c := range clients[1:] {
					bodies = append(bodies, harness.Parse(t, c, "GET").Body)
				}
				clients[0].Close()
				return bodies
			}
			number := func() int {
				names := ask("look", "look", "look", "look", "look", "task")
				n, err := strconv.Atoi(strings.TrimPrefix(names[len(names)-1], "Task-"))
				if err != nil {
					t.Fatal(names)
				}
				return n
			}
			harness.Eventually(t, "seven requests have fewer tasks", func() bool {
				before := number()
				return number()-before < 7
			})
			for _, what := range []string{"variable", "early", "reset", "keep", "weak", "key",
				"mark", "callback", "cancel",
				"child", "lend", "name", "factory", "made"} {
				for i, body := range ask("look", what, "look", "look", what, what, "look") {
					if body != "as new" {
						t.Errorf("%s: the answer %d is %q", what, i, body)
					}
				}
			}
		})
	}
	for _, python := range harness.Pythons() {
		home := filepath.Dir(filepath.Dir(python))
		try(python, "--py-programname", python, "--home", home, "--asgi-loop", "asyncio")
	}
	try("uvloop", "--home", harness.Async(t))
}

// TestTaskThatDoesNotBegin: where a create_task() of the application's wraps the coroutines, and
// one of them waits before it begins, no other request waits with it.
func TestTaskThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import asyncio

shut = []


async def application(scope, receive, send):
    loop = asyncio.get_running_loop()
    if scope["type"] == "lifespan":
        create_task, gate = loop.create_task, loop.create_future()

        async def wait(coroutine):
            open("waits", "w").close()
            await gate
            await coroutine

        loop.create_task = lambda coroutine: create_task(wait(coroutine) if shut and shut.pop() else coroutine)
        scope["state"]["gate"] = gate
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
    if scope["path"] == "/shut":
        shut.append(True)
    elif scope["path"] == "/open":
        scope["state"]["gate"].set_result(None)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"."})
`)
	s.Start("--http", addr, "--module", "app", "--home", harness.Async(t), "--asgi-loop", "asyncio")
	request := func(path string) string {
		return fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
	}
	harness.Raw(t, addr, request("shut"))
	waits := harness.Send(t, addr, request("waits"))
	harness.Eventually(t, "a task waits", func() bool {
		_, err := os.Stat(s.Path("waits"))
		return err == nil
	})
	if got := harness.Raw(t, addr, request("open")); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Fatal(got)
	}
	if got := harness.Parse(t, waits, "GET"); got.Body != "." {
		t.Fatal(got)
	}
}

// TestHandlerInAContextOfItsOwn: what the handler of a signal does to its context, no request finds
// there.
func TestHandlerInAContextOfItsOwn(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import contextvars, uwsgi

variable = contextvars.ContextVar("variable", default="as new")


def handler(number):
    variable.set("the handler's")
    print("HANDLED", flush=True)


uwsgi.register_signal(1, "worker", handler)


async def application(scope, receive, send):
    body = variable.get().encode()
    if scope["path"] == "/raise":
        uwsgi.signal(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
`)
	s.Start("--http", addr, "--module", "app", "--lifespan", "off")
	get := harness.HTTP(t, addr).Get
	get("/raise")
	s.Log.Wait(t, "^HANDLED$")
	if a := get("/"); a.Body != "as new" {
		t.Errorf("%q", a.Body)
	}
}
