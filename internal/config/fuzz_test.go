package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds returns the parts of the golden files whose name passes.
func seeds(f *testing.F, keep func(name string) bool) []string {
	f.Helper()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	var out []string
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, parts := parseArchive(string(raw))
		for _, p := range parts {
			if keep(p.name) {
				out = append(out, p.text)
			}
		}
	}
	if len(out) == 0 {
		f.Fatal("the golden files hold no seed")
	}
	return out
}

// FuzzINI: whatever the text, reading it ends, and what it reports lies inside it.
func FuzzINI(f *testing.F) {
	for _, s := range seeds(f, func(n string) bool { return strings.HasSuffix(n, ".ini") }) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		host := fakeHost(map[string]string{"x.ini": text})
		c, err := Load([]string{"--ini", "x.ini"}, []string{"HOME=/root", "LOOP=$(LOOP)"}, host)
		if c == nil || c.Settings == nil {
			t.Fatal("no configuration")
		}
		if len(c.Pairs) > maxPairs+1 {
			t.Fatalf("%d pairs", len(c.Pairs))
		}
		lines := strings.Count(text, "\n") + 1
		fatal := false
		for _, found := range c.Findings {
			fatal = fatal || found.Fatal
			if found.Line > lines {
				t.Fatalf("line %d of %d: %+v", found.Line, lines, found)
			}
			if strings.Contains(found.text(), "\n") {
				t.Fatalf("a finding of two lines: %q", found.text())
			}
		}
		if fatal != (err != nil) && c.Command == Serve {
			t.Fatalf("error %v, fatal findings %v", err, fatal)
		}
	})
}

// FuzzFormats: the other formats never panic and stay within bounds.
func FuzzFormats(f *testing.F) {
	for _, s := range seeds(f, func(n string) bool {
		return strings.HasSuffix(n, ".yaml") || strings.HasSuffix(n, ".xml") || strings.HasSuffix(n, ".json")
	}) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		for _, name := range []string{"x.yaml", "x.json", "x.xml"} {
			c, _ := Load([]string{name}, nil, fakeHost(map[string]string{name: text}))
			if len(c.Pairs) > maxPairs+1 {
				t.Fatalf("%d pairs", len(c.Pairs))
			}
		}
	})
}

// FuzzExpand: expansion ends, leaves alone what has no symbol, and stays below its bound.
func FuzzExpand(f *testing.F) {
	f.Add("p-%(b)", "%(c)", "deep")
	f.Add("%(b)%(b)", "%(c)%(c)", "%(a)")
	f.Add("%(b + 2)", "7", "%(a b)")
	f.Add("$(E)$(", "@(exec://%(c))", "x)")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if len(a)+len(b)+len(c) > 1<<12 {
			return
		}
		got, _ := Load([]string{"--set", "a=" + a, "--set", "b=" + b, "--set", "c=" + c},
			[]string{"E=$(E)", "HOME=/root"}, fakeHost(nil))
		plain := func(s string) bool { return !strings.Contains(s, "(") }
		for key, raw := range map[string]string{"a": a, "b": b, "c": c} {
			value, ok := got.Lookup(key)
			switch {
			case !ok:
				t.Fatalf("%s is lost", key)
			case len(value) > maxValue+1<<12:
				t.Fatalf("%s has %d bytes", key, len(value))
			case plain(raw) && value != raw:
				t.Fatalf("%s = %q became %q", key, raw, value)
			}
		}
	})
}

// FuzzComment: the two halves are the ends of the input, and what is kept holds no comment any
// more.
func FuzzComment(f *testing.F) {
	for _, s := range []string{"a # b", `"a # b" ; c`, `a \# b`, "don't # x", "# x", "a;b", `'a" # "b'`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		value, comment := cutComment(s)
		if !strings.HasPrefix(s, value) || !strings.HasSuffix(s, comment) || len(value)+len(comment) > len(s) {
			t.Fatalf("%q was cut into %q and %q", s, value, comment)
		}
		if strings.Trim(s[len(value):len(s)-len(comment)], " \t") != "" {
			t.Fatalf("%q lost more than blanks between %q and %q", s, value, comment)
		}
		if comment != "" && comment[0] != '#' && comment[0] != ';' {
			t.Fatalf("%q is no comment", comment)
		}
		if !strings.ContainsAny(s, "#;") && value != s {
			t.Fatalf("%q became %q", s, value)
		}
	})
}

// FuzzArgs: no command line panics.
func FuzzArgs(f *testing.F) {
	for _, s := range seeds(f, func(n string) bool { return n == "args" }) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		c, _ := Load(strings.Split(text, "\n"), nil, fakeHost(map[string]string{"x.ini": "[uwsgi]\nmodule = a\n"}))
		if c == nil || c.Settings == nil {
			t.Fatal("no configuration")
		}
		c.StartReport()
	})
}
