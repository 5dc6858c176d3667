package units

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// loaders gives the option that reads a file of that suffix, in the order in which files of one
// name are preferred (Debian's: alphabetical).
var loaders = []struct{ suffix, option string }{
	{".ini", "--ini"}, {".js", "--json"}, {".json", "--json"}, {".xml", "--xml"},
	{".yaml", "--yaml"}, {".yml", "--yaml"},
}

// app is one file of apps-enabled.
type app struct {
	name   string // base name without the suffix
	file   string
	loader string // option that reads it
}

// apps lists the files below dir, folders within included, a name once. A folder that is not there
// holds none.
func apps(h Host) ([]app, []Problem) {
	best := map[string]int{} // name → place in found
	var found []app
	var problems []Problem
	err := h.Walk(h.Apps, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path != h.Apps {
				problems = append(problems, Problem{File: path, Err: err})
			}
			return nil
		}
		rank := slices.IndexFunc(loaders, func(l struct {
			suffix,
			option string
		}) bool {
			return l.suffix == filepath.Ext(path)
		})
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if rank < 0 || name == "" || strings.HasPrefix(filepath.Base(path), ".") || d.IsDir() {
			return nil
		}
		a := app{name: name, file: path, loader: loaders[rank].option}
		at, twice := best[name]
		switch {
		case !twice:
			best[name] = len(found)
			found = append(found, a)
		case filepath.Ext(path) < filepath.Ext(found[at].file):
			problems = append(problems, Problem{File: found[at].file,
				Err: fmt.Errorf("%s has the same name and comes first", path)})
			found[at] = a
		default:
			problems = append(problems, Problem{File: path,
				Err: fmt.Errorf("%s has the same name and comes first", found[at].file)})
		}
		return nil
	})
	if err != nil {
		problems = append(problems, Problem{File: h.Apps, Err: err})
	}
	slices.SortFunc(found, func(a, b app) int { return strings.Compare(a.name, b.name) })
	return found, problems
}
