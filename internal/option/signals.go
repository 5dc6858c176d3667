package option

import (
	"strconv"
	"strings"
)

const groupSignals Group = "uWSGI's signals"

// SignalSettings is what these rows say about what raises signals; the application has their
// handlers (uwsgi.register_signal).
type SignalSettings struct {
	SignalTimers []SignalTimer
	SignalFiles  []SignalFile
}

// SignalTimer raises a signal, 0 to 255, every so many seconds.
type SignalTimer struct {
	Signal  int
	Seconds int
}

// SignalFile raises a signal when a file has changed.
type SignalFile struct {
	Path   string
	Signal int
}

var signalRows = []Row{
	{Name: "signal-timer", Aliases: []string{"timer", "signal-rbtimer", "rbtimer"}, Kind: Text, Repeat: true,
		Group: groupSignals, Example: "17 60", Set: signalTimer,
		Help: "raise a signal of uwsgi.register_signal() every so many seconds: SIGNAL SECONDS"},
	{Name: "touch-signal", Aliases: []string{"fs-signal"}, Kind: Text, Repeat: true, Group: groupSignals,
		Example: "/srv/mysite/deployed 17", Set: signalFile,
		Help: "raise such a signal when a file is touched: FILE SIGNAL"},
}

func signalTimer(s *Settings, v Value) error {
	hint := "write " + v.Name + " = 17 60: signal 17 every 60 seconds"
	number, seconds, ok := cutBlank(v.Text)
	if !ok {
		return fault(hint, "%q: a signal and seconds are expected", v.Text)
	}
	n, err := raisedNumber(number)
	if err != nil {
		return fault(hint, "%v", err)
	}
	every, err := strconv.Atoi(strings.TrimSpace(seconds))
	if err != nil || every < 1 || every > 1e9 {
		return fault(hint, "%q is no number of seconds", seconds)
	}
	s.SignalTimers = append(s.SignalTimers, SignalTimer{Signal: n, Seconds: every})
	return nil
}

func signalFile(s *Settings, v Value) error {
	hint := "write " + v.Name + " = FILE 17"
	text := strings.TrimSpace(v.Text)
	i := strings.LastIndexAny(text, " \t")
	if i < 0 {
		return fault(hint, "%q: a file and a signal are expected", v.Text)
	}
	n, err := raisedNumber(text[i+1:])
	if err != nil {
		return fault(hint, "%v", err)
	}
	s.SignalFiles = append(s.SignalFiles, SignalFile{Path: strings.TrimSpace(text[:i]), Signal: n})
	return nil
}

func raisedNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 255 {
		return 0, fault("", "%q is no signal: their numbers are 0 to 255", text)
	}
	return n, nil
}
