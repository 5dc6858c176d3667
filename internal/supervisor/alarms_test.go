package supervisor

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
)

// A full queue raises the alarms that are for it.
func TestQueueAlarm(t *testing.T) {
	r := newRig(t, 1)
	raised := make(chan string, 100)
	r.set.AlarmBacklog = []string{"ops", "mail"}
	r.cfg.Alarm = func(name, message string) { raised <- name + ": " + message }
	r.cfg.Listeners[0].FD, r.cfg.Listeners[0].Queue = 7, func() (int, int, error) { return 5, 4, nil }
	r.up()
	for _, name := range []string{"ops", "mail"} {
		if got, want := <-raised, name+`: listen queue of socket "`+r.addr+`" (fd: 7) full !!! (5/4)`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	r.stop()
}

func TestCrashAlarm(t *testing.T) {
	var raised []string
	c := Config{Settings: &option.Settings{AlarmSettings: option.AlarmSettings{AlarmSegfault: []string{"ops"}}},
		Alarm: func(name, message string) { raised = append(raised, name+": "+message) }}
	for _, status := range []unix.WaitStatus{0, 1 << 8, 9, 15, 11, 7} { // exits, signals
		c.crashAlarm("worker 3", 42, loader.Exit{Known: true, Status: status})
	}
	c.crashAlarm("worker 3", 42, loader.Exit{})
	want := []string{"ops: !!! uWSGI process 42 got Segmentation Fault !!! (worker 3)",
		fmt.Sprintf("ops: !!! uWSGI process 42 was ended by signal 7 (%v) !!! (worker 3)", unix.SIGBUS)}
	if !slices.Equal(raised, want) {
		t.Errorf("%q, want %q", raised, want)
	}
}
