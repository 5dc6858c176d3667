package e2e

import (
	"fmt"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// exclusive holds a port from its import on, as Zope holds its lock file: it cannot be loaded twice
// at once.
const exclusive = `
import socket
held = socket.socket()
held.bind(("127.0.0.1", %s))
held.listen()
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"held"]
`

// The reload of an application that holds something for itself is done once more with the old
// generation stopped first.
func TestReloadExclusive(t *testing.T) {
	for name, c := range map[string]struct{ args, line string }{
		"found out": {"", "reload-stop-first"},
		"asked for": {"--reload-stop-first", "...gracefully killing workers... (reload-stop-first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			_, port, _ := strings.Cut(harness.Addr(t), ":")
			s.Write("app.py", fmt.Sprintf(exclusive, port))
			s.Start(append(strings.Fields(c.args), "--http", addr, "--module", "app", "-p", "2", "--master")...)
			load := harness.StartLoad(addr, "/", "held", 2, false)
			load.Await(t, 10)
			s.Reload() // its first try is no error
			load.Await(t, 10)
			load.Stop(t)
			if !strings.Contains(s.Log.String(), c.line) {
				t.Errorf("the log does not hold %q", c.line)
			}
		})
	}
}
