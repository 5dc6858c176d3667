// Package internal_test holds the layout of the program to its design: imports point one way, and
// cgo stands in one place.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is which of our packages each one imports, besides those below its own folder: no other,
// and each of these. Imports point from the composition root down to packages that know nothing of
// us.
var allowed = map[string][]string{
	"cmd/uwsgi":                  {"internal/app"},
	"cmd/uwsgi-redis":            {"internal/redis/agent"},
	"cmd/uwsgi-worker":           {"internal/dataplane", "internal/proto", "internal/sys"},
	"internal/app":               {"*"},
	"internal/option":            {},
	"internal/request":           {},
	"internal/escape":            {},
	"internal/crash":             {},
	"internal/scoreboard":        {"internal/escape", "internal/sys"},
	"internal/sd":                {"internal/crash", "internal/sys"},
	"internal/sys":               {},
	"internal/backlog":           {},
	"internal/alarm":             {"internal/crash", "internal/option", "internal/stats", "internal/sys"},
	"internal/area":              {"internal/privilege", "internal/sys"},
	"internal/cache":             {"internal/area", "internal/option", "internal/stats"},
	"internal/area/areatest":     {"internal/area"},
	"internal/python/pythontest": {},
	"internal/queue":             {"internal/area", "internal/option", "internal/privilege"},
	"internal/sharedarea":        {"internal/area", "internal/option"},
	"internal/metrics":           {"internal/area", "internal/crash", "internal/option", "internal/stats"},
	"internal/privilege":         {"internal/crash"},
	"internal/access":            {"internal/privilege"},
	"internal/doctor":            {"internal/access", "internal/listen", "internal/logging", "internal/option"},
	"internal/keeper": {"internal/attached", "internal/control", "internal/crash", "internal/hooks",
		"internal/listen", "internal/option", "internal/pidfile", "internal/privilege",
		"internal/sys"},
	"internal/wire":    {"internal/option"},
	"internal/config":  {"internal/option"},
	"internal/manual":  {"internal/config", "internal/option"},
	"internal/cheaper": {"internal/option"},
	"internal/proto":   {"internal/request"},
	"internal/listen":  {"internal/access", "internal/backlog", "internal/option", "internal/privilege", "internal/sd"},
	"internal/logging": {"internal/crash", "internal/option", "internal/privilege", "internal/sd",
		"internal/accesslog", "internal/escape"},
	"internal/accesslog": {"internal/request", "internal/option", "internal/escape"},
	"internal/loader": {"internal/access", "internal/scoreboard", "internal/wire", "internal/escape", "internal/crash",
		"internal/sys"},
	"internal/supervisor": {"internal/area", "internal/cache", "internal/cheaper", "internal/crash", "internal/wire",
		"internal/loader", "internal/metrics", "internal/option", "internal/queue",
		"internal/schedule", "internal/scoreboard", "internal/sharedarea", "internal/stats", "internal/sys"},
	"internal/attached": {"internal/crash", "internal/option", "internal/pidfile", "internal/schedule",
		"internal/stats", "internal/touch"},
	"internal/control": {"internal/crash", "internal/option", "internal/pidfile", "internal/privilege",
		"internal/escape"},
	"internal/hooks":    {"internal/option", "internal/privilege"},
	"internal/pidfile":  {"internal/privilege"},
	"internal/redis":    {"internal/crash", "internal/schedule", "internal/sys"},
	"internal/project":  {},
	"internal/schedule": {},
	"internal/spool":    {"internal/escape"},
	"internal/stats":    {"internal/crash", "internal/option"},
	"internal/testlog":  {},
	"internal/needs":    {},
	"internal/touch":    {"internal/option"},
	"internal/dataplane": {"internal/proto", "internal/request", "internal/accesslog", "internal/escape",
		"internal/option", "internal/scoreboard", "internal/backlog", "internal/wire", "internal/sd/entry",
		"internal/sys"},
	"internal/units": {"internal/config", "internal/option", "internal/listen", "internal/sd"},
	"internal/emperor": {"internal/crash", "internal/config", "internal/escape", "internal/units",
		"internal/listen", "internal/option", "internal/privilege", "internal/sd"},
	"internal/e2e":    {"*"},
	"packaging/bench": {},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	CgoFiles   []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,CgoFiles", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages were listed", len(all))
	}
	return all
}

// rule finds the entry that governs a package: its own, or that of the folder above it.
func rule(name string) (string, []string, bool) {
	for at := name; at != "." && at != ""; {
		if to, ok := allowed[at]; ok {
			return at, to, true
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			break
		}
		at = at[:i]
	}
	return "", nil, false
}

func TestImportDirections(t *testing.T) {
	used := map[[2]string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "uwsgi/")
		if name == "internal" { // this test
			continue
		}
		at, to, ok := rule(name)
		if !ok {
			t.Errorf("%s has no place in the layout: add it to internal/imports_test.go", name)
			continue
		}
		for _, imp := range p.Imports {
			imp, ours := strings.CutPrefix(imp, "uwsgi/")
			if !ours || imp == at || strings.HasPrefix(imp, at+"/") || slices.Contains(to, "*") {
				continue
			}
			i := slices.IndexFunc(to, func(a string) bool { return imp == a || strings.HasPrefix(imp, a+"/") })
			if i < 0 {
				t.Errorf("%s imports %s, which is not below it", name, imp)
				continue
			}
			used[[2]string{at, to[i]}] = true
		}
	}
	for at, to := range allowed {
		for _, a := range to {
			if a != "*" && !used[[2]string{at, a}] {
				t.Errorf("%s may import %s and does not: take it out of internal/imports_test.go", at, a)
			}
		}
	}
}

func TestCgoStandsInOnePlace(t *testing.T) {
	found := false
	for _, p := range packages(t) {
		if len(p.CgoFiles) == 0 {
			continue
		}
		if p.ImportPath != "uwsgi/cmd/uwsgi-worker" {
			t.Errorf("%s uses cgo", p.ImportPath)
		}
		found = true
	}
	if !found {
		t.Error("cmd/uwsgi-worker was not seen to use cgo")
	}
}

// TestLargePackagesStayOut: an HTTP client and TLS are megabytes that every process would have.
func TestLargePackagesStayOut(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != "uwsgi/cmd/uwsgi" && p.ImportPath != "uwsgi/cmd/uwsgi-worker" {
			continue
		}
		// go-systemd imports crypto/tls, of which nothing is used
		for _, large := range []string{"net/http", "net/smtp"} {
			if slices.Contains(p.Deps, large) {
				t.Errorf("%s has %s in it", p.ImportPath, large)
			}
		}
	}
}

// TestGoRedisStandsInOnePlace: it is large, and few need it.
func TestGoRedisStandsInOnePlace(t *testing.T) {
	const agent = "uwsgi/internal/redis/agent"
	found := false
	for _, p := range packages(t) {
		has := slices.ContainsFunc(p.Deps, func(d string) bool { return strings.HasPrefix(d, "github.com/redis/") })
		switch {
		case p.ImportPath == agent:
			found = has
		case has && p.ImportPath != "uwsgi/cmd/uwsgi-redis":
			t.Errorf("%s has go-redis in it", p.ImportPath)
		}
	}
	if !found {
		t.Error(agent + " was not seen to use go-redis")
	}
}
