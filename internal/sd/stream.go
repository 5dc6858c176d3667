package sd

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// JournalStream reports whether descriptor fd is the journal's: value is $JOURNAL_STREAM,
// "device:inode" of what systemd connected (systemd.exec(5)). A descriptor redirected since does
// not match.
func JournalStream(value string, fd int) bool {
	var dev, ino uint64
	if n, err := fmt.Sscanf(value, "%d:%d", &dev, &ino); n != 2 || err != nil {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	return uint64(st.Dev) == dev && st.Ino == ino
}

// Booted reports whether systemd is the init of this system: sd_booted(3).
func Booted() bool {
	st, err := os.Lstat("/run/systemd/system")
	return err == nil && st.IsDir()
}

// Unit is the service that the process belongs to, from its control group (/proc/PID/cgroup as
// text): "uwsgi@mysite.service"; "" if none.
func Unit(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "0::") && !strings.Contains(line, ":name=systemd:") {
			continue
		}
		parts := strings.Split(line, "/")
		for i := len(parts) - 1; i > 0; i-- {
			if strings.HasSuffix(parts[i], ".service") || strings.HasSuffix(parts[i], ".scope") {
				return parts[i]
			}
		}
	}
	return ""
}
