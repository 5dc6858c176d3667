package crash

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain panics in a goroutine where the environment says so.
func TestMain(m *testing.M) {
	switch os.Getenv("CRASH_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "handled":
		Handle(func(text string) { os.Stderr.WriteString("handled: " + text) })
	case "stuck":
		Handle(func(string) { select {} })
	}
	Go(func() {
		none := map[string]map[string]int{}
		none["inner"]["x"] = 1
	})
	select {}
}

func TestGuard(t *testing.T) {
	for role, want := range map[string]string{"bare": "panic: assignment to entry in nil map",
		"handled": "handled: panic: assignment", "stuck": "panic: assignment"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "CRASH_TEST_ROLE="+role)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != Status {
				t.Errorf("%v", err)
			}
			if text := string(out); !strings.HasPrefix(text, want) || !strings.Contains(text, "crash_test.go") {
				t.Errorf("said %s", out)
			}
		})
	}
}
