package e2e

import (
	"fmt"
	"net"
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
				"child", "name", "factory", "made"} {
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
