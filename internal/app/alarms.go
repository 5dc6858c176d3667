package app

import (
	"os"

	"uwsgi/internal/alarm"
)

// newAlarms makes the alarms of a deployment, before its log, which raises some of them.
func (in *instance) newAlarms(d *deployment) (err error) {
	d.alarms, err = alarm.New(d.cfg.Settings, alarm.Env{
		Log:  func(text string) { in.log().Alarm(text) },
		Warn: func(text string) { in.log().AlarmFailed(text) },
		// through functions: there is no supervisor yet
		Signal:     func(n int) error { return in.sup.RaiseSignal(n) },
		Mule:       func(n int, message string) error { return in.sup.MuleMessage(n, message) },
		Credential: d.ident.Credential,
		Environ:    func() []string { return d.env(in) },
		Dir:        func() string { return in.reach(d.dir) },
		Output:     func() (*os.File, error) { return in.log().AlarmOutput() },
	})
	return err
}
