package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"uwsgi/internal/access"
	"uwsgi/internal/sd"
)

// complain prints every fault there is and gives the exit status for them.
func complain(w io.Writer, err error) int {
	for _, e := range faults(err) {
		fmt.Fprintln(w, "uwsgi:", e)
	}
	return exitError
}

// faults takes a joined error apart, and says of each that is about rights what stands in the way.
func faults(err error) []error {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		return []error{access.Explain(err, nil)}
	}
	var out []error
	for _, e := range many.Unwrap() {
		out = append(out, faults(e)...)
	}
	return out
}

// settleTime bounds the wait for journald, which looks up who sent an entry while it reads it.
const settleTime = 500 * time.Millisecond

// startFailed says why the instance of that name serves nothing: on standard error or, where that
// is the journal's, there, with the fields by which it is found and explained; and in the line that
// `systemctl status` shows. It gives the exit status.
func startFailed(std Streams, name string, err error) int {
	var lines []string
	for _, e := range faults(err) {
		lines = append(lines, e.Error())
	}
	if n, e := sd.NewNotifier(sd.NotifySocket()); e == nil {
		_ = n.Failed(strings.Join(lines, "; "), 0) // the log has it too
		n.Close()
	}
	if !sd.JournalStream(os.Getenv("JOURNAL_STREAM"), int(std.Err.Fd())) {
		return complain(std.Err, err)
	}
	j, e := sd.OpenJournal("", sd.Field{Name: "SYSLOG_IDENTIFIER", Value: "uwsgi"},
		sd.Field{Name: "UWSGI_APP", Value: name})
	if e != nil {
		return complain(std.Err, err)
	}
	defer j.Close()
	for i, line := range lines {
		fields := []sd.Field{{Name: "UWSGI_EVENT", Value: "start.failed"}}
		if i == len(lines)-1 { // what is explained stands above the explanation
			fields = append(fields, sd.Field{Name: "MESSAGE_ID", Value: sd.MessageStartFailed})
		}
		if !j.Send(sd.PriErr, line, fields...) {
			fmt.Fprintln(std.Err, "<3>uwsgi:", line)
		}
	}
	j.Settle(settleTime)
	return exitError
}
