package listen

import "uwsgi/internal/option"

// defaultAddress is option.DefaultAddress; tests take another.
var defaultAddress = option.DefaultAddress

// lacksAddress reports whether an application is named and no address that anybody could reach it
// at, nor is one inherited. A reload that takes the last address out of the configuration is a
// mistake, unless it was the default before.
func (o *opener) lacksAddress(stdin int) bool {
	s := o.set
	if len(s.Sockets) > 0 || len(s.Apps) == 0 || s.NoServer || besideAlone(s) {
		return false
	}
	if stdin < 0 {
		for _, h := range o.pool {
			if h.old != nil && h.old.byDefault {
				return true
			}
		}
		return false
	}
	_, err := inspect(stdin)
	return len(o.pool) == 0 && (err != nil || s.SkipZero)
}

// besideAlone reports whether an instance may be there for what it runs beside workers alone, as in
// uWSGI, which asks for no socket then.
func besideAlone(s *option.Settings) bool {
	return len(s.Spoolers)+len(s.Daemons)+len(s.Crons) > 0
}

// takeDefault has defaultAddress served, as if the configuration had asked for it.
func (o *opener) takeDefault(stdin int) {
	s := *o.set
	s.Sockets = []option.Socket{{Address: defaultAddress, Protocol: "http", Option: "http"}}
	o.set, o.byDefault = &s, true
	if stdin >= 0 {
		o.log("no socket is named: the application is served at http = " + defaultAddress +
			" (--http ADDRESS names another, --socket PATH one for nginx)")
	}
}
