package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OwnFile and OwnLink are variables that name a configuration file this process believes only if it
// belongs to its own user: the file itself, or the link in its place. The emperor sets one of them
// for what it runs as a file's owner: between its look and this process's the name may have been
// given to somebody else's file.
const (
	OwnFile = "UWSGI_OWN_FILE"
	OwnLink = "UWSGI_OWN_LINK"
)

// ownSize is how large such a file may be.
const ownSize = 4 << 20

// owned is h with the file that OwnFile or OwnLink names judged when it is read.
func owned(h Host, environ map[string]string) Host {
	file, link := environ[OwnFile], environ[OwnLink]
	if file == "" && link == "" {
		return h
	}
	read := h.ReadFile
	h.ReadFile = func(path string) ([]byte, error) {
		switch path {
		case file:
			return readOwnFile(path)
		case link:
			return readOwnLink(path)
		}
		return read(path)
	}
	return h
}

func readOwnFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return readOwn(f, path)
}

func readOwn(f *os.File, path string) ([]byte, error) {
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := notOurs(&st, path); err != nil {
		return nil, err
	}
	return readLimited(f, path)
}

func readLimited(f *os.File, path string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, ownSize+1))
	if err == nil && len(text) > ownSize {
		err = fmt.Errorf("%s is larger than %d MiB", path, ownSize>>20)
	}
	return text, err
}

// readOwnLink judges the link, and then takes what that very link leads to, whoever's it is.
func readOwnLink(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	if err := notOurs(&st, path); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("/proc/self/fd/%d", fd)
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		var target [unix.PathMax]byte
		n, err := unix.Readlinkat(fd, "", target[:])
		if err != nil {
			return nil, fmt.Errorf("readlink %s: %w", path, err)
		}
		if name = string(target[:n]); !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if s, err := f.Stat(); err != nil || !s.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return readLimited(f, path)
}

func notOurs(st *unix.Stat_t, path string) error {
	if own := os.Geteuid(); st.Uid != uint32(own) {
		return fmt.Errorf("%s belongs to user %d now, and this process is %d's: the emperor runs an instance as its "+
			"file's owner", path, st.Uid, own)
	}
	return nil
}
