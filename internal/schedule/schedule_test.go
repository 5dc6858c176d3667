package schedule

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local) // a Sunday

var none map[string]string

func at(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }

func add(t *testing.T, table *Table, s Source) {
	t.Helper()
	if err := table.Add(s, noon); err != nil {
		t.Fatal(err)
	}
}

func (t *Table) at(s float64) []int { due, _ := t.Due(at(s), none); return due }

func TestMissedTicksCoalesce(t *testing.T) {
	var table Table
	add(t, &table, Source{Kind: Timer, Signal: 3, Seconds: 2})
	if got := table.at(100); got != nil {
		t.Error("it runs before it is in force:", got)
	}
	table.Start(noon)
	if _, wait := table.Due(noon, none); wait != 2*time.Second {
		t.Error(wait)
	}
	for _, c := range []struct {
		at   float64
		want []int
	}{{1.9, nil}, {2, []int{3}}, {3, nil}, {11, []int{3}}, {12, nil}, {13, []int{3}}} {
		if got := table.at(c.at); !slices.Equal(got, c.want) {
			t.Errorf("at %v: %v, not %v", c.at, got, c.want)
		}
	}
}

func TestARegistrationCountsOnce(t *testing.T) {
	var table Table
	for range 8 { // workers
		if err := table.Register(7, "workers"); err != nil {
			t.Fatal(err)
		}
		add(t, &table, Source{Kind: Timer, Signal: 7, Seconds: 1})
	}
	if len(table.sources) != 1 {
		t.Error(len(table.sources))
	}
	if target, ok := table.Target(7); target != "workers" || !ok {
		t.Error(target, ok)
	}
	if _, ok := table.Target(8); ok {
		t.Error("8 is not registered")
	}
}

func TestTimes(t *testing.T) {
	var table Table
	add(t, &table, Source{Kind: RBTimer, Signal: 1, Seconds: 1, Times: 2})
	table.Start(noon)
	n := 0
	for s := range 10 {
		n += len(table.at(float64(s)))
	}
	if _, wait := table.Due(at(11), none); n != 2 || wait >= 0 {
		t.Error(n, wait)
	}
}

func TestCronOnceAMinute(t *testing.T) {
	var table Table
	add(t, &table, Source{Kind: Cron, Signal: 1, When: When{-1, 12, -1, -1, 7}})
	add(t, &table, Source{Kind: Cron, Signal: 2, When: When{1, -1, -1, -1, -1}})
	table.Start(noon)
	var got []int
	for s := range 125 {
		got = append(got, table.at(float64(s))...)
	}
	if !slices.Equal(got, []int{1, 1, 2, 1}) {
		t.Error(got)
	}
}

// TestReload: a cron runs once in its minute whatever reloads there are, and a file that changes
// meanwhile is seen to.
func TestReload(t *testing.T) {
	sources := []Source{{Kind: Cron, Signal: 1, When: When{-1, -1, -1, -1, -1}}, {Kind: Monitor, Signal: 2, Path: "/x"}}
	var before *Table
	var got []int
	for s := range 90 {
		var table Table
		for _, source := range sources {
			add(t, &table, source)
		}
		if before != nil {
			table.Inherit(before)
		}
		table.Start(at(float64(s)))
		seen := map[string]string{"/x": "a"}
		if s >= 50 {
			seen["/x"] = "b"
		}
		due, _ := table.Due(at(float64(s)), seen)
		got = append(got, due...)
		before = &table
	}
	if !slices.Equal(got, []int{1, 2, 1}) {
		t.Error(got)
	}
}

func TestUntilNext(t *testing.T) {
	for s, want := range map[float64]float64{0: 10, 30: 10, 55: 5, 59.5: 0.5} {
		if got := UntilNext(at(s)); got.Seconds() != want {
			t.Error(s, got)
		}
	}
}

func TestTargets(t *testing.T) {
	for text, want := range map[string]Target{
		"": {}, "worker": {}, "worker0": {}, "worker3": {Number: 3}, "workers": {Each: true},
		"active-workers": {Each: true}, "mule": {Kind: Mule}, "mule0": {Kind: Mule}, "mule2": {Kind: Mule, Number: 2},
		"mules": {Kind: Mule, Each: true}, "farm_x": {Kind: Farm, Name: "x"}, "farm2": {Kind: Farm, Number: 2},
		"spooler": {Kind: Spooler}, "subscribed": {Kind: Nobody},
	} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"farm", "farm0", "farm_", "worker-1", "mulex", "x", "Worker"} {
		if _, err := ParseTarget(text); err == nil {
			t.Errorf("%q is a target", text)
		}
	}
}

func TestMonitor(t *testing.T) {
	var table Table
	add(t, &table, Source{Kind: Monitor, Signal: 9, Path: "/x"})
	table.Start(noon)
	var got []int
	for i, state := range []string{"", "", "a", "a", "b", ""} {
		due, _ := table.Due(at(float64(i)), map[string]string{"/x": state})
		got = append(got, len(due))
	}
	if !slices.Equal(got, []int{0, 0, 1, 0, 1, 1}) {
		t.Error(got)
	}
}

func TestWhatIsNoSource(t *testing.T) {
	var table Table
	for _, s := range []Source{{Kind: Timer, Signal: 1}, {Kind: Timer, Signal: 256, Seconds: 1}, {Kind: "x"},
		{Kind: Cron, When: When{60, -1, -1, -1, -1}}, {Kind: Cron, When: When{-1, 24, -1, -1, -1}},
		{Kind: Cron, When: When{-1, -1, -1, -1, 8}}, {Kind: Monitor}, {Kind: RBTimer, Signal: -1, Seconds: 1}, {Kind: Timer, Seconds: -3}} {
		if table.Add(s, noon) == nil {
			t.Errorf("%+v", s)
		}
	}
	if table.Register(256, "") == nil || table.Register(-1, "") == nil {
		t.Error("numbers")
	}
}

// FuzzDue: whatever an application says, nothing is due twice at one moment, and the wait is none
// that spins.
func FuzzDue(f *testing.F) {
	f.Add([]byte(`{"kind":"timer","signal":1,"seconds":0.5}`), int64(1e9))
	f.Add([]byte(`{"kind":"cron","signal":1,"when":{"minute":-5,"hour":-1,"day":-2,"month":-1,"week":7}}`), int64(6e10))
	f.Fuzz(func(t *testing.T, text []byte, ns int64) {
		var s Source
		if json.Unmarshal(text, &s) != nil {
			return
		}
		var table Table
		if table.Add(s, noon) != nil {
			return
		}
		table.Start(noon)
		now := noon.Add(time.Duration(ns))
		due, _ := table.Due(now, none)
		again, _ := table.Due(now, none)
		if len(due) > 1 || len(again) > 0 && s.Seconds >= 1e-9 {
			t.Error(due, again, s)
		}
	})
}
