package e2e

import (
	"os"
	"testing"

	"uwsgi/internal/e2e/harness"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == sandboxed {
		sandbox(os.Args[2:])
	}
	harness.Main(m)
}
