package option

import (
	"slices"
	"strings"
)

const groupASGI Group = "Asynchronous applications"

// AsgiSettings is what these rows say about asynchronous applications.
type AsgiSettings struct {
	AsgiConcurrency int    // requests and websockets that a worker with an event loop has in hand
	AsgiLoop        string // auto, uvloop, asyncio
	Lifespan        string // auto, on, off
}

// Short names are those of uvicorn, gunicorn and Granian, where uWSGI has none like them.
var asgiRows = []Row{
	{Name: "asgi", Example: "mysite.asgi:application", Kind: Text, Since: "ours", Group: groupASGI, Set: app("module"),
		Help: "the ASGI application: MODULE:CALLABLE or MODULE:FACTORY(). module and mount find out by themselves " +
			"which interface a callable has"},
	{Name: "asgi-file", Example: "mysite/asgi.py", Kind: Path, Since: "ours", Group: groupASGI, Set: app("file"),
		Help: "the Python file that defines the ASGI application"},
	{Name: "asgi-loop", Example: "uvloop", Kind: Text, Since: "ours", Group: groupASGI,
		Set:  oneOf(func(s *Settings) *string { return &s.AsgiLoop }, "auto", "uvloop", "asyncio"),
		Help: "the event loop: asyncio, uvloop, or auto (uvloop where it can be imported, the default)"},
	{Name: "lifespan", Aliases: []string{"asgi-lifespan"}, Example: "off", Kind: Text, Since: "ours", Group: groupASGI,
		Set: oneOf(func(s *Settings) *string { return &s.Lifespan }, "auto", "on", "off"),
		Help: "lifespan events of ASGI: on, off, or auto (as on, but an application that fails at them is taken for " +
			"one that knows none, the default)"},
	{Name: "asgi-concurrency", Aliases: []string{"limit-concurrency", "worker-connections"}, Kind: Int, Since: "ours",
		Group: groupASGI, Set: concurrency,
		Help: "requests and websockets that a worker with an event loop has in hand at most; others wait (1000)"},
	{Name: "root-path", Example: "/api", Kind: Text, Since: "ours", Group: groupASGI, Set: rootPath,
		Help: "where the front end has put the application: SCRIPT_NAME, root_path of ASGI, of " +
			"requests that come over HTTP"},
}

// MaxExchanges bounds asgi-concurrency and gevent.
const MaxExchanges = 1 << 16

// Exchanges is how many exchanges a worker may have in hand at a time, whatever interface its
// applications turn out to have.
func (s *Settings) Exchanges() int { return max(1, s.Threads, s.Gevent, s.AsgiConcurrency) }

// oneOf takes one of a few words; any word for a boolean is "on" or "off".
func oneOf(field func(*Settings) *string, words ...string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		word := strings.ToLower(strings.TrimSpace(v.Text))
		if IsBoolWord(word) {
			word = "off"
			if on, _ := v.Bool(); on {
				word = "on"
			}
		}
		if slices.Contains(words, word) {
			*field(s) = word
			return nil
		}
		last := len(words) - 1
		return fault("write "+v.Name+" = "+strings.Join(words[:last], ", ")+" or "+words[last],
			"%q is none of them", v.Text)
	}
}

func concurrency(s *Settings, v Value) error {
	n, err := v.whole(plainUnits, "")
	switch {
	case !survivable(err):
		return err
	case n < 1:
		return fault("write "+v.Name+" = 1000", "a worker that may have nothing in hand serves nothing")
	case n > MaxExchanges:
		return fault("write a number up to 65536", "%d requests are too many for a worker", n)
	}
	s.AsgiConcurrency = int(n)
	return err
}

func rootPath(s *Settings, v Value) error {
	path := strings.TrimRight(strings.TrimSpace(v.Text), "/")
	if path != "" && path[0] != '/' {
		return fault("write "+v.Name+" = /"+path, "%q does not begin with \"/\"", v.Text)
	}
	s.HTTPVars = append(s.HTTPVars, "SCRIPT_NAME="+path)
	return nil
}
