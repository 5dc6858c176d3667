package schedule

import (
	"fmt"
	"time"
)

// When is a cron's time: each field is a number, -1 for any, -N for what N divides. Week is 0 to 6
// from Sunday on, which is 7 as well.
type When struct {
	Minute int `json:"minute"`
	Hour   int `json:"hour"`
	Day    int `json:"day"`
	Month  int `json:"month"`
	Week   int `json:"week"`
}

// never is the field, with its number, that no time has; "" = there is none.
func (w When) never() string {
	day, week := w.Day, w.Week
	if day >= 0 && week >= 0 { // alternatives
		day, week = min(day, 31), min(week, 7)
	}
	for _, f := range []struct {
		name    string
		n, most int
	}{{"minute", w.Minute, 59}, {"hour", w.Hour, 23}, {"month", w.Month, 12},
		{"day", day, 31}, {"weekday", week, 7}} {
		if f.n > f.most {
			return fmt.Sprintf("%s %d", f.name, f.n)
		}
	}
	return ""
}

// Matches reports whether t's minute, in its own zone, is one of them. A day of the month and a
// weekday that are both given are alternatives.
func (w When) Matches(t time.Time) bool {
	week := w.Week
	if week == 7 {
		week = 0
	}
	if !matches(w.Minute, t.Minute()) || !matches(w.Hour, t.Hour()) || !matches(w.Month, int(t.Month())) {
		return false
	}
	day, weekday := matches(w.Day, t.Day()), matches(week, int(t.Weekday()))
	if w.Day >= 0 && week >= 0 {
		return day || weekday
	}
	return day && weekday
}

func matches(field, value int) bool {
	switch {
	case field == -1:
		return true
	case field < -1:
		return value%-field == 0
	}
	return field == value
}

// Clock is a cron's time, and in which minute it was due last.
type Clock struct {
	When
	ran time.Time
}

// Due reports, once a minute, that the time has come.
func (c *Clock) Due(now time.Time) bool {
	minute := now.Truncate(time.Minute)
	if minute.Equal(c.ran) || !c.Matches(now) {
		return false
	}
	c.ran = minute
	return true
}

// lookAtClock bounds how long nobody looks at the clock: it may be set, and a machine may sleep.
const lookAtClock = 10 * time.Second

// UntilNext is when a Clock wants to be asked again.
func UntilNext(now time.Time) time.Duration {
	return min(lookAtClock, now.Truncate(time.Minute).Add(time.Minute).Sub(now))
}
