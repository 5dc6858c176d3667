package option

import (
	"fmt"
	"os"
	"path/filepath"
)

// PathIn is a path of the configuration, a relative one in dir; "" stands for dir itself, and as
// dir for the working directory.
func PathIn(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Misplaced says what to write for a relative path that is not in dir, where it begins, and is in
// another folder, where it was meant to begin; "" where it is there or in neither.
func Misplaced(path, dir, meant string) string { return misplaced(path, path, dir, meant) }

// MisplacedNew is Misplaced of a path that is made at the start: its folder is looked for.
func MisplacedNew(path, dir, meant string) string {
	return misplaced(path, filepath.Dir(path), dir, meant)
}

func misplaced(path, sought, dir, meant string) string {
	if filepath.IsAbs(path) || exists(PathIn(dir, sought)) || !exists(PathIn(meant, sought)) {
		return ""
	}
	return fmt.Sprintf("a relative path begins at %s here: write %s", dir, PathIn(meant, path))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
