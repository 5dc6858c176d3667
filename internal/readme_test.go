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

// namesItsFiles holds the table of files in a folder's README.md to what is there.
func namesItsFiles(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## The files\n")
	var named []string
	for _, m := range regexp.MustCompile("`([A-Za-z_]+\\.(?:c|h|go|ld))`").FindAllStringSubmatch(table, -1) {
		named = append(named, m[1])
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !slices.Contains(named, e.Name()) {
			t.Errorf("%s/README.md does not name %s", dir, e.Name())
		}
	}
	for _, name := range named {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s/README.md names %s, which is not there", dir, name)
		}
	}
}

// TestSharedReadme: cmd/uwsgi-shared/README.md names every file of its folder and no other.
func TestSharedReadme(t *testing.T) { namesItsFiles(t, filepath.Join("..", "cmd", "uwsgi-shared")) }

// TestWorkerReadme: so does cmd/uwsgi-worker/README.md; and as it says, a panic stays in Go: each
// function that C calls begins with a guard.
func TestWorkerReadme(t *testing.T) {
	dir := filepath.Join("..", "cmd", "uwsgi-worker")
	namesItsFiles(t, dir)
	sources, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	exported := 0
	for _, path := range sources {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(source), "\n//export ")[1:] {
			exported++
			body, _, _ := strings.Cut(part, "\n}\n")
			if !strings.Contains(body, "\tdefer guard(") {
				name, _, _ := strings.Cut(part, "\n")
				t.Errorf("%s: a panic in %s would end the worker: no guard", path, name)
			}
		}
	}
	if exported < 30 {
		t.Errorf("only %d exports were found", exported)
	}
}
