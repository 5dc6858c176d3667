package chaos

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// full says that the counts of the issue are wanted, not those of a quick run.
var full = os.Getenv("UWSGI_CHAOS") == "full"

// scale chooses a count.
func scale(short, whole int) int {
	if full {
		return whole
	}
	return short
}

// tally counts the requests of all tests.
var tally struct{ sent, right, onPurpose, lost, passed, failed atomic.Int64 }

func TestMain(m *testing.M) {
	// Real faults are injected: control groups, mounts, other users.
	needs.RootOf("chaos")
	harness.Main(runner{m})
}

// runner prints the sums behind the tests.
type runner struct{ m *testing.M }

func (r runner) Run() int {
	code := r.m.Run()
	t := &tally
	fmt.Printf("\n%d requests sent: %d answered right, %d answered with an error on purpose, %d "+
		"lost\n%d passed, %d failed\n",
		t.sent.Load(), t.right.Load(), t.onPurpose.Load(), t.lost.Load(), t.passed.Load(), t.failed.Load())
	return code
}
