package e2e

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// rpcAPI answers with what each call gives at import and in a request, a line each.
const rpcAPI = `
import uwsgi
try:
    from uwsgidecorators import rpc
except ImportError:  # Debian has it in a package of its own
    def rpc(name):
        return lambda function: uwsgi.register_rpc(name, function) and function

def joined(*args):
    return b"|".join((b"J",) + args)

def ask(said, *expressions):
    for text in expressions:
        try:
            said.append("%s: %r" % (text, eval(text)))
        except Exception as exc:
            said.append("%s: %s: %s" % (text, type(exc).__name__, exc))
    return said

@rpc("decorated")
def decorated(*args):
    return repr([type(a).__name__ for a in args]).encode()

at_import = ask([], "decorated(b'x')", "uwsgi.rpc_list()", "uwsgi.register_rpc('joined', joined)", "uwsgi.register_rpc('two', joined, 2)",
    "uwsgi.register_rpc('joined', joined)",
    "uwsgi.register_rpc(b'bytes', joined)", "uwsgi.register_rpc('number', 5)", "uwsgi.register_rpc('text', lambda: 'text')",
    "uwsgi.register_rpc('none', lambda: None)", "uwsgi.register_rpc('empty', lambda: b'')", "uwsgi.register_rpc('array', lambda: bytearray(b'a'))",
    "uwsgi.register_rpc('fails', lambda: 1 / 0)", "uwsgi.register_rpc('much', lambda: b'x' * 70000)")
calls = ("uwsgi.call(b'joined')", "uwsgi.call(b'joined', b'1', b'')", "uwsgi.call('joined')", "uwsgi.call(b'joined', 'x')", "uwsgi.call(b'two', b'1')",
    "uwsgi.call(b'two', b'1', b'2', b'3')", "uwsgi.call(b'number')", "uwsgi.call(b'text')", "uwsgi.call(b'none')", "uwsgi.call(b'empty')",
    "uwsgi.call(b'array')", "uwsgi.call(b'fails')", "uwsgi.call(b'nobody')", "len(uwsgi.call(b'much'))", "uwsgi.call()", "uwsgi.rpc()", "uwsgi.rpc(None)",
    "uwsgi.rpc('', b'joined', b'1')", "uwsgi.rpc(None, b'joined')", "uwsgi.rpc(b'', b'joined')", "uwsgi.rpc('', 'joined')", "uwsgi.rpc('', b'nobody')",
    "uwsgi.call(b'decorated', b'1', b'2')", "uwsgi.rpc_list()")
ask(at_import, *calls)

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/remote":
        said = ask([], "uwsgi.rpc('127.0.0.1:1', b'joined')", "uwsgi.rpc(b'127.0.0.1:1', b'joined')", "rpc.__module__", "uwsgi.register_rpc('n' * 255, joined)")
    elif environ["PATH_INFO"] == "/async":
        async def late():
            return b""
        globals()["late"] = late
        said = ask([], "uwsgi.register_rpc('late', late)")
    else:
        said = ask(list(at_import), "uwsgi.register_rpc('mine', joined)", "uwsgi.call(b'mine', b'1')", *calls)
    return ["\n".join(said).encode()]
`

// TestRPC: the functions that are called by name answer as uWSGI's, which is asked the same; other
// machines are refused in words.
func TestRPC(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", rpcAPI)
	s.Allow("ZeroDivisionError: division by zero$", "TypeError: 'int' object is not callable$")
	s.Start("--http-socket", addr, "--module", "app", "-p", "1", "--rpc-max", "5")
	site := harness.HTTP(t, addr)
	ours := site.Get("/").Body
	t.Run("remote", func(t *testing.T) {
		for _, want := range []string{"uwsgi.rpc('127.0.0.1:1', b'joined'): ValueError: unable to call rpc function: " +
			"other machines are not called ('127.0.0.1:1'): use HTTP", "uwsgi.rpc(b'127.0.0.1:1', b'joined'): ValueError: ",
			"rpc.__module__: 'uwsgidecorators'", // 2.0.21, which is asked below, writes past its table
			"uwsgi.register_rpc('n' * 255, joined): ValueError: unable to register rpc function"} {
			if got := site.Get("/remote").Body; !strings.Contains(got, want) {
				t.Errorf("%s\nlacks %s", got, want)
			}
		}
		if got := site.Get("/async").Body; !strings.Contains(got, "TypeError: register_rpc(): late is async") {
			t.Error(got)
		}
		s.Log.Wait(t, `^registered shared/inherited RPC function "joined"$`)
		s.Log.Wait(t, `^registered RPC function "mine" on worker 1$`)
		s.Log.Wait(t, `^ZeroDivisionError: division by zero$`)
	})
	t.Run("as uWSGI", func(t *testing.T) {
		if _, err := exec.LookPath("uwsgi-core"); err != nil {
			t.Skip(err)
		}
		addr := harness.Addr(t)
		runOracle(t, s.Dir, []string{"--plugins", "rpc", "--master", "--http-socket", addr,
			"--module", "app", "-p", "1"})
		harness.Eventually(t, "the real uWSGI answers", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if theirs := harness.HTTP(t, addr).Get("/").Body; theirs != ours {
			t.Errorf("uWSGI:\n%s\nours:\n%s", theirs, ours)
		}
	})
}
