package option

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const groupAlarms Group = "Alarms"

// MaxAlarmMessage is the most that alarm-msg-size can be: one datagram.
const MaxAlarmMessage = 32 << 10

// AlarmSettings is what these rows say about alarms.
type AlarmSettings struct {
	Alarms        []Alarm
	AlarmFreq     time.Duration // the same message is not sent again sooner
	AlarmMsgSize  int           // bytes; 0 = 8192
	AlarmFDs      []AlarmFD
	AlarmSegfault []string // names
	AlarmBacklog  []string
	AlarmLogs     []AlarmLog // in their order
}

// Alarm is a way to tell somebody. Action is one of AlarmActions.
type Alarm struct {
	Name, Action, Arg string
	Origin            Origin
}

// AlarmFD raises an alarm with Message when descriptor FD of the supervisor has something to read,
// and reads Bytes of it.
type AlarmFD struct {
	Alarm, Message string
	FD, Bytes      int
}

// AlarmLog raises alarms when a line of the log matches; Not ends the search for that line.
type AlarmLog struct {
	Alarms  []string
	Pattern string
	Not     bool
}

// AlarmActions are what an alarm can do.
var AlarmActions = []string{"cmd", "log", "signal", "mule", "curl"}

var alarmRows = []Row{
	{Name: "alarm", Example: "ops cmd:mail -s uwsgi root", Kind: Text, Repeat: true, Group: groupAlarms, Set: addAlarm,
		Help: "a way to tell somebody, NAME ACTION:ARG: cmd:COMMAND (the message is its input), log:TEXT, signal:N, " +
			"mule:N, curl:URL;method=PUT;… (http, https, smtp with mail_to=)"},
	{Name: "alarm-freq", Kind: Seconds, Group: groupAlarms,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.AlarmFreq }),
		Help: "an alarm is not raised again with the same message within this time (3)"},
	{Name: "alarm-msg-size", Unset: "8192", Example: "16384", Kind: Bytes, Group: groupAlarms, Set: alarmMsgSize,
		Help: "longest message of an alarm (8192)"},
	{Name: "alarm-segfault", Aliases: []string{"segfault-alarm"}, Example: "ops", Kind: Text, Repeat: true,
		Group: groupAlarms, Set: list(func(s *Settings) *[]string { return &s.AlarmSegfault }),
		Help: "raise this alarm when a process has crashed"},
	{Name: "alarm-backlog", Aliases: []string{"backlog-alarm", "lq-alarm", "alarm-lq", "alarm-listen-queue",
		"listen-queue-alarm"}, Example: "ops", Kind: Text, Repeat: true, Group: groupAlarms,
		Set:  list(func(s *Settings) *[]string { return &s.AlarmBacklog }),
		Help: "raise this alarm when the queue of a socket is full"},
	{Name: "alarm-fd", Example: "ops 7:8 out of memory", Kind: Text, Repeat: true, Group: groupAlarms, Set: alarmFD,
		Help: "raise an alarm when an inherited descriptor can be read: NAME FD[:BYTES] MESSAGE"},
	{Name: "log-alarm", Aliases: []string{"alarm-log"}, Example: "ops HARAKIRI ON WORKER", Kind: Text, Repeat: true,
		Group: groupAlarms, Set: alarmLog(false),
		Help: "raise alarms when a log line matches: NAME[,NAME] REGEXP"},
	{Name: "not-log-alarm", Aliases: []string{"not-alarm-log"}, Example: "ops ^DEBUG", Kind: Text, Repeat: true,
		Group: groupAlarms, Set: alarmLog(true),
		Help: "a line that matches is not looked at by the log-alarm after this one: NAME[,NAME] REGEXP"},
	{Name: "alarm-cheap", Kind: Text, Group: groupAlarms, Standing: NotNeeded,
		Note: "an alarm has no thread of its own", Help: "alarms share the main alarm thread"},
}

func addAlarm(s *Settings, v Value) error {
	hint := "write " + v.Name + " = NAME cmd:COMMAND"
	name, rest, ok := cutBlank(v.Text)
	action, arg, colon := strings.Cut(rest, ":")
	switch {
	case !ok || !colon:
		return fault(hint, "%q is not NAME ACTION:ARG", v.Text)
	case !slices.Contains(AlarmActions, action):
		return fault("write one of "+strings.Join(AlarmActions, ", "), "there is no action %q for an alarm", action)
	case slices.ContainsFunc(s.Alarms, func(a Alarm) bool { return a.Name == name }):
		return fault("", "there is an alarm %q already", name)
	}
	switch action {
	case "cmd":
		if strings.TrimSpace(arg) == "" {
			return fault(hint, "the command is missing")
		}
	case "signal", "mule":
		n, after, ok := number(arg)
		if !ok || after != "" || n < 0 || action == "signal" && n > 255 {
			return fault("write "+v.Name+" = "+name+" "+action+":1", "%q is no number of a %s", arg, action)
		}
		arg = strconv.FormatInt(n, 10)
	case "curl":
		if _, err := ParseCurl(arg); err != nil {
			return &Error{Err: err, Hint: "write " + v.Name + " = " + name + " curl:https://HOST/PATH"}
		}
	}
	s.Alarms = append(s.Alarms, Alarm{Name: name, Action: action, Arg: arg, Origin: v.Origin})
	return nil
}

func alarmMsgSize(s *Settings, v Value) error {
	err := sizeBytes(func(s *Settings) *int { return &s.AlarmMsgSize })(s, v)
	if s.AlarmMsgSize > MaxAlarmMessage && survivable(err) {
		s.AlarmMsgSize = MaxAlarmMessage
		return warning("", "it is read as %d, the most there can be", MaxAlarmMessage)
	}
	return err
}

// alarmFD reads "NAME FD[:BYTES] MESSAGE".
func alarmFD(s *Settings, v Value) error {
	hint := "write " + v.Name + " = NAME FD MESSAGE"
	name, rest, ok := cutBlank(v.Text)
	which, message, more := cutBlank(rest)
	if !ok || !more || message == "" {
		return fault(hint, "%q is not NAME FD[:BYTES] MESSAGE", v.Text)
	}
	fdText, size, sized := strings.Cut(which, ":")
	fd, err := strconv.Atoi(fdText)
	if err != nil || fd < 0 {
		return fault(hint, "%q is no descriptor number", fdText)
	}
	bytes := 1
	if sized {
		if bytes, err = strconv.Atoi(size); err != nil || bytes < 0 || bytes > 1<<20 {
			return fault(hint, "%q is no number of bytes", size)
		}
	}
	s.AlarmFDs = append(s.AlarmFDs, AlarmFD{Alarm: name, FD: fd, Bytes: max(1, bytes), Message: message})
	return nil
}

// alarmLog reads "NAME[,NAME] REGEXP".
func alarmLog(not bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		names, pattern, ok := cutBlank(v.Text)
		if !ok || pattern == "" {
			return fault("write "+v.Name+" = NAME REGEXP", "the name of an alarm and a regular expression are expected")
		}
		if _, err := CompilePattern(pattern); err != nil {
			return leftOut(err)
		}
		s.AlarmLogs = append(s.AlarmLogs, AlarmLog{Alarms: strings.Split(names, ","), Pattern: pattern, Not: not})
		return nil
	}
}

// HasAlarm reports whether there is an alarm of that name.
func (s *AlarmSettings) HasAlarm(name string) bool {
	return slices.ContainsFunc(s.Alarms, func(a Alarm) bool { return a.Name == name })
}
