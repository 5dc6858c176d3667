package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestNothingDeprecated: what Python is about to drop is used nowhere in the server's part, which
// shows as soon as an application turns such warnings into errors.
func TestNothingDeprecated(t *testing.T) {
	t.Parallel()
	for _, python := range harness.Pythons() {
		if exec.Command(python, "-c", "import sys; assert sys.version_info >= (3, 12)").Run() != nil {
			continue // it warns of less
		}
		home := filepath.Dir(filepath.Dir(python))
		for _, module := range []string{"wsgi", "asgi"} {
			t.Run(filepath.Base(home)+" "+module, func(t *testing.T) {
				t.Parallel()
				s, addr := harness.New(t), harness.Addr(t)
				s.LooseFDs() // mules and spoolers are started once it is ready
				s.Setenv("PYTHONWARNINGS=error")
				s.Write("jobs/.keep", "")
				s.Write("wsgi.py", `
import uwsgi, uwsgidecorators
@uwsgidecorators.spool
def job(arguments):
    print("job done", flush=True)
@uwsgidecorators.mulefunc
def brain():
    print("mule done", flush=True)
@uwsgidecorators.timer(1)
def tick(number):
    pass
def application(environ, start_response):
    job.spool(name=b"x")
    brain()
    uwsgi.cache_set("name", b"value")
    start_response("200 OK", [])
    return [b"served"]
`)
				s.Write("asgi.py", `
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"served"})
`)
				s.Start("--http", addr, "--module", module, "--master", "--processes", "2",
					"--threads", "2", "--spooler",
					"jobs", "--mule", "--cache2", "name=default,items=10", "--py-programname", python, "--home", home,
					"--asgi-loop", "asyncio")
				if a := harness.HTTP(t, addr).Get("/"); a.Status != 200 || a.Body != "served" {
					t.Errorf("%s %q", a.Line, a.Body)
				}
				if module == "wsgi" {
					s.Log.Wait(t, "^job done")
					s.Log.Wait(t, "^mule done")
				}
				s.Reload()
			})
		}
	}
}
