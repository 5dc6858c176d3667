package e2e

import (
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/option"
)

// TestEmptyValuesServe: every option that has an empty value at once, as a template with nothing
// filled in leaves them.
func TestEmptyValuesServe(t *testing.T) {
	s := harness.New(t)
	s.Write("app.py", "def application(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n")
	ini := "[uwsgi]\nhttp-socket = " + s.Path("h.sock") + "\nwsgi-file = app.py\n"
	for _, row := range option.All() {
		switch {
		case !row.TakesValue(), row.Guards, row.Kind == option.Block, row.Kind == option.ConfigFile, row.CLIOnly:
			continue
		case row.Standing != option.Honoured:
			continue
		case row.Name == "set" || row.Name == "set-placeholder" || row.Name == "resolve" ||
			row.Name == "declare-option" || row.Name == "declare-option2":
			continue // uWSGI ends there as well
		case row.Name == "pyrun" || row.Name == "blacklist" || row.Name == "whitelist":
			continue // a program of its own; these forbid what stands below
		}
		ini += row.Name + " =\n"
	}
	s.Write("u.ini", ini)
	s.Start("--ini", "u.ini")
	if a := harness.HTTP(t, s.Path("h.sock")).Get("/"); a.Status != 200 || string(a.Body) != "hello" {
		t.Errorf("%d %q", a.Status, a.Body)
	}
	for _, name := range []string{"env", "stats", "http", "exec-asap", "exec-pre-app", "attach-daemon", "umask",
		"log-route", "add-header", "static-expires"} {
		if n := s.Log.Count(`^u\.ini:\d+: warning: ` + name + `: .* is left out`); n != 1 {
			t.Errorf("%s is told %d times", name, n)
		}
	}
	s.Stop()
}
