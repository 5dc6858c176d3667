package option

import "path/filepath"

// PathIn is a path of the configuration, a relative one in dir; "" stands for dir itself, and as
// dir for the working directory.
func PathIn(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
