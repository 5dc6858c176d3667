package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"uwsgi/internal/config"
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// writableConfig names the files of a configuration that any user of the host can change, and with
// them what runs here and as whom.
func writableConfig(cfg *config.Config, startDir string) []string {
	var seen, lines []string
	for _, p := range cfg.Pairs {
		file := p.Origin.File
		if file == "" || slices.Contains(seen, file) {
			continue
		}
		seen = append(seen, file)
		if open := openToAll(option.PathIn(startDir, file)); open != "" {
			lines = append(lines, fmt.Sprintf("*** WARNING: %s can be changed by any user of this host (%s): chmod "+
				"o-w it ***", file, open))
		}
	}
	return lines
}

// hisConfig names the files of a configuration that the application's user can change. uWSGI reads
// them as root, too.
func hisConfig(cfg *config.Config, startDir string, ident *listen.Identity) []string {
	cred := ident.Credential
	if cred == nil || cred.Uid == 0 {
		return nil
	}
	var lines []string
	for _, file := range configFiles(cfg, startDir) {
		if changes(cred, file) {
			lines = append(lines, fmt.Sprintf("%s can be changed by %s, who runs the application: root reads it at "+
				"each start, and does what it says", file, ident.User))
		}
	}
	return lines
}

// changes reports whether a user can change a file, or put another one in its place.
func changes(cred *syscall.Credential, path string) bool {
	d, err := privilege.Follow(path)
	if err != nil {
		var link *privilege.LinkError
		return errors.As(err, &link) && link.Owner == cred.Uid
	}
	defer d.Close()
	st, err := d.Stat()
	if err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return false // a pipe, say, is nobody's file
	}
	group := st.Gid == cred.Gid || slices.Contains(cred.Groups, st.Gid)
	return st.Uid == cred.Uid || group && st.Mode&syscall.S_IWGRP != 0 || !d.FirmFor(cred, &st)
}

// openToAll says through what anybody can change path: its own mode or that of a folder above, ""
// when nobody can. In a folder with the sticky bit only owners can replace files.
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
