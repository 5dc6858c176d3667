package e2e

import (
	"testing"

	"uwsgi/internal/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
