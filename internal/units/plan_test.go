package units

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is produced into testdata")

// testHost reads testdata/NAME/apps as /etc/uwsgi/apps-enabled.
func testHost(t *testing.T, name string) Host {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	h := OSHost()
	h.Apps = filepath.Join(dir, "apps")
	h.Defaults = filepath.Join(dir, "default")
	h.RootsFile = func(path string) bool { return !strings.HasSuffix(path, "theirs.ini") }
	h.Inherited, err = filepath.Abs("../../packaging/conf/default.ini")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPlan(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/apps")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, c := range cases {
		name := filepath.Base(filepath.Dir(c))
		t.Run(name, func(t *testing.T) {
			h := testHost(t, name)
			tree, problems := Plan(h)
			var b strings.Builder
			tree.print(&b)
			tell(&b, problems)
			got := strings.ReplaceAll(b.String(), h.Apps, "/etc/uwsgi/apps-enabled")
			got = strings.ReplaceAll(got, h.Inherited, "/usr/share/uwsgi/conf/default.ini")
			golden := filepath.Join("testdata", name, "want.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
