package metrics

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"uwsgi/internal/area"
	"uwsgi/internal/area/areatest"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
)

func configured(t *testing.T, lines ...string) *option.Settings {
	t.Helper()
	s := option.Default()
	s.Processes, s.Threads = 2, 1
	row, _ := option.Lookup("metric")
	for _, line := range lines {
		if err := row.Set(s, option.Value{Name: "metric", Text: line, Given: true}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func opened(t *testing.T, keeper *area.Keeper, s *option.Settings, restored map[string]int64) (*Set, *area.Area) {
	t.Helper()
	set, err := New(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	areas, err := keeper.Open([]area.Spec{set.Spec(keeper.Newest(Kind, Kind), restored)})
	if err != nil {
		t.Fatal(err)
	}
	return set, areas[0]
}

// TestAgreement: what Go lays out C finds, and what C writes Go reads.
func TestAgreement(t *testing.T) {
	program := areatest.Build(t, "testdata/change.c", Kind, append(areatest.Sanitized, "-fsanitize=address")...)
	var keeper area.Keeper
	defer keeper.Close()
	set, a := opened(t, &keeper, configured(t, "foo", "name=foo.bar,initial_value=-9", "name=al,type=alias,alias=foo",
		"name=sum,collector=sum,children=foo;foo.bar", "name=rss_size,type=gauge"), nil)
	run := func(args ...string) string {
		t.Helper()
		out, err := areatest.Command(program, a, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, c := range []struct{ name, how, by, want string }{
		{"foo", "0", "5", "5"}, {"foo", "1", "3", "8"}, {"foo.bar", "2", "1", "-10"}, {"al", "0", "1", "collected 8"},
		{"sum", "0", "1", "collected 0"}, {"rss_size", "5", "77", "77"}, {"fo", "0", "1", "none"}, {"", "0", "1", "none"},
		{"foo.bar.", "0", "1", "none"}, {"worker.2.core.0.requests", "0", "1", "collected 0"}, {"zz", "0", "1", "none"},
	} {
		if got := run(c.name, c.how, c.by); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
	for _, m := range set.list {
		if got := run(m.name, "1", "0"); got == "none" {
			t.Errorf("C does not find %s", m.name)
		}
	}
	shown := (&Collector{set: set, area: a}).Show(&stats.Snapshot{Workers: []stats.Worker{{Requests: 3},
		{Requests: 4}}})
	for name, want := range map[string]int64{"foo": 8, "al": 8, "foo.bar": -10, "rss_size": 77, "worker.0.requests": 7,
		"worker.2.requests": 4} {
		if i := slices.IndexFunc(shown, func(m stats.Metric) bool { return m.Name == name }); i < 0 ||
			shown[i].Value != want {
			t.Errorf("%s is not %d: %v", name, want, shown)
		}
	}
}

// TestCollected: what the collectors make of each other, in uWSGI's order; one that comes less
// often waits for its round.
func TestCollected(t *testing.T) {
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, []byte("one 2\t-33x\n4"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := configured(t, "name=foo,initial_value=10", "name=acc,collector=accumulator,children=foo",
		"name=avg,collector=avg,children=foo;acc", "name=mul,collector=multiplier,children=foo,arg1n=3,initial_value=100",
		"name=add,collector=adder,children=foo,arg1n=3", "name=file,collector=file,arg1="+file+",arg1n=2",
		"name=past,collector=file,arg1="+file+",arg1n=9", "name=gone,collector=file,arg1="+file+".gone",
		"name=slow,collector=accumulator,children=foo,freq=2", "name=al,type=alias,alias=acc")
	s.MetricsDir = t.TempDir()
	var keeper area.Keeper
	defer keeper.Close()
	set, a := opened(t, &keeper, s, map[string]int64{"core.total_tx": 1000, "core.total_rss": 1000})
	said := []string{}
	synctest.Test(t, func(t *testing.T) {
		c := Start(set, a, s, map[string]int64{"core.total_tx": 1000, "core.total_rss": 1000},
			func(text string) { said = append(said, text) }, nil)
		for range 3 {
			c.Feed(&stats.Snapshot{Workers: []stats.Worker{{TX: 5, RSS: 7}}})
			synctest.Wait()
		}
		c.Stop()
		time.Sleep(time.Second) // why: of synctest, whose clock it moves
		got := map[string]int64{}
		for _, m := range c.Show(&stats.Snapshot{Workers: []stats.Worker{{TX: 6, RSS: 8}}}) {
			got[m.Name] = m.Value
		}
		for name, want := range map[string]int64{"acc": 30, "avg": 20, "mul": 130, "add": 13,
			"file": -33, "past": 0, "gone": 0,
			"slow": 20, "al": 30, "core.total_tx": 1006, "core.total_rss": 8, "rss_size": 8} {
			if got[name] != want {
				t.Errorf("%s is %d, not %d", name, got[name], want)
			}
		}
	})
	if len(said) != 1 || !strings.Contains(said[0], "metric = gone: ") {
		t.Errorf("%q", said)
	}
	for name, want := range map[string]string{"acc": "30\n", "core.total_tx": "1005\n", "al": "30\n"} {
		if text, err := os.ReadFile(filepath.Join(s.MetricsDir, name)); string(text) != want {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
}

// TestCarriedOver: another set of metrics goes on with the values of the one before.
func TestCarriedOver(t *testing.T) {
	var keeper area.Keeper
	defer keeper.Close()
	_, before := opened(t, &keeper, configured(t, "name=foo,initial_value=3", "old"), nil)
	_, same := opened(t, &keeper, configured(t, "name=foo,initial_value=4", "old"), nil)
	_, after := opened(t, &keeper, configured(t, "a", "name=foo,initial_value=5", "name=z,initial_value=6"), nil)
	if same != before || after == before {
		t.Error("the same names are the same area, others another one")
	}
	got := values(after)
	if got["foo"] != 3 || got["z"] != 6 || got["a"] != 0 {
		t.Errorf("%v", got)
	}
	if _, ok := got["old"]; ok {
		t.Error("a metric that is not configured any more is there")
	}
}

func TestWrong(t *testing.T) {
	row, _ := option.Lookup("metric")
	for line, want := range map[string]string{
		"name=x y": `"x y" is no name`, "..": `".." is no name`, "oid=1": `"" is no name`, "name=x,oid=1.a": "no oid",
		"name=x,collector=nope": "no collector", "name=x,collector=func,arg1=f": "no collector", "name=x,children=y": "no metric",
		"name=x,type=alias": "alias of nothing", "name=x,type=alias,alias=y": "no metric", "name=x,initial_value=z": "no number",
		"name=x,collector=file": "no file", "name=x,nokey=1": "is no name",
	} {
		err := row.Set(option.Default(), option.Value{Name: "metric", Text: line, Given: true})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := New(configured(t, "name=x,children=worker.9.requests,collector=sum"), 1); err == nil {
		t.Error("there is no worker 9")
	}
}

// TestThresholds: an alarm is raised while a metric has so much, not sooner again than it may; what
// is reset goes on from there, an application's metric, too.
func TestThresholds(t *testing.T) {
	s := configured(t, "name=app,initial_value=5", "name=acc,collector=accumulator,children=app")
	row, _ := option.Lookup("metric-threshold")
	for _, line := range []string{"key=app,value=5,alarm=a",
		"key=app,value=5,alarm=seldom,rate=2,msg=so much, once more",
		"key=app,value=6,alarm=never", "key=acc,value=10,reset=-1", "key=app,value=7,alarm=late,reset=2"} {
		if err := row.Set(s, option.Value{Name: "metric-threshold", Text: line, Given: true}); err != nil {
			t.Fatal(err)
		}
	}
	var keeper area.Keeper
	defer keeper.Close()
	set, a := opened(t, &keeper, s, nil)
	var raised []string
	var got []int64
	synctest.Test(t, func(t *testing.T) {
		c := Start(set, a, new(option.Settings), nil, func(text string) { t.Error(text) },
			func(alarm, message string) { raised = append(raised, alarm+": "+message) })
		for i := range 3 {
			if i == 2 {
				v, at := [8]byte{7}, c.valuesAt()+8*int64(set.byName["app"].value)
				if _, err := a.File.WriteAt(v[:], at); err != nil {
					t.Error(err)
				}
			}
			c.Feed(&stats.Snapshot{})
			synctest.Wait()
			values, _ := c.read()
			got = append(got, values[set.byName["acc"].value])
			time.Sleep(time.Second) // why: of synctest, whose clock it moves
		}
		values, _ := c.read()
		got = append(got, values[set.byName["app"].value])
		c.Stop()
	})
	if want := []int64{5, -1, 6, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	if want := []string{"a: app", "seldom: so much, once more", "a: app", "a: app",
		"seldom: so much, once more", "never: app",
		"late: app"}; !slices.Equal(raised, want) {
		t.Errorf("%q", raised)
	}
	s.MetricThresholds[0].Metric = "worker.9.requests"
	if _, err := New(s, 1); err == nil || !strings.Contains(err.Error(), `no metric "worker.9.requests"`) {
		t.Error(err)
	}
	for line, want := range map[string]string{"key=x": "needs a metric and a value", "value=1": "needs a metric",
		"key=x,value=y": "value=y is no number", "key=x,value=1": "nothing happens", "key=x,value=1,alarm=a,rate=-1": "no time",
		"wrong=1,key=x,value=1,alarm=a": "no key"} {
		if err := row.Set(option.Default(), option.Value{Name: "metric-threshold", Text: line}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
