package units

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"uwsgi/internal/sd"
)

// notUsed begins what is said of a file that the generator leaves out.
const notUsed = "not used: "

// report says what is wrong, after a prefix: to the journal where it is up (systemctl
// daemon-reload), else to the kernel's log, which the journal takes in later, else to standard
// error.
func report(prefix string, problems ...Problem) {
	if len(problems) == 0 {
		return
	}
	journal, err := sd.OpenJournal("", sd.Field{Name: "SYSLOG_IDENTIFIER", Value: "uwsgi-generator"})
	if err == nil {
		defer journal.Close()
	}
	kmsg, _ := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if kmsg != nil {
		defer kmsg.Close()
	}
	for _, p := range problems {
		// journalctl -u uwsgi@NAME shows an entry of root's that names the unit so.
		unit := Instance{Name: InstanceName(strings.TrimSuffix(filepath.Base(p.File), filepath.Ext(p.File)))}.Service()
		text := prefix + p.Error()
		if journal != nil && journal.Send(sd.PriErr, text, sd.Field{Name: "OBJECT_SYSTEMD_UNIT", Value: unit}) {
			continue
		}
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			if kmsg != nil {
				if _, err := fmt.Fprintf(kmsg, "<3>uwsgi-generator: %s\n", line); err == nil {
					continue
				}
			}
			fmt.Fprintf(os.Stderr, "<3>uwsgi-generator: %s\n", line)
		}
	}
}
