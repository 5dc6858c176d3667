package dataplane

import (
	"os"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

func TestMimeTypes(t *testing.T) {
	dir := tree(t, map[string]string{"mime.types": "# comment\ntext/x-one one uno # " +
		"more\n\ntext/x-none\ntext/x-two two one\n"})
	m := mimeTypes{files: []string{dir + "/mime.types", dir + "/missing"}, place: new(option.Settings).Place}
	for path, want := range map[string]string{"/a.one": "text/x-one", "/a.UNO": "text/x-one", "/a.two": "text/x-two",
		"/a.css": "", "/a": "", "/a.b/c": "", "/a.": ""} {
		if got := m.of([]byte(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	m = mimeTypes{}
	for path, want := range map[string]string{"/a.css": "text/css", "/a.HTML": "text/html", "/.woff2": "font/woff2",
		"/a.tar.gz": "application/gzip", "/a.nothing-known": "",
		"/a." + strings.Repeat("x", 100): ""} {
		if got := m.of([]byte(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if len(m.rest) == 0 {
		if _, err := os.Stat(systemMime); err == nil {
			t.Errorf("%s was not read for an extension we do not know", systemMime)
		}
	}
}
