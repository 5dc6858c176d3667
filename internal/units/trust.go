package units

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"uwsgi/internal/config"
)

// RootsAlone reports whether nobody but root can change what a configuration says: its files are
// root's, and so is every folder and link that leads to one of them.
func RootsAlone(c *config.Config) bool { return rootsAlone(c, rootsFile) }

func rootsAlone(c *config.Config, roots func(path string) bool) bool {
	seen := map[string]bool{"": true}
	for _, p := range c.Pairs {
		file := p.Origin.File
		if !seen[file] && !roots(file) {
			return false
		}
		seen[file] = true
	}
	return true
}

// rootsFile says so of one file.
func rootsFile(name string) bool {
	for range maxLinks {
		target, ours := rootsEntry(name)
		if target == "" || !ours {
			return ours
		}
		name = target
	}
	return false
}

// rootsEntry says so of a file or a link, and where that leads.
func rootsEntry(name string) (target string, ours bool) {
	dir, base, err := openFolder(name)
	if err != nil {
		return "", false
	}
	defer unix.Close(dir)
	var folder, st unix.Stat_t
	if unix.Fstat(dir, &folder) != nil || othersWrite(&folder) ||
		unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Uid != 0 {
		return "", false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "", !othersWrite(&st)
	case unix.S_IFLNK:
		var text [unix.PathMax]byte
		n, err := unix.Readlinkat(dir, base, text[:])
		if err != nil {
			return "", false
		}
		if target = string(text[:n]); filepath.IsAbs(target) {
			return target, true
		}
		at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dir))
		return filepath.Join(at, target), err == nil
	}
	return "", false
}

// othersWrite reports whether somebody other than root can change a file, or put another one into
// the place of one of a folder's.
func othersWrite(st *unix.Stat_t) bool {
	shared := st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0
	return st.Uid != 0 || st.Mode&0o022 != 0 && !shared
}
