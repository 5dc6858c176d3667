package app

import "testing"

func TestPager(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without less
	for _, c := range []struct {
		value string
		set   bool
		want  string
	}{{"most -s", true, "most -s"}, {" ", true, ""}, {"", false, ""}} {
		if got := pager(func(string) (string, bool) { return c.value, c.set }); got != c.want {
			t.Errorf("PAGER=%q: %q, want %q", c.value, got, c.want)
		}
	}
}
