package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// program is every name of this program's file, from the one that it was started by to the file
// itself: the link that a tool has put on PATH, the virtualenv's, the one in an installer's cache.
// Call it before the working directory changes.
var program = sync.OnceValue(func() []string {
	exe, err := os.Executable()
	if err != nil { // no /proc
		return []string{os.Args[0]}
	}
	names := []string{exe}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		names[0] = real
	}
	self, err := os.Stat(names[0])
	if err != nil {
		return names
	}
	called, err := exec.LookPath(os.Args[0])
	if err != nil {
		return names
	}
	var links []string
	for len(links) < maxLinks {
		if called, err = filepath.Abs(called); err != nil {
			break
		}
		if st, err := os.Stat(called); err != nil || !os.SameFile(st, self) { // argv[0] may say anything
			break
		}
		links = append(links, called)
		to, err := os.Readlink(called)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(called), to)
		}
		called = to
	}
	return append(links, names...)
})

const maxLinks = 16

// ownHome is the virtualenv that this program is installed in, "" for none.
func ownHome() string {
	for _, name := range program() {
		bin := filepath.Dir(name)
		home := filepath.Dir(bin)
		if _, err := os.Stat(filepath.Join(home, "pyvenv.cfg")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(bin, "python3")); err == nil {
			return home
		}
	}
	return ""
}
