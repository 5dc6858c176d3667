package option

import (
	"reflect"
	"strings"
	"testing"
)

func TestAlarmRows(t *testing.T) {
	s := Default()
	for _, pair := range [][3]string{ // name, value, what the complaint contains
		{"alarm", "a cmd:mail -s 'x: y' root", ""}, {"alarm", "l log:", ""}, {"alarm", "a log:", "already"},
		{"alarm", "s signal:7", ""}, {"alarm", "x signal:256", "no number"}, {"alarm", "x mule:", "no number"},
		{"alarm", "x", "not NAME ACTION:ARG"}, {"alarm", "x log", "not NAME ACTION:ARG"}, {"alarm", "x xmpp:a", "no action"},
		{"alarm", "x cmd: ", "command is missing"}, {"alarm", "c curl:https://x.example/;method=PUT", ""},
		{"alarm", "x curl:ftp://x.example/", "none of http"}, {"alarm", "x curl:", "URL is missing"},
		{"alarm", "x curl:smtp://x.example", "mail_to"}, {"alarm", "x curl:http://x.example;wrong=1", "none of url"},
		{"alarm", "x curl:http://x.example;timeout=soon", "no number of seconds"},
		{"alarm-fd", "a 7:8 eight bytes", ""}, {"alarm-fd", "a 7", "not NAME FD"}, {"alarm-fd", "a x y", "no descriptor"},
		{"alarm-fd", "a 7:x y", "no number of bytes"},
		{"log-alarm", "a,l ^Fatal .*", ""}, {"not-log-alarm", "a skip", ""}, {"log-alarm", "a", "expected"},
		{"log-alarm", "a (", "missing"}, {"alarm-msg-size", "1M", "the most there can be"},
		{"lq-alarm", "a", ""}, {"segfault-alarm", "l", ""},
	} {
		row, _ := Lookup(pair[0])
		err := row.Set(s, Value{Name: pair[0], Text: pair[1], Given: true})
		switch {
		case pair[2] == "" && err != nil:
			t.Errorf("%v: %v", pair, err)
		case pair[2] != "" && (err == nil || !strings.Contains(err.Error(), pair[2])):
			t.Errorf("%v: %v", pair, err)
		}
	}
	s.AlarmFreq = 0
	want := AlarmSettings{
		Alarms: []Alarm{{Name: "a", Action: "cmd", Arg: "mail -s 'x: y' root"}, {Name: "l", Action: "log"},
			{Name: "s", Action: "signal", Arg: "7"}, {Name: "c", Action: "curl", Arg: "https://x.example/;method=PUT"}},
		AlarmFDs: []AlarmFD{{Alarm: "a", FD: 7, Bytes: 8, Message: "eight bytes"}}, AlarmMsgSize: MaxAlarmMessage,
		AlarmLogs: []AlarmLog{{Alarms: []string{"a", "l"}, Pattern: "^Fatal .*"},
			{Alarms: []string{"a"}, Pattern: "skip", Not: true}},
		AlarmBacklog: []string{"a"}, AlarmSegfault: []string{"l"},
	}
	if !reflect.DeepEqual(s.AlarmSettings, want) {
		t.Errorf("%+v\nwant %+v", s.AlarmSettings, want)
	}
}
