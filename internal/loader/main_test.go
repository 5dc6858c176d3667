package loader_test

import (
	"os"
	"testing"

	"uwsgi/internal/loader/loadertest"
)

func TestMain(m *testing.M) {
	loadertest.Main()
	os.Exit(m.Run())
}
