package logging

import (
	"slices"
	"testing"
)

// TestAlarmSeesLines: every line of the server's log, before log-drain, but for what alarms say and
// print themselves.
func TestAlarmSeesLines(t *testing.T) {
	s := testSettings()
	s.LogDrain = []string{"drained"}
	var seen []string
	l, _ := testLog(t, s, func(e *Env) { e.Alarm = func(text string) { seen = append(seen, text) } })
	l.Print("a line")
	l.Warn("a drained line")
	l.Alarm("ALARM: a line")
	l.AlarmFailed("an alarm failed")
	for _, open := range []func() error{
		func() error {
			f, err := l.WorkerStderr(1)
			if err == nil {
				f.WriteString("of a worker\n")
				err = f.Close()
			}
			return err
		},
		func() error {
			f, err := l.AlarmOutput()
			if err == nil {
				f.WriteString("of a command\n")
				err = f.Close()
			}
			return err
		},
	} {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	if want := []string{"a line", "a drained line", "of a worker"}; !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
}
