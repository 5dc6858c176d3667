package sd

import (
	"fmt"
	"strconv"
	"time"
)

// WatchdogInterval is the time between two keep-alives that the unit's WatchdogSec= asks of process
// pid: half of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises; 0 when there is no watchdog or it
// watches another process (WATCHDOG_PID).
func WatchdogInterval(getenv func(string) string, pid int) (time.Duration, error) {
	usec := getenv("WATCHDOG_USEC")
	if usec == "" {
		return 0, nil
	}
	if owner := getenv("WATCHDOG_PID"); owner != "" {
		n, err := strconv.Atoi(owner)
		if err != nil {
			return 0, fmt.Errorf("WATCHDOG_PID=%q is not a process id", owner)
		}
		if n != pid {
			return 0, nil
		}
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(1<<63-1)/int64(time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC=%q is not a number of microseconds", usec)
	}
	return time.Duration(n) * time.Microsecond / 2, nil
}
