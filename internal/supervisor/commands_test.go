package supervisor

import (
	"testing"
	"time"
)

// TestCommands: timed commands are looked at when they want to be, when something is new, and
// whether the application registers signals or not; not once the instance stops.
func TestCommands(t *testing.T) {
	r := newRig(t, 1)
	looked := make(chan struct{}, 1000)
	want := make(chan time.Duration, 1)
	want <- time.Millisecond
	r.cfg.Commands = func(time.Time) time.Duration {
		looked <- struct{}{}
		wait := <-want
		want <- wait
		return wait
	}
	r.up()
	look := func(why string) {
		t.Helper()
		select {
		case <-looked:
		case <-time.After(patience):
			t.Fatal("they are not looked at", why)
		}
	}
	r.sup.Tick()
	for range 5 {
		look("when they want to be")
	}
	<-want
	want <- -1
	r.do(r.sup.tickSchedule)
	for len(looked) > 0 {
		<-looked
	}
	r.do(func() {
		if r.sup.scheduled != nil {
			t.Error("they want nothing, and a timer runs")
		}
	})
	r.sup.Tick()
	look("when something is new")
	r.stop()
	r.noErrors()
	if n := len(looked); n > 0 {
		t.Errorf("the instance has stopped, and they are looked at %d times", n)
	}
}
