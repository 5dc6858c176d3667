package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadme: the map names every package, and what it names is there; so is every file that the
// page names.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "## Map\n")
	chapter, _, _ := strings.Cut(rest, "\n## ")
	var named []string
	for line := range strings.Lines(chapter) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				named = append(named, m[1])
			}
		}
	}
	there := []string{"python"}
	for _, p := range packages(t) {
		if name, ok := strings.CutPrefix(p.ImportPath, "uwsgi/internal/"); ok {
			there = append(there, name)
		}
	}
	for _, name := range there {
		if !slices.Contains(named, name) {
			t.Errorf("the map in internal/README.md has no %s", name)
		}
	}
	for _, name := range named {
		if !slices.Contains(there, name) {
			t.Errorf("the map in internal/README.md has %s, which is no package", name)
		}
	}
	files := regexp.MustCompile("`((?:[a-z0-9_-]+/)+[a-z0-9_]+\\.(?:go|c|py))`").FindAllStringSubmatch(string(text), -1)
	if len(files) < 50 {
		t.Errorf("only %d files are named", len(files))
	}
	for _, m := range files {
		path := strings.TrimPrefix(m[1], "internal/")
		if strings.HasPrefix(path, "cmd/") {
			path = filepath.Join("..", path)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("internal/README.md names %s, which is not there: name what has taken its place", m[1])
		}
	}
}
