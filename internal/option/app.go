package option

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

const groupApp Group = "Application"

// AppSettings is what these rows say about the application.
type AppSettings struct {
	Apps             []App // in order; several without a mount point are tried in turn
	Callable         string
	ManageScriptName bool
	IgnoreScriptName bool
	NeedApp          bool // default true
	NoDefaultApp     bool
	Chdir            string
	Chdir2           string
	PasteLogger      bool
	PasteName        string
	Env              []EnvOp // env, unenv, envdir in the order they apply
	Warmup           []Warmup
	WarmupTimeout    time.Duration // for each of them; 0 = any
}

var appRows = []Row{
	{Name: "module", Aliases: []string{"wsgi"}, Short: 'w', Kind: Text, Group: groupApp, Set: app("module"),
		Example: "mysite.wsgi:application",
		Help:    "the application, WSGI or ASGI: MODULE, MODULE:CALLABLE or MODULE:FACTORY(); as wsgi it is WSGI"},
	{Name: "wsgi-file", Aliases: []string{"file"}, Kind: Path, Group: groupApp, Set: app("file"),
		Example: "mysite/wsgi.py",
		Help:    "the Python file that defines the application, which is WSGI; as file it may be ASGI"},
	{Name: "callable", Unset: "application", Kind: Text, Group: groupApp,
		Set:     text(func(s *Settings) *string { return &s.Callable }),
		Example: "app",
		Help:    "name of the application where module or file give none (application)"},
	{Name: "eval", Kind: Text, Group: groupApp, Set: app("eval"),
		Example: "def application(environ, start_response): …", Help: "the application as Python code"},
	{Name: "paste", Example: "config:/srv/app/production.ini", Kind: Text, Group: groupApp, Set: app("paste"),
		Help: "the application as a paste.deploy URI: config:/path"},
	{Name: "paste-name", Example: "main", Kind: Text, Since: "2.1", Group: groupApp,
		Set: text(func(s *Settings) *string { return &s.PasteName }), Help: "section of the paste file"},
	{Name: "ini-paste", Example: "/srv/mysite/production.ini", Kind: Path, Group: groupApp, Set: iniPaste(false),
		Help: "read [uwsgi] and the paste application from one file"},
	{Name: "ini-paste-logged", Example: "/srv/mysite/production.ini", Kind: Path, Group: groupApp, Set: iniPaste(true),
		Help: "the same, with the logging of that file"},
	{Name: "paste-logger", Kind: Flag, Group: groupApp, Set: flag(func(s *Settings) *bool { return &s.PasteLogger }),
		Help: "take the logging configuration of the paste file"},
	{Name: "mount", Aliases: []string{"worker-mount"}, Kind: NameValue, Repeat: true, Group: groupApp, Set: mount,
		Example: "/api=mysite.api:app",
		Help:    "serve an application under a prefix: /prefix=MODULE:CALLABLE or /prefix=FILE.py"},
	{Name: "manage-script-name", Kind: Flag, Group: groupApp,
		Set:  flag(func(s *Settings) *bool { return &s.ManageScriptName }),
		Help: "find SCRIPT_NAME and PATH_INFO from the mounted prefixes"},
	{Name: "ignore-script-name", Kind: Flag, Group: groupApp,
		Set:  flag(func(s *Settings) *bool { return &s.IgnoreScriptName }),
		Help: "do not choose the application by the SCRIPT_NAME of the front end"},
	{Name: "need-app", Kind: Flag, Optional: true, Group: groupApp,
		Set: flag(func(s *Settings) *bool { return &s.NeedApp }),
		Help: "exit with status 22 when no application can be loaded (the default; need-app=false " +
			"serves errors instead)"},
	{Name: "no-default-app", Kind: Flag, Group: groupApp, Set: flag(func(s *Settings) *bool { return &s.NoDefaultApp }),
		Help: "a request outside all mounted prefixes is an error"},
	{Name: "chdir", Kind: Path, Group: groupApp, Set: text(func(s *Settings) *string { return &s.Chdir }),
		Example: "/srv/mysite",
		Help:    "change to this folder before the application is loaded"},
	{Name: "chdir2", Kind: Path, Group: groupApp,
		Set:  placed("chdir2", text(func(s *Settings) *string { return &s.Chdir2 })),
		Help: "change to this folder after the application is loaded"},
	{Name: "env", Aliases: []string{"ienv"}, Kind: NameValue, Repeat: true, Group: groupApp, Set: env,
		Example: "DJANGO_SETTINGS_MODULE=mysite.settings",
		Help:    "set an environment variable of the application"},
	{Name: "unenv", Kind: Text, Repeat: true, Group: groupApp, Set: unenv,
		Example: "DEBUG", Help: "remove an environment variable"},
	{Name: "warmup", Example: "/healthz", Kind: Text, Repeat: true, Since: "ours", Group: groupApp, Set: warmup,
		Help: "a request, GET PATH or GET http://HOST/PATH, that each worker of a new generation answers before it " +
			"serves; with a 5xx, or none within warmup-timeout, the start or the reload has failed"},
	{Name: "warmup-timeout", Kind: Seconds, Since: "ours", Group: groupApp,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.WarmupTimeout }),
		Help: "longest wait for an answer to a warmup request (30; 0 = for ever)"},
	{Name: "envdir", Kind: Path, Repeat: true, Group: groupApp,
		Help: "one environment variable a file of this folder, set after env"},
	{Name: "early-envdir", Kind: Path, Repeat: true, Group: groupApp,
		Help: "the same, at once, so that $(NAME) sees it"},
}

// app adds one source of the default application. The same option again replaces the earlier one,
// as in uWSGI; different options stay side by side and are tried in turn, modules first.
func app(kind string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		value := strings.TrimSpace(v.Text)
		if value == "" {
			return fault("write "+v.Name+" = …", "the application is missing")
		}
		add := App{Kind: kind, Interface: interfaceOf(v.Name), Value: value, Origin: v.Origin}
		var hint error
		switch {
		case kind == "module" && strings.HasSuffix(strings.SplitN(value, ":", 2)[0], ".py"):
			file := "wsgi-file"
			if add.Interface == asgi {
				file = "asgi-file"
			}
			hint = warning("write "+file+" = "+strings.SplitN(value, ":", 2)[0]+", or the module's name without .py",
				"%q is a file, not a module", value)
		case kind == "file" && strings.HasSuffix(strings.TrimSuffix(value, ":"+lastPart(value)), ".py") &&
			strings.Contains(value, ":"):
			path, callable := value[:strings.LastIndexByte(value, ':')], lastPart(value)
			add.Value, s.Callable = path, callable
			hint = warning("write "+v.Name+" = "+path+" and callable = "+callable,
				"uWSGI knows no PATH:CALLABLE here; it is read as both")
		}
		at := len(s.Apps)
		for i, a := range s.Apps {
			if a.Mount == "" && a.Kind == kind {
				s.Apps[i] = add
				if hint == nil && a.Interface != add.Interface {
					hint = warning("write one of the two", "it takes the place of %s, which another option names",
						a.Value)
				}
				return hint
			}
			if a.Mount == "" && kind == "module" && at == len(s.Apps) {
				at = i
			}
		}
		s.Apps = append(s.Apps, App{})
		copy(s.Apps[at+1:], s.Apps[at:])
		s.Apps[at] = add
		return hint
	}
}

// The interfaces of applications.
const (
	wsgi = "wsgi"
	asgi = "asgi"
)

// interfaceOf is the interface that the name of an option says, "" if it leaves that to the
// application.
func interfaceOf(name string) string {
	before, _, _ := strings.Cut(name, "-")
	if before == wsgi || before == asgi {
		return before
	}
	return ""
}

func lastPart(s string) string { return s[strings.LastIndexByte(s, ':')+1:] }

func iniPaste(logged bool) func(*Settings, Value) error {
	add := app("ini-paste")
	return func(s *Settings, v Value) error {
		s.PasteLogger = s.PasteLogger || logged
		return add(s, v)
	}
}

func mount(s *Settings, v Value) error {
	prefix, value, err := pairOf(v, "/prefix=module:callable")
	if err != nil {
		return err
	}
	prefix, value = strings.TrimSpace(prefix), strings.TrimSpace(value)
	if value == "" {
		return fault("write "+v.Name+" = "+prefix+"=module:callable", "the application is missing")
	}
	kind := "module"
	if strings.HasSuffix(value, ".py") || strings.HasSuffix(value, ".wsgi") || strings.Contains(value, "/") {
		kind = "file"
	}
	if strings.HasSuffix(value, ".ini") {
		kind = "paste"
	}
	if prefix == "" {
		return fault("write "+v.Name+" = /prefix="+value, "the prefix is missing")
	}
	if host, _, ok := strings.Cut(prefix, "|"); ok {
		// With vhost uWSGI chooses by Host; whoever else asks would be given this application.
		return &Error{Err: errors.New("an application is not chosen by the Host header"), NotOffered: true,
			Hint: "start an instance for " + host + " and choose by server_name of nginx"}
	}
	var hint error
	if !strings.ContainsAny(prefix[:1], "/$%") {
		hint = warning("write "+v.Name+" = /"+prefix+"="+value, "the prefix does not begin with \"/\"")
	} else if len(prefix) > 1 && strings.HasSuffix(prefix, "/") {
		prefix = strings.TrimRight(prefix, "/")
		hint = warning("write "+v.Name+" = "+prefix+"="+value, "the \"/\" at the end of the prefix is left out")
	}
	s.Apps = append(s.Apps, App{Mount: prefix, Kind: kind, Value: value, Origin: v.Origin})
	return hint
}

// env keeps blanks around the inner "=" off: "NAME = value" is what people write, and a name with a
// blank reaches no program.
func env(s *Settings, v Value) error {
	name, value, ok := strings.Cut(v.Text, "=")
	trimmed := strings.TrimSpace(name)
	if trimmed == "" {
		return fault("write "+v.Name+" = NAME=value", "the name of the variable is missing")
	}
	if !ok {
		s.Env = append(s.Env, EnvOp{Name: trimmed, Unset: true})
		return warning("write "+v.Name+" = "+trimmed+"=value, or unenv = "+trimmed,
			"without \"=\" the variable is removed")
	}
	if trimmed != name {
		value = strings.TrimLeft(value, " \t")
	}
	s.Env = append(s.Env, EnvOp{Name: trimmed, Value: value})
	return nil
}

// warmup reads a path with its query, or a URL for a Host that the application insists on.
func warmup(s *Settings, v Value) error {
	text := strings.TrimSpace(v.Text)
	u, err := url.Parse(text)
	scheme := "http"
	if err == nil && u.Scheme != "" {
		scheme = u.Scheme
	}
	plain := strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
	if err != nil || scheme != "http" && scheme != "https" || !plain && u.Host == "" || u.User != nil ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fault("write "+v.Name+" = /PATH, or http://HOST/PATH for an application that insists on its Host",
			"%q is no path of a request", v.Text)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	s.Warmup = append(s.Warmup, Warmup{Text: text, Scheme: scheme, Host: u.Host, Path: path, Query: u.RawQuery})
	return nil
}

func unenv(s *Settings, v Value) error {
	s.Env = append(s.Env, EnvOp{Name: strings.TrimSpace(v.Text), Unset: true})
	return nil
}
