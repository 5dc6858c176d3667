package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"uwsgi/internal/config"
)

// writableConfig names the files of a configuration that any user of the host can change, and with them what runs here and as whom.
func writableConfig(cfg *config.Config, startDir string) []string {
	var seen, lines []string
	for _, p := range cfg.Pairs {
		file := p.Origin.File
		if file == "" || slices.Contains(seen, file) {
			continue
		}
		seen = append(seen, file)
		if open := openToAll(absolute(startDir, file)); open != "" {
			lines = append(lines, fmt.Sprintf("*** WARNING: %s can be changed by any user of this host (%s): chmod o-w it ***", file, open))
		}
	}
	return lines
}

// openToAll says through what anybody can change path: its own mode or that of a folder above, "" when nobody can. In a folder with the
// sticky bit only owners can replace files.
func openToAll(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	for at := real; ; at = filepath.Dir(at) {
		st, err := os.Stat(at)
		if err != nil {
			return ""
		}
		// A configuration from a pipe, say, is nobody's file.
		changeable := st.Mode().IsRegular() || st.IsDir() && st.Mode()&os.ModeSticky == 0
		if changeable && st.Mode().Perm()&syscall.S_IWOTH != 0 {
			return fmt.Sprintf("%s has mode %04o", at, st.Mode().Perm())
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}
