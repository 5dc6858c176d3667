package dataplane

import (
	"strings"

	"uwsgi/internal/request"
)

// mount is where one application is reached.
type mount struct {
	prefix string
	app    int
}

// setMounts notes the applications' mount points, the longest first.
func (e *Engine) setMounts(points []string) {
	e.points = points
	for i, p := range points {
		at := len(e.mounts)
		for at > 0 && len(e.mounts[at-1].prefix) < len(p) {
			at--
		}
		e.mounts = append(e.mounts[:at], append([]mount{{p, i}}, e.mounts[at:]...)...)
	}
}

// appFor gives the application for r, -1 for none. With manage-script-name the mount point is cut
// off PATH_INFO and becomes SCRIPT_NAME; else, and where no mount point fits, the front end may
// have set SCRIPT_NAME to one (uWSGI's rules; ignore-script-name forbids that).
func (e *Engine) appFor(r *request.Request) int {
	if len(e.mounts) == 1 && e.mounts[0].prefix == "" && !e.settings.ManageScriptName {
		return e.mounts[0].app
	}
	script, scripted := r.Lookup("SCRIPT_NAME")
	if appid, ok := r.Lookup("UWSGI_APPID"); ok {
		if app := e.mounted(string(r.Bytes(appid))); app >= 0 {
			return app
		}
	}
	if e.settings.ManageScriptName {
		path := string(r.Bytes(r.Path))
		for _, m := range e.mounts {
			p := strings.TrimSuffix(m.prefix, "/")
			if p == "" || !strings.HasPrefix(path, p) || len(path) > len(p) && path[len(p)] != '/' {
				continue
			}
			r.AddVarString("SCRIPT_NAME", p)
			r.AddVarString("PATH_INFO", path[len(p):]) // of two the later counts, in the environ as in Lookup
			return m.app
		}
		if !scripted {
			r.AddVarString("SCRIPT_NAME", "")
		}
	}
	if !e.settings.IgnoreScriptName && (script.Len > 0 || !e.settings.ManageScriptName) {
		if app := e.mounted(string(r.Bytes(script))); app >= 0 {
			return app
		}
	}
	return e.fallback()
}

func (e *Engine) mounted(at string) int {
	for _, m := range e.mounts {
		if m.prefix == at {
			return m.app
		}
	}
	return -1
}

// fallback is the application for what no mount point claims: the one without a mount point, else
// the one at "/", which is the first alone under uWSGI, else the first (unless no-default-app).
func (e *Engine) fallback() int {
	for _, root := range [...]string{"", "/"} {
		if app := e.mounted(root); app >= 0 {
			return app
		}
	}
	if e.settings.NoDefaultApp || len(e.mounts) == 0 {
		return -1
	}
	return 0
}
