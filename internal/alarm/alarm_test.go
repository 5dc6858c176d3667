package alarm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/testlog"
)

// said is what the alarms of a test did and told.
type said struct{ *testlog.Lines }

func start(t *testing.T, set option.AlarmSettings, change func(*Env)) (*Alarms, said) {
	t.Helper()
	out := said{testlog.New()}
	env := Env{Log: out.Add, Warn: out.Add,
		Signal: func(n int) error { out.Add(fmt.Sprint("signal ", n)); return nil },
		Mule:   func(n int, m string) error { out.Add(fmt.Sprint("mule ", n, " ", m)); return nil }}
	if change != nil {
		change(&env)
	}
	a, err := New(&option.Settings{AlarmSettings: set,
		RequestSettings: option.RequestSettings{SocketTimeout: time.Minute}}, env)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	t.Cleanup(a.Close)
	return a, out
}

func TestRaise(t *testing.T) {
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{{Name: "a", Action: "log", Arg: "look"},
		{Name: "s", Action: "signal", Arg: "7"}, {Name: "m", Action: "mule", Arg: "2"}}, AlarmFreq: time.Hour}, nil)
	a.Raise("a", "one")
	a.Raise("a", "one") // within alarm-freq
	a.Raise("a", "two")
	a.Raise("a", "one") // it is not the last one any more
	a.Raise("nobody", "x")
	a.Raise("s", "x")
	a.Raise("m", strings.Repeat("x", usualSize+1))
	a.Close()
	for _, want := range []string{"ALARM: look one", "signal 7", "mule 2 " + strings.Repeat("x", usualSize)} {
		if !slices.Contains(strings.Split(out.String(), "\n"), want) {
			t.Errorf("%.200q is missing in %.500q", want, out)
		}
	}
	if n := out.Count("ALARM: look one"); n != 2 {
		t.Errorf("one was told %d times", n)
	}
	if x := a.Stats()[0]; x.Raised != 3 || x.Suppressed != 1 || x.Name != "a" ||
		x.Action != "log" || x.LastRaised == 0 {
		t.Errorf("%+v", x)
	}
}

// TestSlow: who raises an alarm does not wait for its action; what does not fit in is counted, and
// told once the action is done.
func TestSlow(t *testing.T) {
	begun, held := make(chan bool, 1), make(chan bool)
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{{Name: "s", Action: "signal", Arg: "1"},
		{Name: "quick", Action: "log"}}}, func(e *Env) {
		e.Signal = func(int) error {
			select {
			case begun <- true:
			default:
			}
			<-held
			return nil
		}
	})
	a.Raise("s", "0")
	<-begun
	for n := range backlog + 5 {
		a.Raise("s", fmt.Sprint(n))
	}
	if x := a.Stats()[0]; x.Raised != backlog+1 || x.Dropped != 5 {
		t.Errorf("%+v", x)
	}
	a.Raise("quick", "another one is not held up")
	out.Wait("ALARM: another one is not held up")
	close(held)
	out.Wait("[uwsgi-alarm] alarm s: 5 messages were dropped")
}

func TestLine(t *testing.T) {
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{{Name: "a", Action: "log", Arg: "a"},
		{Name: "b", Action: "log", Arg: "b"}}, AlarmLogs: []option.AlarmLog{{Alarms: []string{"a"}, Pattern: "boom"},
		{Alarms: []string{"a"}, Pattern: "not this", Not: true}, {Alarms: []string{"b"}, Pattern: "boom"}}}, nil)
	if !a.HeedsLog() {
		t.Error("it does not heed the log")
	}
	a.Line("a boom")
	a.Line("a boom, not this")
	a.Line("nothing")
	a.Close()
	if a, b := out.Count("ALARM: a a boom"), out.Count("ALARM: b a boom"); a != 2 || b != 1 {
		t.Errorf("a %d times, b %d times:\n%s", a, b, out)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{{Name: "a", Action: "cmd",
		Arg: "cat > it; echo $WHO >> it"},
		{Name: "fails", Action: "cmd", Arg: "exit 3"}, {Name: "deaf", Action: "cmd", Arg: "exec <&-; true"},
		{Name: "long", Action: "cmd", Arg: "echo $$ > pid.new; mv pid.new pid; sleep 600; :"}}}, func(e *Env) {
		e.Dir = func() string { return dir }
		e.Environ = func() []string { return append(os.Environ(), "WHO=me") }
	})
	a.Raise("a", "line\n")
	a.Raise("fails", "x")
	out.Wait(`[uwsgi-alarm] alarm fails: command "exit 3" exited with non-zero code: 3`)
	a.Raise("deaf", strings.Repeat("x", usualSize))
	a.Raise("long", "x")
	for { // until it runs: the end below must end it
		if _, err := os.Stat(filepath.Join(dir, "pid")); err == nil {
			break
		}
		time.Sleep(time.Millisecond) // why: nobody tells of a file
	}
	a.Close()
	if got, err := os.ReadFile(filepath.Join(dir, "it")); string(got) != "line\nme\n" {
		t.Errorf("%q, %v", got, err)
	}
	if n := out.Count("[uwsgi-alarm] alarm deaf"); n > 0 {
		t.Error(out)
	}
}

// TestSocket: what processes send.
func TestSocket(t *testing.T) {
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{{Name: "a", Action: "log"}}}, nil)
	for _, packet := range []string{"nonsense", "nobody\x00x", "a\x00hello\x00there"} {
		if _, err := a.File().Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	out.Wait("ALARM: hello\x00there")
}

func TestDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{{Name: "a", Action: "log"}},
		AlarmFDs: []option.AlarmFD{{Alarm: "a", FD: int(r.Fd()), Bytes: 8, Message: "it is ready"}}}, nil)
	w.Write([]byte("12345678"))
	out.Wait("ALARM: it is ready")
	w.Close()
	out.Wait("[uwsgi-alarm] alarm-fd: descriptor")
	if n := out.Count("ALARM:"); n != 1 {
		t.Error(out)
	}
}

func TestNone(t *testing.T) {
	a, err := New(&option.Settings{}, Env{})
	if a != nil || err != nil {
		t.Fatal(a, err)
	}
	a.Start()
	a.Raise("a", "x")
	if a.HeedsLog() || a.File() != nil || a.Stats() != nil {
		t.Error("no alarms are some")
	}
	a.Close()
}
