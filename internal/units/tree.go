package units

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Tree is what is written into one folder: the path below it and what stands there.
type Tree map[string]Entry

// Entry is a file's text, or a link's target.
type Entry struct{ Text, Link string }

// Write makes the tree below dir. One entry that cannot be written does not keep the others from
// it.
func (t Tree) Write(dir string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t)) {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			if e := t[name]; e.Link != "" {
				if err = os.Symlink(e.Link, path); errors.Is(err, os.ErrExist) {
					err = nil
				}
			} else {
				err = os.WriteFile(path, []byte(e.Text), 0o644)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// In reports whether every entry stands below dir as it should.
func (t Tree) In(dir string) bool {
	for name, e := range t {
		path := filepath.Join(dir, name)
		if e.Link != "" {
			if target, err := os.Readlink(path); err != nil || target != e.Link {
				return false
			}
			continue
		}
		if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, []byte(e.Text)) {
			return false
		}
	}
	return true
}

// Remove takes the tree's files out of dir, and the folders that hold nothing else.
func (t Tree) Remove(dir string) error {
	var errs []error
	for name := range t {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		_ = os.Remove(filepath.Dir(path)) // an administrator's own drop-in keeps it
	}
	return errors.Join(errs...)
}

func (t Tree) print(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if e := t[name]; e.Link != "" {
			fmt.Fprintf(w, "-> %s -> %s\n\n", name, e.Link)
		} else {
			fmt.Fprintf(w, "== %s\n%s\n", name, e.Text)
		}
	}
}
