package dataplane

import (
	"bytes"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/request"
)

// expiry is one static-expires rule.
type expiry struct {
	by      string
	pattern *option.Pattern // nil: by type
	mime    string
	seconds int64
	mtime   bool
}

// newExpires sorts the rules into the order of the lookup: by file name, path, URI, type. In uWSGI
// each of the four families adds its own header; here the first rule that matches counts, since a
// second Expires would void both.
func newExpires(rules []option.StaticExpires) ([]expiry, error) {
	var out []expiry
	for _, by := range []string{"filename", "path-info", "uri", "type"} {
		for _, r := range rules {
			if r.By != by {
				continue
			}
			x := expiry{by: by, mime: r.Pattern, seconds: r.Seconds, mtime: r.Mtime}
			if by != "type" {
				var err error
				if x.pattern, err = option.CompilePattern(r.Pattern); err != nil {
					return nil, fmt.Errorf("static-expires by %s: %w", by, err)
				}
			}
			out = append(out, x)
		}
	}
	return out, nil
}

// expiry gives the time of a file's Expires header, in epoch seconds.
func (s *static) expiry(r *request.Request, path []byte, mime string, now, modified int64) (int64, bool) {
	for i := range s.expires {
		x := &s.expires[i]
		var hit bool
		switch x.by {
		case "filename":
			hit = x.pattern.Match(path)
		case "path-info":
			hit = x.pattern.Match(r.Bytes(r.Path))
		case "uri":
			hit = x.pattern.Match(r.Bytes(r.URI))
		default:
			hit = x.mime == mime
		}
		if !hit {
			continue
		}
		if x.mtime {
			return modified + x.seconds, true
		}
		return now + x.seconds, true
	}
	return 0, false
}

// gzipRules say which files may be sent in a packed form that lies beside them.
type gzipRules struct {
	all      bool
	patterns []*option.Pattern
	dirs     []string
	exts     []string
}

func newGzipRules(s *option.Settings) (gzipRules, error) {
	g := gzipRules{all: s.StaticGzipAll, dirs: s.StaticGzipDirs, exts: s.StaticGzipExts}
	for _, p := range s.StaticGzip {
		re, err := option.CompilePattern(p)
		if err != nil {
			return g, fmt.Errorf("static-gzip: %w", err)
		}
		g.patterns = append(g.patterns, re)
	}
	return g, nil
}

func (g *gzipRules) applies(path []byte) bool {
	if g.all {
		return true
	}
	for _, ext := range g.exts {
		if bytes.HasSuffix(path, []byte(ext)) {
			return true
		}
	}
	for _, dir := range g.dirs {
		if under(dir, string(path)) {
			return true
		}
	}
	for _, re := range g.patterns {
		if re.Match(path) {
			return true
		}
	}
	return false
}

// openPacked opens the packed form of a file that the client takes: FILE.br before FILE.gz, as in
// uWSGI. files.st is then the packed file's. encoding is "" if there is none.
func (f *files) openPacked(s *static, root *root, rel, accept []byte) (encoding string, fd int) {
	plain := f.st
	for _, e := range [...]struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !accepts(accept, e.name) {
			continue
		}
		var errno syscall.Errno
		if rel == nil {
			fd, errno = f.openSelf(root.path + e.suffix)
		} else {
			f.name = append(f.name, e.suffix...)
			fd, errno = f.open(s, root)
			f.name = f.name[:len(f.name)-len(e.suffix)]
		}
		if errno == 0 && f.st.Mode&unix.S_IFMT == unix.S_IFREG {
			return e.name, fd
		}
		if errno == 0 {
			unix.Close(fd)
		}
		f.st = plain
	}
	return "", -1
}

// accepts reports whether an Accept-Encoding names a coding with a weight above 0 (RFC 9110
// §12.5.3).
func accepts(header []byte, coding string) bool {
	for len(header) > 0 {
		var item []byte
		item, header, _ = bytes.Cut(header, []byte(","))
		name, params, weighed := bytes.Cut(item, []byte(";"))
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte(coding)) {
			continue
		}
		if !weighed {
			return true
		}
		q, ok := bytes.CutPrefix(bytes.ToLower(bytes.TrimSpace(params)), []byte("q="))
		return !ok || len(bytes.Trim(q, "0. ")) > 0
	}
	return false
}
