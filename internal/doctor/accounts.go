package doctor

import (
	"errors"

	"uwsgi/internal/listen"
	"uwsgi/internal/option"
)

// accounts looks users and groups up.
func (w *World) accounts() {
	s := w.Settings
	cred, err := listen.Resolve(s.UID, s.GID, s.AddGIDs, s.NoInitgroups)
	w.cred = cred
	for _, err := range []error{err, listen.CheckOwner(s)} {
		var e *option.Error
		if errors.As(err, &e) {
			w.note(Fatal, e.Name, e.Value, e.Err,
				"write one that is in /etc/passwd or /etc/group, or create it (useradd, groupadd)")
		}
	}
	if err != nil || s.UID != "" && cred != nil && cred.Uid == 0 {
		w.cred = nil
	}
}
