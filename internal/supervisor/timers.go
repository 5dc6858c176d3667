package supervisor

import "time"

// timers are what the loop shall do at some time. They belong to the loop, which fires what is due;
// none of them runs elsewhere.
type timers struct {
	list []*timer
}

type timer struct {
	at time.Time
	do func()
}

// after notes do for d from now.
func (t *timers) after(d time.Duration, do func()) *timer {
	x := &timer{at: time.Now().Add(d), do: do}
	t.list = append(t.list, x)
	return x
}

// drop takes a timer off; nil and one that has fired are fine.
func (t *timers) drop(x *timer) {
	for i, y := range t.list {
		if x == y {
			t.list[i] = t.list[len(t.list)-1]
			t.list = t.list[:len(t.list)-1]
			return
		}
	}
}

// wait is how long until the next timer fires, -1 when there is none.
func (t *timers) wait(now time.Time) time.Duration {
	d := time.Duration(-1)
	for _, x := range t.list {
		if left := max(x.at.Sub(now), 0); d < 0 || left < d {
			d = left
		}
	}
	return d
}

// run does what is due, in order of time.
func (t *timers) run(now time.Time) {
	for {
		var due *timer
		for _, x := range t.list {
			if !x.at.After(now) && (due == nil || x.at.Before(due.at)) {
				due = x
			}
		}
		if due == nil {
			return
		}
		t.drop(due)
		due.do()
	}
}
