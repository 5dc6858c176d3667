// Package needs is what tests ask of the machine that they run on.
package needs

import (
	"fmt"
	"os"
	"testing"
)

// Environment variables: SkippedEnv names a file that gets a line for each test that root alone can
// run and that was left out, which `make` sums up; with RootEnv, as in CI, such a test fails.
const (
	SkippedEnv = "UWSGI_SKIPPED"
	RootEnv    = "UWSGI_ROOT_NEEDED"
)

// Root leaves a test out that only root can run.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv(RootEnv) != "" {
		t.Fatal("needs root, and " + RootEnv + " is set")
	}
	note(t.Name())
	t.Skip("needs root")
}

// RootOf does the same in a TestMain whose tests all need it.
func RootOf(suite string) {
	if os.Geteuid() == 0 {
		return
	}
	fmt.Println(suite, "needs root")
	if os.Getenv(RootEnv) != "" {
		os.Exit(1)
	}
	note(suite)
	os.Exit(0)
}

// note writes down what has been left out.
func note(what string) {
	path := os.Getenv(SkippedEnv)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err == nil {
		defer f.Close()
		_, err = fmt.Fprintln(f, what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
