package project

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// files are where an application is likely to stand, the likeliest first.
var files = []string{"wsgi.py", "asgi.py", "app.py", "main.py", "application.py", "server.py", "run.py", "api.py",
	"web.py", "__init__.py"}

// asynchronous are the classes whose objects are ASGI applications, and synchronous those of WSGI.
const (
	asynchronous = `FastAPI|Starlette|Quart|Litestar|BlackSheep|Robyn|get_asgi_application|ProtocolTypeRouter`
	synchronous  = `Flask|Bottle|Dash|APIFlask|OpenAPI|get_wsgi_application|make_wsgi_app|Falcon`
)

var (
	made      = lazy(`(?m)^(\w+)\s*(?::[^=\n]+)?=\s*(?:[\w.]+\.)?(` + asynchronous + `|` + synchronous + `)\(`)
	falcon    = lazy(`(?m)^(\w+)\s*(?::[^=\n]+)?=\s*falcon\.(asgi\.)?A(?:pp|PI)\(`)
	called    = lazy(`(?m)^(application|app)\s*=\s*(create_app|make_app|get_app|build_app|\w*factory)\(`)
	imported  = lazy(`(?m)^from\s+[\w.]+\s+import\b[^\n]*?\b(application|app)\s*(?:,|#|$)`)
	function  = lazy(`(?m)^def (\w+)\(\s*(?:environ|env)\s*,\s*(?:start_response|sr|start)\b`)
	coroutine = lazy(`(?m)^async def (\w+)\(\s*scope\s*,\s*receive\s*,\s*send\b`)
	factory   = lazy(`(?m)^def (create_app|make_app|get_app|build_app|app_factory)\((\)|[^)]*=[^)]*\))`)
	anyAsync  = lazy(`\b(?:` + asynchronous + `)\(`)
	classes   = lazy(`\b(FastAPI|Starlette|Quart|Litestar|BlackSheep|Flask|Bottle|Dash|APIFlask)\(`)
)

// candidate is one application that a file seems to have.
type candidate struct {
	kind, module, from string
	asgi               bool
	rank               int // the less the likelier
}

// plain looks for an application in the usual files: here, in src, and in packages.
func (p *Project) plain() bool {
	var all []candidate
	look := func(root, pkg string) {
		for i, n := range files {
			if pkg == "" && n == "__init__.py" {
				continue
			}
			c := applicationIn(read(filepath.Join(p.Dir, root, pkg, n)))
			if c == nil {
				continue
			}
			module := strings.TrimSuffix(n, ".py")
			if n == "__init__.py" {
				module = ""
			}
			c.module = strings.Trim(pkg+"."+module, ".") + ":" + c.module
			c.from = filepath.Join(root, pkg, n)
			c.rank += 2*i + len(files)*strings.Count(c.from, "/")
			all = append(all, *c)
		}
	}
	roots := []string{""}
	if !isFile(filepath.Join(p.Dir, "src", "__init__.py")) {
		roots = append(roots, "src")
	}
	for _, root := range roots {
		look(root, "")
		for _, pkg := range folders(filepath.Join(p.Dir, root)) {
			if pkg != "src" || isFile(filepath.Join(p.Dir, "src", "__init__.py")) {
				look(root, pkg)
			}
		}
	}
	if len(all) == 0 {
		return false
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	best := all[0]
	p.Kind, p.Module, p.ASGI, p.From = best.kind, best.module, best.asgi, best.from
	if strings.HasPrefix(best.from, "src"+string(filepath.Separator)) && !strings.HasPrefix(best.module, "src.") {
		p.Dir = filepath.Join(p.Dir, "src")
	}
	for _, c := range all[1:] {
		p.Others = append(p.Others, c.module)
	}
	return true
}

// applicationIn finds what a file calls its application, nil where it has none.
func applicationIn(text string) *candidate {
	kind := ""
	if m := classes.FindStringSubmatch(text); m != nil {
		kind = m[1]
	}
	asgi := anyAsync.MatchString(text)
	switch {
	case coroutine.MatchString(text):
		return &candidate{kind: "ASGI", module: coroutine.FindStringSubmatch(text)[1], asgi: true}
	case made.MatchString(text):
		best := made.FindStringSubmatch(text)
		for _, m := range made.FindAllStringSubmatch(text, -1) { // several: the one with the usual name
			if m[1] == "application" || m[1] == "app" && best[1] != "application" {
				best = m
			}
		}
		c := &candidate{kind: best[2], module: best[1], asgi: anyAsync.MatchString(best[2] + "(")}
		switch best[2] {
		case "get_wsgi_application", "get_asgi_application", "ProtocolTypeRouter":
			c.kind = "Django"
		}
		return c
	case falcon.MatchString(text):
		m := falcon.FindStringSubmatch(text)
		return &candidate{kind: "Falcon", module: m[1], asgi: m[2] != ""}
	case called.MatchString(text):
		return &candidate{kind: kind, module: called.FindStringSubmatch(text)[1], asgi: asgi}
	case factory.MatchString(text):
		return &candidate{kind: kind, module: factory.FindStringSubmatch(text)[1] + "()", asgi: asgi, rank: 1}
	case function.MatchString(text):
		return &candidate{kind: "WSGI", module: function.FindStringSubmatch(text)[1]}
	case imported.MatchString(text):
		return &candidate{kind: kind, module: imported.FindStringSubmatch(text)[1], asgi: asgi, rank: 1}
	}
	return nil
}
