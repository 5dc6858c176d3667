package supervisor

import "time"

// agenda is what the loop shall do at some time. It belongs to the loop, which runs what is due;
// nothing in it runs elsewhere.
type agenda struct {
	alarms []*alarm
}

type alarm struct {
	at time.Time
	do func()
}

// after notes do for d from now.
func (a *agenda) after(d time.Duration, do func()) *alarm {
	al := &alarm{at: time.Now().Add(d), do: do}
	a.alarms = append(a.alarms, al)
	return al
}

// drop takes an alarm off; nil and one that has gone off are fine.
func (a *agenda) drop(al *alarm) {
	for i, x := range a.alarms {
		if x == al {
			a.alarms[i] = a.alarms[len(a.alarms)-1]
			a.alarms = a.alarms[:len(a.alarms)-1]
			return
		}
	}
}

// wait is how long until the next alarm, -1 when there is none.
func (a *agenda) wait(now time.Time) time.Duration {
	d := time.Duration(-1)
	for _, al := range a.alarms {
		if left := max(al.at.Sub(now), 0); d < 0 || left < d {
			d = left
		}
	}
	return d
}

// run does what is due, in order of time.
func (a *agenda) run(now time.Time) {
	for {
		var due *alarm
		for _, al := range a.alarms {
			if !al.at.After(now) && (due == nil || al.at.Before(due.at)) {
				due = al
			}
		}
		if due == nil {
			return
		}
		a.drop(due)
		due.do()
	}
}
