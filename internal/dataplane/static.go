package dataplane

import (
	"bytes"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// static is the prepared options for serving files without the application, shared by the cores.
type static struct {
	places  []place
	docroot bool // check-static-docroot
	skip    []string
	indexes []string
	safe    []string
	expires []expiry
	gzip    gzipRules
	mime    mimeTypes
	serve   string // the header that tells the front end to send the file, "" when we do
	ranges  bool   // honour-range
	beneath bool   // the kernel has openat2
}

// place is where one option looks for files.
type place struct {
	prefix string // "" matches every path
	path   string // a folder or a single file
	keep   bool   // the prefix stays in the file's path (static-map2, check-static)
}

// newStatic returns nil when no option asks for files to be served.
func newStatic(s *option.Settings) (*static, error) {
	if len(s.StaticMaps) == 0 && !s.StaticDocroot {
		return nil, nil
	}
	st := &static{
		docroot: s.StaticDocroot,
		skip:    s.StaticSkipExts,
		indexes: s.StaticIndexes,
		safe:    s.StaticSafe,
		mime:    mimeTypes{files: s.MimeFiles, place: s.Place},
		ranges:  s.HonourRange,
		beneath: hasOpenat2(),
	}
	switch s.FileServeMode {
	case "x-sendfile":
		st.serve = "X-Sendfile: "
	case "x-accel-redirect":
		st.serve = "X-Accel-Redirect: "
	}
	// uWSGI's order: check-static, static-map, static-map2; within one kind as they are written.
	for _, kind := range []string{"check", "map", "map2"} {
		for _, m := range s.StaticMaps {
			if m.Kind == kind {
				st.places = append(st.places, place{prefix: m.Prefix, path: m.Path, keep: kind != "map"})
			}
		}
	}
	var err error
	if st.expires, err = newExpires(s.StaticExpires); err != nil {
		return nil, err
	}
	st.gzip, err = newGzipRules(s)
	return st, err
}

// match gives the part of a request's path that names a file in p. uWSGI compares the prefix byte
// by byte, so that /static also serves /statics/x from DIR/s/x; here it ends where a segment ends.
func (p *place) match(path []byte) ([]byte, bool) {
	n := len(p.prefix)
	if len(path) < n || string(path[:n]) != p.prefix {
		return nil, false
	}
	if n > 0 && len(path) > n && path[n] != '/' && p.prefix[n-1] != '/' {
		return nil, false
	}
	if p.keep {
		return path, true
	}
	return path[n:], true
}

// wants reports whether a request may be for a file at all.
func (s *static) wants(method, path []byte, head bool) bool {
	if !head && string(method) != "GET" {
		return false
	}
	for _, ext := range s.skip {
		if len(path) >= len(ext) && string(path[len(path)-len(ext):]) == ext {
			return false
		}
	}
	return true
}

// maxPath is PATH_MAX less room for an index or an encoding's suffix; the kernel would refuse more.
const maxPath = 4096 - 256

// plainPath reports whether a path may be looked up: a NUL would cut it short in the kernel, and
// ".." is there only where somebody encoded it past every front end (the parsers and nginx resolve
// it).
func plainPath(p []byte) bool {
	if len(p) > maxPath || bytes.IndexByte(p, 0) >= 0 {
		return false
	}
	for at := 0; ; {
		i := bytes.Index(p[at:], []byte(".."))
		if i < 0 {
			return true
		}
		i += at
		if (i == 0 || p[i-1] == '/') && (i+2 == len(p) || p[i+2] == '/') {
			return false
		}
		at = i + 1
	}
}

// serveStatic answers the request with a file if an option says so and the file is there. The
// interpreter is not asked.
func (x *Exchange) serveStatic() bool {
	s := x.eng.static
	if s == nil {
		return false
	}
	r, f := &x.req, &x.core.files
	path := r.Bytes(r.Path)
	if !s.wants(r.Bytes(r.Method), path, r.Head) || !plainPath(path) {
		return false
	}
	if f.roots == nil {
		f.init(s)
	}
	for i := range s.places {
		rel, ok := s.places[i].match(path)
		if ok && x.tryFile(&f.roots[i], rel) {
			return true
		}
	}
	if s.docroot {
		root := &f.roots[len(s.places)]
		if at, ok := r.Lookup("DOCUMENT_ROOT"); ok && at.Len > 0 {
			if dir := r.Bytes(at); string(dir) != root.path {
				root.close()
				*root = newRoot(string(dir))
			}
			return x.tryFile(root, path)
		}
	}
	return false
}

// tryFile serves what rel names in root, or an index file in it. False: there is no such file.
func (x *Exchange) tryFile(root *root, rel []byte) bool {
	s, f := x.eng.static, &x.core.files
	if !root.ready(x.started) {
		return false
	}
	for len(rel) > 0 && rel[0] == '/' {
		rel = rel[1:]
	}
	if root.file {
		if len(rel) > 0 {
			return false
		}
		fd, errno := f.openSelf(root.path)
		return x.tryOpened(root, nil, fd, errno)
	}
	f.name = append(f.name[:0], rel...)
	if len(rel) > 0 {
		fd, errno := f.open(s, root)
		if errno != 0 || f.st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return x.tryOpened(root, f.name, fd, errno)
		}
		unix.Close(fd)
	}
	for _, index := range s.indexes {
		f.name = append(append(append(f.name[:0], rel...), '/'), index...)
		if len(rel) == 0 {
			f.name = append(f.name[:0], index...)
		}
		fd, errno := f.open(s, root)
		if x.tryOpened(root, f.name, fd, errno) {
			return true
		}
	}
	return false
}

// tryOpened answers with an open file, or finds that it is not to be served.
func (x *Exchange) tryOpened(root *root, rel []byte, fd int, errno syscall.Errno) bool {
	switch errno {
	case 0:
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		x.log("cannot open a file of %s: %s (max-fd, or LimitNOFILE= of the unit)", root.path, errno)
		x.plain(503, statusText(503), "")
		return true
	case errOutside:
		x.log("[uwsgi-fileserve] security error: %s is not under %s or a safe path (static-safe)",
			x.core.files.outside, root.real)
		return false
	default:
		return false
	}
	if x.core.files.st.Mode&unix.S_IFMT != unix.S_IFREG || len(rel) > 0 && rel[len(rel)-1] == '/' {
		unix.Close(fd)
		return false
	}
	x.cell.Static.Add(1)
	x.sendStatic(root, rel, fd)
	return true
}
