package http1

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// testCase is one case of testdata; see testdata/README.md.
type testCase struct {
	name   string
	raw    []byte
	status int
	vars   map[string]string
	absent []string
	flags  string
	body   string
}

// loadCases reads the cases of testdata/<dir>/*.txt.
func loadCases(t testing.TB, dir string) (cases []testCase) {
	files, _ := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		begun := false // past the title line
		for n, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "== "); ok {
				begun = true
				cases = append(cases, testCase{name: filepath.Base(file) + "/" + name, vars: map[string]string{}})
				continue
			}
			if !begun || line == "" {
				continue
			}
			c := &cases[len(cases)-1]
			switch {
			case strings.HasPrefix(line, "< "):
				c.raw = append(c.raw, unquote(t, line[2:])...)
			case strings.HasPrefix(line, "> "):
				if c.status, err = strconv.Atoi(line[2:]); err != nil {
					t.Fatalf("%s:%d: %v", file, n+1, err)
				}
			case strings.HasPrefix(line, "flags: "):
				c.flags = line[len("flags: "):]
			case strings.HasPrefix(line, "nginx "), strings.HasPrefix(line, "gunicorn "):
			case strings.HasPrefix(line, "="):
				c.body = unquote(t, strings.TrimPrefix(line[1:], " "))
			case strings.HasSuffix(line, "!") && !strings.Contains(line, "="):
				c.absent = append(c.absent, line[:len(line)-1])
			default:
				name, value, ok := strings.Cut(line, "=")
				if !ok {
					t.Fatalf("%s:%d: what is %q?", file, n+1, line)
				}
				c.vars[name] = unquote(t, value)
			}
		}
	}
	if len(cases) == 0 {
		t.Fatalf("no cases in testdata/%s", dir)
	}
	for _, c := range cases {
		if len(c.raw) == 0 || c.status == 0 {
			t.Fatalf("%s: no input, or no verdict", c.name)
		}
	}
	return cases
}

func unquote(t testing.TB, s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\0`, `\x00`), `"`, `\"`)
	v, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return v
}
