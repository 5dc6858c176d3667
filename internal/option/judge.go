package option

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// builtinPlugins are uWSGI's plugins whose work is done here without them.
var builtinPlugins = []string{
	"python", "python2", "python3", "http", "corerouter", "logfile", "logsocket", "syslog", "rsyslog",
	"systemd_logger", "stdio",
	"cheaper_busyness", "cheaper_backlog2", "fastcgi", "0", "transformation_chunked",
	"stats_pusher_file", "notfound",
}

// foreignPlugins run applications in other languages: the server would start without its
// application.
var foreignPlugins = []string{"psgi", "perl", "coroae", "rack", "ruby", "rbthreads", "fiber", "php", "lua", "jvm",
	"jwsgi", "ring", "mono", "v8", "gccgo",
	"cgi", "pypy", "servlet", "wsgi-lite", "matheval", "erlang"}

// BuiltinPlugin reports whether what the plugin of uWSGI offered is built in, for if-plugin.
func BuiltinPlugin(name string) bool {
	name = pluginName(name)
	return slices.Contains(builtinPlugins, name) || strings.HasPrefix(name, "python") &&
		strings.Trim(name[6:], "0123456789.") == ""
}

// pluginName takes the folder, the suffix _plugin.so and an address in front of "|" off.
func pluginName(name string) string {
	name = path.Base(strings.TrimSpace(name))
	return strings.TrimSuffix(strings.TrimSuffix(name, ".so"), "_plugin")
}

func judgePlugins(v Value) error {
	var unknown []string
	for _, name := range strings.FieldsFunc(v.Text, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch {
		case BuiltinPlugin(name):
		case slices.Contains(foreignPlugins, pluginName(name)):
			return fault("keep uWSGI for it", "the plugin %q runs an application that is not Python", name)
		default:
			unknown = append(unknown, name)
		}
	}
	if unknown != nil {
		return warning("see what it was needed for; only the plugins of uWSGI's Python server have a counterpart",
			"there is no plugin %s; it is left out",
			strings.Join(unknown, ", "))
	}
	return nil
}

// judgeLoop: an application for another loop than these is written against that loop.
func judgeLoop(v Value) error {
	switch strings.TrimSpace(v.Text) {
	case "simple", "gevent":
		return nil
	}
	switch text := strings.TrimSpace(v.Text); text {
	case "asyncio", "uvloop", "auto":
		return warning("write asgi-loop = "+text+" for an ASGI application",
			"a WSGI application runs on threads, or on gevent's loop")
	}
	return warning("write asgi = MODULE:CALLABLE for an ASGI application, else threads = 20, or what the work needs",
		"there is no loop %q: requests run on threads", v.Text)
}

// guards are routing actions that keep requests out: a server that starts without them would let
// them in.
var guards = []string{"basicauth", "ldapauth", "radius", "spnego", "break", "break-with-status",
	"access", "return", "error"}

// judgeRoute makes a rule that protects something fatal: the others only change or log.
func judgeRoute(v Value) error {
	text := strings.TrimSpace(v.Text)
	for _, word := range append(strings.Fields(text), text) {
		action, arg, ok := strings.Cut(word, ":")
		if action == "break" && strings.HasPrefix(arg, "413") {
			return &Error{Err: errors.New("there is no internal routing"), Hint: "write limit-post = BYTES", Warn: true}
		}
		if ok && slices.Contains(guards, strings.TrimSuffix(action, "-next")) {
			return fault("do it in nginx (auth_basic, deny, return 403) and take the line out",
				"there is no internal routing, and going on would serve what the action %q keeps back", action)
		}
	}
	return nil
}
