package e2e

import (
	"regexp"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// The statistics and `uwsgi list` show how the last reload went, and what is open.
func TestStatsOfReloads(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("one"))
	s.Start("--http", addr, "--module", "app", "--stats", s.Path("stats"), "--shared-socket", harness.Addr(t),
		"--http-socket", "=0")
	kept := harness.Dial(t, addr)
	harness.Ask(t, kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	s.Log.Wait(t, `GET / => generated`) // it is counted
	doc := statsOf(t, s.Path("stats"))
	worker := doc["workers"].([]any)[0].(map[string]any)
	if doc["last_reload"] != nil || doc["reloads"] != 0.0 || doc["generation"] != 1.0 || worker["generation"] != 1.0 ||
		worker["connections"] != 1.0 {
		t.Errorf("before a reload: %v", doc)
	}
	if sockets := doc["sockets"].([]any); sockets[0].(map[string]any)["shared"] != 0.0 ||
		sockets[1].(map[string]any)["shared"] != 1.0 {
		t.Errorf("sockets: %v", sockets)
	}
	listed := func(pattern string) {
		t.Helper()
		out, err := s.Command("list").CombinedOutput()
		if err != nil || !regexp.MustCompile(`(?m)`+pattern).Match(out) {
			t.Errorf("no %s: %s, %v", pattern, out, err)
		}
	}
	listed(` active +` + itoa(s.PID) + ` +1/1 +0 +1 +0 +0 +0\.0ms +1 +[\d.]+ +0 `) // one connection, one request, no 503

	s.Write("app.py", "import nothing_of_this_name\n")
	s.Allow("nothing_of_this_name", "unable to load app 0", "GAME OVER", "reload failed")
	s.Signal(syscall.SIGHUP)
	s.Log.Wait(t, `the old generation serves on`)
	listed(` active \(reload failed\) +` + itoa(s.PID) + ` `)
	reload := statsOf(t, s.Path("stats"))["last_reload"].(map[string]any)
	if reload["error"] == "" || reload["at"] == 0.0 || reload["reason"] == "" {
		t.Errorf("after one that failed: %v", reload)
	}

	s.Write("app.py", version("two"))
	s.Reload()
	doc = statsOf(t, s.Path("stats"))
	if reload := doc["last_reload"].(map[string]any); reload["error"] != "" || doc["reloads"] != 1.0 ||
		doc["generation"] != 3.0 {
		t.Errorf("after one that went well: %v, %v, generation %v", reload, doc["reloads"], doc["generation"])
	}
	listed(` active +` + itoa(s.PID) + ` `)
}
