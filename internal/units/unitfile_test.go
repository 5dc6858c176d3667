package units

import (
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

// TestSettingsAsUnit: who runs an application of apps-enabled that names nobody is who the unit
// says, also for `uwsgi check`.
func TestSettingsAsUnit(t *testing.T) {
	for _, c := range []struct{ file, uid, gid, wantUID, wantGID string }{
		{"/etc/uwsgi/apps-enabled/x.ini", "", "", "www-data", "www-data"},
		{"/etc/uwsgi/apps-enabled/x.ini", "", "web", "www-data", "web"},
		{"/etc/uwsgi/apps-enabled/x.ini", "me", "", "me", ""},
		{"/srv/x.ini", "", "", "", ""},
	} {
		s := option.Default()
		s.Files, s.UID, s.GID = []string{"/etc/base.ini", c.file}, c.uid, c.gid
		if got := AsUnit(s); got.UID != c.wantUID || got.GID != c.wantGID {
			t.Errorf("%s as %q:%q is %q:%q", c.file, c.uid, c.gid, got.UID, got.GID)
		}
		if s.UID != c.uid || s.GID != c.gid {
			t.Errorf("%s: the settings were changed", c.file)
		}
	}
}

// TestUnitFileLines: no value makes, ends or swallows a line of the drop-ins.
func TestUnitFileLines(t *testing.T) {
	for _, evil := range []string{`x\`, `x\ `, "x\\\n", `\\\`, "x\nUser=root", "x\r[Service]", "x\x00y", `a "b`, `'`, "%n", "$HOME"} {
		s := option.Default()
		s.UID, s.GID, s.ChownSocket, s.Chdir, s.ChmodSocket = "u"+evil, "g"+evil, "a:b"+evil, "/srv/"+evil, "66"+evil
		s.AddGIDs = []string{evil, "disk"}
		s.Pidfile, s.LogTo = "/run/"+evil, "/srv/log"+evil+"/log"
		s.Sockets = []option.Socket{{Address: "/run/x/" + evil}, {Address: "@" + evil}}
		i := Instance{Name: "x", ConfName: "x" + evil, File: "/etc/x" + evil + ".ini", Args: []string{evil}, Dir: evil,
			Settings: s, Origin: "a test" + evil,
			DropIn: "d.conf"}
		for name, e := range i.DropIns() {
			var keys []string
			for line := range strings.Lines(e.Text) {
				line = strings.TrimSuffix(line, "\n")
				if strings.HasPrefix(line, "#") || line == "" {
					continue
				}
				if strings.HasSuffix(strings.TrimRight(line, " "), `\`) {
					t.Errorf("%q: %s: %q takes in the next line", evil, name, line)
				}
				if strings.ContainsAny(line, "\r\x00") {
					t.Errorf("%q: %s: %q ends early", evil, name, line)
				}
				key, _, _ := strings.Cut(line, "=")
				keys = append(keys, key)
			}
			for _, key := range []string{"User", "[Service]", "[Socket]"} {
				if n := len(slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k != key })); n > 1 {
					t.Errorf("%q: %s has %d lines %s:\n%s", evil, name, n, key, e.Text)
				}
			}
		}
	}
}
