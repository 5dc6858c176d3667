package option

import "testing"

// TestSpoolerShown: no log and no statistics have a password, be the URL one or not.
func TestSpoolerShown(t *testing.T) {
	for dir, want := range map[string]string{
		"/srv/spool": "/srv/spool", "redis://h:1/2": "redis://h:1/2", "redis://:secret@h/0": "redis://:xxxxx@h/0",
		"redis://u:secret@h/0?name=a": "redis://u:xxxxx@h/0?name=a", "redis://u:secret@h:b/0": "redis://u:xxxxx@h:b/0"} {
		if got := (Spooler{Dir: dir}).Shown(); got != want {
			t.Errorf("%s: %s", dir, got)
		}
	}
}
