package app

import (
	"os"
	"strings"
	"time"

	"uwsgi/internal/supervisor"
)

// slowImportEnv is for our tests, which do not wait for half a minute: TELL,STACKS, as durations.
const slowImportEnv = "_UWSGI_SLOW_IMPORT"

// slowImport is when the log tells of an import, zero as usual.
func slowImport() (s supervisor.SlowImport) {
	tell, stacks, ok := strings.Cut(os.Getenv(slowImportEnv), ",")
	if !ok {
		return s
	}
	s.Tell, _ = time.ParseDuration(tell)
	s.Stacks, _ = time.ParseDuration(stacks)
	return s
}
