package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// suffixes maps the end of a file's name to the format it is read in.
var suffixes = map[string]string{".ini": "ini", ".yaml": "yaml", ".yml": "yaml", ".json": "json",
	".js": "json", ".xml": "xml"}

// format returns the format a file's name calls for, its section taken off; "" = none.
func format(name string) string {
	path, _ := splitSection(name)
	return suffixes[filepath.Ext(path)]
}

// splitSection splits PATH:SECTION at the last colon, unless that is part of a scheme
// (http://host:80/x.ini).
func splitSection(name string) (path, section string) {
	from := 0
	if at := strings.Index(name, "://"); at > 0 {
		from = at + 3
		if slash := strings.LastIndexByte(name, '/'); slash >= from {
			from = slash
		} else {
			return name, ""
		}
	}
	colon := strings.LastIndexByte(name[from:], ':')
	if colon < 0 {
		return name, ""
	}
	return name[:from+colon], name[from+colon+1:]
}

// abs returns path as seen from the start folder, which all relative names are relative to.
func (r *reader) abs(path string) string {
	if filepath.IsAbs(path) || r.cwd == "" {
		return path
	}
	return filepath.Join(r.cwd, path)
}

// Extract returns the content of anything a configuration can be read from: a path, "-", exec://,
// http://, fd://.
func Extract(h Host, name string) ([]byte, error) {
	return newReader(nil, h).readSource(name)
}

// readSource reads a path, "-" or one of the schemes.
func (r *reader) readSource(name string) ([]byte, error) {
	scheme, rest, ok := strings.Cut(name, "://")
	if !ok {
		if name == "-" {
			return r.host.ReadFD(0)
		}
		return r.host.ReadFile(r.abs(name))
	}
	switch scheme {
	case "exec":
		return r.host.Run(rest)
	case "http":
		return r.host.Fetch(name)
	case "fd":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q names no descriptor", name)
		}
		return r.host.ReadFD(n)
	case "file":
		return r.host.ReadFile(r.abs(rest))
	}
	return nil, fmt.Errorf("%s:// is not read: use a file, exec://, http:// or fd://", scheme)
}

// load reads the file that p names in the format of the option, or of its suffix for include and
// config.
func (r *reader) load(p *pair, how string) {
	name := strings.TrimSpace(p.Value)
	switch {
	case name == "":
		r.problem(p, "write "+p.Key+" = FILE", errors.New("the file is missing"))
		return
	case r.checking && strings.Contains(name, "$("):
		variable, _, _ := strings.Cut(name[strings.Index(name, "$(")+2:], ")")
		r.doubt(p, "", fmt.Errorf("$(%s) is not set here: what the file says is not checked", variable))
		return
	case strings.Contains(name, "$(") || strings.Contains(name, "%("):
		hint := "define the name above this line"
		if strings.Contains(name, "$(") {
			hint = "set the environment variable, or give a default with if-not-env"
		}
		r.problem(p, hint, fmt.Errorf("%q is not known here", name))
		return
	}
	path, section := splitSection(name)
	if path == "" {
		if path = r.lastINI; path == "" {
			r.problem(p, "write "+p.Key+" = FILE"+name,
				errors.New("no file was read before: the name begins with a colon"))
			return
		}
		how = "ini"
	}
	if how == "include" || how == "config" {
		if how = suffixes[filepath.Ext(path)]; how == "" {
			r.problem(p, "name it .ini, .yaml, .json or .xml, or write ini = "+name,
				fmt.Errorf("the format of %s is not known by its suffix", path))
			return
		}
	}
	key := how + " " + path + ":" + section
	if slices.Contains(r.loading, key) {
		r.problem(p, "take this line out", fmt.Errorf("%s is being read already: the files include each "+
			"other in a circle", name))
		return
	}
	if len(r.loading) > maxDepth {
		r.problem(p, "", fmt.Errorf("files are nested more than %d deep", maxDepth))
		return
	}
	if r.loads++; r.loads > maxLoads {
		r.problem(p, "look for a loop", fmt.Errorf("more than %d files are read", maxLoads))
		return
	}
	text, err := r.readSource(path)
	if err != nil {
		r.problem(p, "", fmt.Errorf("read the file: %w", err))
		return
	}
	if utf16(text) {
		r.problem(p, "save it as UTF-8", fmt.Errorf("%s is text in UTF-16", path))
		return
	}
	m := r.newMagic(path, section)
	if r.top == nil {
		r.top = m
	}
	if !slices.Contains(r.files, m.path) && m.path != "" {
		r.files = append(r.files, m.path)
	}
	if how == "ini" {
		r.lastINI = path
	}
	if p.source != fromFile && m.path != "" {
		r.named = m.path
	}
	shift := 0
	whole := string(text)
	if r.inject.before != "" || r.inject.after != "" {
		before := r.inject.before
		if before != "" && !strings.HasSuffix(before, "\n") {
			before += "\n"
		}
		shift = strings.Count(before, "\n")
		whole = before + strings.TrimPrefix(whole, bom)
		if r.inject.after != "" {
			whole += "\n" + r.inject.after
		}
	}
	f := &file{r: r, at: p, name: path, section: section, how: how, magic: m, shift: shift}
	r.loading = append(r.loading, key)
	defer func() { r.loading = r.loading[:len(r.loading)-1] }()
	switch how {
	case "ini":
		f.ini(whole)
	case "yaml":
		f.yaml(whole)
	case "json":
		f.json(whole)
	case "xml":
		f.xml(whole)
	}
}

// maxDepth bounds files that include files.
const maxDepth = 32

// maxLoads bounds files in all.
const maxLoads = 1000

// bom is the byte order mark some editors put first.
const bom = "\ufeff"

// utf16 reports whether a text is in UTF-16, as some editors call "Unicode".
func utf16(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
}

// file is one configuration file being read.
type file struct {
	r       *reader
	at      *pair  // the line that named it
	name    string // as written, without the section
	section string // "" = uwsgi
	how     string // ini, yaml, json or xml
	magic   *magic
	shift   int // lines of injected text in front
}

// wanted is the section to read.
func (f *file) wanted() string {
	if f.section == "" {
		return "uwsgi"
	}
	return f.section
}

// pair returns a pair of this file.
func (f *file) pair(line int, key, value string) *pair {
	p := &pair{Pair: Pair{Key: key, Value: value, Given: true}, source: fromFile}
	p.Origin.File, p.Origin.Line = f.name, max(1, line-f.shift)
	return p
}

// whole returns a pair for what is wrong with the file and not with one of its options.
func (f *file) whole(line int) *pair { return f.pair(line, f.how, "") }

// missing reports that the section is not there; reading goes on without it, as in uWSGI.
func (f *file) missing(line int, what string, there []string) {
	hint := ""
	if len(there) > 0 {
		hint = "the file has " + strings.Join(there, ", ")
	}
	f.r.doubt(f.whole(line), hint, fmt.Errorf("there is no %s %s: nothing is read from this file", what,
		f.wanted()))
}
