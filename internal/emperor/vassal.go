package emperor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/option"
)

// vassal is one configuration file as a look found it.
type vassal struct {
	id      string // the file's base name, what uWSGI calls a vassal by
	name    string // without the suffix
	file    string // absolute
	changed time.Time
	inode   uint64
	size    int64
	uid     uint32 // the file's owner
	gid     uint32
	monitor string // the source it was found by
	dir     string // where it starts: the folder that is its source; "" = where the emperor did
	socket  string // on-demand: the address whose first connection starts it, "" = started at once
	judge   judge
}

// judge is what says who a vassal runs as.
type judge int

const (
	byItself judge = iota // itself, else the emperor: whoever writes its file is trusted as root is
	byFile                // the owner of its file (emperor-tyrant)
	byLink                // the owner of the link in the file's place (emperor-tyrant-nofollow)
)

// same reports whether nothing about the file changed.
func (v vassal) same(o vassal) bool {
	return v.file == o.file && v.changed.Equal(o.changed) && v.inode == o.inode &&
		v.size == o.size && v.socket == o.socket &&
		(v.judge == byItself || v.uid == o.uid && v.gid == o.gid)
}

// suffixes are those of the files that uWSGI takes for configurations.
var suffixes = []string{".ini", ".xml", ".yaml", ".yml", ".json", ".js"}

// look finds every vassal of the sources. Of two with the same name the one that runs wins, else
// the first, and the other is a problem: nobody can take over another's name, and with it his
// socket.
func look(e *option.Emperor, running map[string]vassal) (found map[string]vassal, problems []error) {
	found = map[string]vassal{}
	for _, source := range e.Sources {
		dir, files, err := candidates(source)
		if err != nil {
			problems = append(problems, err)
		}
		for _, file := range files {
			if !eligible(file, e.ExtraExtensions) {
				continue
			}
			v, err := inspect(file, e)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			if v == nil {
				continue
			}
			v.monitor, v.dir = source, dir
			if first, twice := found[v.name]; twice {
				if first.file == v.file {
					continue
				}
				if running[v.name].file == v.file {
					first, *v = *v, first
					found[v.name] = first
				}
				problems = append(problems, fmt.Errorf("%s is not run: %s has the same name", v.file, first.file))
				continue
			}
			found[v.name] = *v
		}
	}
	return found, problems
}

// candidates are the files of a folder, dir, or what a pattern matches. A folder that is not there
// has none, yet.
func candidates(source string) (dir string, files []string, err error) {
	source, err = filepath.Abs(strings.TrimPrefix(strings.TrimPrefix(source, "dir://"), "glob://"))
	if err != nil {
		return "", nil, err
	}
	if st, err := os.Stat(source); err == nil && st.IsDir() {
		entries, err := os.ReadDir(source)
		if err != nil {
			return "", nil, fmt.Errorf("emperor = %s: %w", source, err)
		}
		for _, e := range entries {
			files = append(files, filepath.Join(source, e.Name()))
		}
		return source, files, nil
	}
	if files, err = filepath.Glob(source); err != nil {
		return "", nil, fmt.Errorf("emperor = %s: %w", source, err)
	}
	return "", files, nil
}

func eligible(file string, extra []string) bool {
	base := filepath.Base(file)
	if strings.HasPrefix(base, ".") {
		return false
	}
	return slices.Contains(suffixes, filepath.Ext(base)) ||
		slices.ContainsFunc(extra, func(s string) bool { return strings.HasSuffix(base, s) })
}

// inspect looks at one file; nil is what is no configuration after all.
func inspect(path string, e *option.Emperor) (*vassal, error) {
	st, err := os.Stat(path)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil // gone between two calls, or a link that leads nowhere
		}
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, nil
	}
	base := filepath.Base(path)
	v := &vassal{id: base, name: strings.TrimSuffix(base, filepath.Ext(base)), file: path,
		changed: st.ModTime(), size: st.Size()}
	owner := st
	if e.Nofollow {
		v.changed = own.ModTime()
	}
	switch {
	case e.TyrantNofollow:
		owner, v.judge = own, byLink
	case e.Tyrant:
		v.judge = byFile
	}
	if sys, ok := owner.Sys().(*syscall.Stat_t); ok {
		v.uid, v.gid = sys.Uid, sys.Gid
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		v.inode = sys.Ino
	}
	if v.judge != byItself {
		if err := v.ownable(); err != nil {
			return nil, err
		}
	}
	v.socket, err = onDemand(v, e)
	return v, err
}

// onDemand is the address whose first connection starts the vassal.
func onDemand(v *vassal, e *option.Emperor) (string, error) {
	switch {
	case e.OnDemandExtension != "":
		return v.addressFile(v.file + e.OnDemandExtension)
	case e.OnDemandDirectory != "":
		return filepath.Join(e.OnDemandDirectory, v.name+".socket"), nil
	case e.OnDemandExec != "":
		cmd := exec.Command("/bin/sh", "-c", e.OnDemandExec+` "$0"`, v.file)
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("emperor-on-demand-exec for %s: %w", v.file, err)
		}
		return firstLine(string(out)), nil
	}
	return "", nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// loaders gives the option that reads a file of that suffix.
var loaders = map[string]string{".ini": "--ini", ".xml": "--xml", ".yaml": "--yaml", ".yml": "--yaml",
	".json": "--json", ".js": "--json"}

// arguments are those a vassal's instance is started with: vassals-include-before …, the file,
// vassals-include …, vassals-set, in uWSGI's order.
func (v vassal) arguments(e *option.Emperor) []string {
	var args []string
	add := func(option string, values []string) {
		for _, value := range values {
			args = append(args, option, value)
		}
	}
	add("--inherit", e.InheritBefore)
	add("--include", e.IncludeBefore)
	loader := loaders[filepath.Ext(v.file)]
	if loader == "" {
		loader = "--ini"
	}
	args = append(args, loader, v.file)
	add("--inherit", e.Inherit)
	add("--include", e.Include)
	add("--set", e.Set)
	if v.socket != "" {
		args = append(args, "--socket", v.socket)
	}
	return args
}
