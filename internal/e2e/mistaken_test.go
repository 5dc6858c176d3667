package e2e

import (
	"os"
	"os/exec"
	"testing"
)

// TestMistaken: each kind of object that people name for an application, and callables that are
// applications though they look odd.
func TestMistaken(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("python3", "testdata/mistaken.py")
	cmd.Env = append(os.Environ(), "PYTHONPATH=../python", "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=error")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
