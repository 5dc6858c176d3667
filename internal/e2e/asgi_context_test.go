package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestContextOfARequest: what a request sets in its context no other one finds there (PEP 567), in
// particular not the next of the same connection, which the server begins while this one sends.
func TestContextOfARequest(t *testing.T) {
	for _, loop := range []string{"asyncio", "uvloop"} {
		t.Run(loop, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `
import contextvars

seen = contextvars.ContextVar("seen", default="nobody")
shared = contextvars.ContextVar("shared")
shared.set("import")


async def application(scope, receive, send):
    body = b"%s %s|" % (seen.get().encode(), shared.get().encode())
    seen.set(scope["path"])
    shared.set(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
`)
			s.Start("--http", addr, "--module", "app", "--lifespan", "off", "--home", harness.Async(t), "--asgi-loop", loop)
			const requests = 10
			got := harness.Raw(t, addr, strings.Repeat("GET /before HTTP/1.1\r\nHost: x\r\n\r\n", requests-1)+
				"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if strings.Count(got, "\r\n\r\nnobody import|") != requests {
				t.Errorf("%s", got)
			}
		})
	}
}
