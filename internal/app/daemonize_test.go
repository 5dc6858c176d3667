package app

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSoleProcess(t *testing.T) {
	for _, c := range []struct {
		what        string
		pid, parent int
		init        string
		want        bool
	}{
		{"a container's first process", 1, 0, "uwsgi", true},
		{"docker run --init", 7, 1, "docker-init", true},
		{"an image with tini", 7, 1, "tini", true},
		{"a script below tini", 8, 7, "tini", false},
		{"a shell's child, which may have more to start", 7, 1, "sh", false},
		{"rc.local of sysvinit", 700, 650, "init", false},
		{"inittab", 700, 1, "init", false},
		{"docker exec", 70, 0, "tini", false},
	} {
		if got := soleProcess(c.pid, c.parent, func(int) string { return c.init }); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if got := processName(os.Getpid()); got == "" || strings.ContainsAny(got, "\n") {
		t.Errorf("%q", got)
	}
}

// An environment comes back as it was: with names that no shell knows, lines, bytes that are no
// UTF-8; the manager's own variables are this process's.
func TestKeptEnvironment(t *testing.T) {
	run := t.TempDir()
	mine := []string{"A=b=c", "BASH_FUNC_f%%=() {  :\n}", "RAW=\xff\xfe", "EMPTY=",
		"INVOCATION_ID=of the shell's service", "JOURNAL_STREAM=8:1"}
	kept, err := keepEnvironment(run, "uwsgi-x", mine)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{string(kept): 0o700 | os.ModeDir, kept.path(): 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	if !strings.HasPrefix(kept.name(), "uwsgi-daemon/uwsgi-x.") {
		t.Error(kept.name())
	}
	text, err := os.ReadFile(kept.path())
	if err != nil {
		t.Fatal(err)
	}
	got := resumed(string(text), []string{"PATH=/bin", "NOTIFY_SOCKET=/run/systemd/notify", "INVOCATION_ID=mine",
		environmentVar + "=" + kept.path()})
	want := append(slices.Clone(mine[:4]), "NOTIFY_SOCKET=/run/systemd/notify", "INVOCATION_ID=mine")
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	kept.remove()
	if left, _ := os.ReadDir(run + "/" + environmentDir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// What systemd would expand in a command line reaches the program as it was typed.
func TestServiceArgv(t *testing.T) {
	got := serviceArgv("/usr/bin/uwsgi", []string{"uwsgi", "--set", "x=$HOME", "$$"})
	if want := []string{"/usr/bin/uwsgi", "--set", "x=$$HOME", "$$$$"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
