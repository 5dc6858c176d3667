package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

// TestSettingsAreRead: an option that fills a field which nobody reads is an option without effect.
func TestSettingsAreRead(t *testing.T) {
	var source strings.Builder
	for _, root := range []string{".", "../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch ext := filepath.Ext(path); {
			case err != nil:
				return err
			case d.IsDir() && (path == "option" || d.Name() == "testdata" || path == "e2e"):
				return fs.SkipDir
			case ext != ".go" && ext != ".py" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// In Go x.Field, but not to assign to it; in Python settings["Field"].
	read := map[string]bool{}
	selector := regexp.MustCompile(`^([A-Z]\w*)(?:[^ \w]| [^=:]| ==|$)`)
	for _, after := range strings.Split(source.String(), ".")[1:] {
		if m := selector.FindStringSubmatch(after); m != nil {
			read[m[1]] = true
		}
	}
	for _, m := range regexp.MustCompile(`"([A-Z]\w*)"`).FindAllStringSubmatch(source.String(), -1) {
		read[m[1]] = true
	}
	fields := 0
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous { // what a concept's rows fill
				look(f.Type)
				continue
			}
			fields++
			if !read[f.Name] {
				t.Errorf("nothing reads %s.%s", typ.Name(), f.Name)
			}
			look(f.Type)
		}
	}
	look(reflect.TypeFor[option.Settings]())
	if fields < 250 {
		t.Fatalf("only %d fields were looked at", fields)
	}
}
