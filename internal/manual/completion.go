package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/option"
)

// Completion writes the completion script of a shell: bash ("" too), zsh or fish.
func Completion(w io.Writer, shell string) error {
	out := bufio.NewWriter(w)
	switch shell {
	case "", "bash":
		bash(out)
	case "zsh":
		zsh(out)
	case "fish":
		fish(out)
	default:
		return fmt.Errorf("completion for %s: there is one for bash, zsh and fish", shell)
	}
	return out.Flush()
}

// offer is what fits behind an option or a command.
type offer struct {
	files   []string // suffixes; folders on the way are offered, too
	folders bool
	any     bool // any file
	users   bool
	groups  bool
	modules bool     // names of Python modules: wsgi, mysite.wsgi
	options bool     // names of options, without dashes
	words   []string // and these
}

// configurations are the suffixes of files that hold one.
var configurations = []string{"ini", "yaml", "yml", "json", "xml"}

var byName = map[string]offer{
	"ini": {files: []string{"ini"}}, "yaml": {files: []string{"yaml", "yml"}}, "json": {files: []string{"json"}},
	"xml": {files: []string{"xml"}}, "config": {files: configurations}, "include": {files: configurations},
	"inherit": {files: configurations}, "fallback-config": {files: configurations},
	"ini-paste": {files: []string{"ini"}}, "ini-paste-logged": {files: []string{"ini"}},
	"wsgi-file": {files: []string{"py", "wsgi"}}, "asgi-file": {files: []string{"py"}},
	"pyrun": {files: []string{"py"}},
	"stop":  {files: []string{"pid"}}, "reload": {files: []string{"pid"}}, "pause": {files: []string{"pid"}},
	"suspend": {files: []string{"pid"}}, "resume": {files: []string{"pid"}},
	"chdir": {folders: true}, "chdir2": {folders: true}, "home": {folders: true}, "pythonpath": {folders: true},
	"check-static": {folders: true}, "static-safe": {folders: true}, "static-gzip-dir": {folders: true},
	"spooler": {folders: true}, "emperor": {folders: true}, "envdir": {folders: true}, "early-envdir": {folders: true},
	"uid": {users: true}, "gid": {groups: true}, "add-gid": {groups: true}, "chown-socket": {users: true},
	"module": {modules: true}, "asgi": {modules: true}, "import": {modules: true}, "shared-import": {modules: true},
	"protocol":        {words: option.Protocols},
	"asgi-loop":       {words: []string{"auto", "asyncio", "uvloop"}},
	"lifespan":        {words: []string{"auto", "on", "off"}},
	"get":             {options: true},
	"socket":          {any: true},
	"cheaper-algo":    {words: []string{"spare", "spare2", "backlog", "busyness", "manual"}},
	"file-serve-mode": {words: []string{"x-accel-redirect", "x-sendfile"}},
}

var byCommand = map[string]offer{
	"check":      {files: configurations, words: []string{"--json", "--syntax"}},
	"init":       {folders: true, words: []string{"--write"}},
	"list":       {words: []string{"--json"}},
	"reload":     {files: []string{"pid"}},
	"stop":       {files: []string{"pid"}},
	"spool":      {folders: true, words: []string{"show", "retry", "drop", "--failed", "--json"}},
	"help":       {options: true},
	"completion": {words: []string{"bash", "zsh", "fish"}},
	"man":        {words: []string{"uwsgi", "uwsgi.ini"}},
}

// first is what may stand first, besides commands and options.
var first = offer{files: append([]string{"py"}, configurations...)}

// offerOf is what fits as the value of an option.
func offerOf(r *option.Row) offer {
	if o, ok := byName[r.Name]; ok {
		return o
	}
	return offer{any: r.Kind == option.Path}
}

// offered are the options that are completed: those that are not refused.
func offered() []option.Row {
	var all []option.Row
	for _, r := range option.All() {
		if r.Standing != option.Refused {
			all = append(all, r)
		}
	}
	return all
}

// flags are all ways to write an option: --name, and -x.
func flags(r *option.Row) []string {
	var all []string
	for _, n := range r.Names() {
		all = append(all, "--"+n)
	}
	if by, ok := option.ByLetter(r.Short); ok && by.Name == r.Name {
		all = append(all, "-"+string(rune(r.Short)))
	}
	return all
}

// short is a help in few words, for a list.
func short(text string) string {
	const most = 70
	for _, end := range []string{"; ", " (", ": "} {
		if i := strings.Index(text, end); i > 0 {
			text = text[:i]
		}
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
