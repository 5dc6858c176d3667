package project

import (
	"path/filepath"
	"strings"
)

var (
	settingsModule = lazy(`DJANGO_SETTINGS_MODULE['"]\s*,\s*['"]([\w.]+)['"]`)
	wsgiSetting    = lazy(`(?m)^WSGI_APPLICATION\s*=\s*['"]([\w.]+)\.(\w+)['"]`)
	asgiSetting    = lazy(`(?m)^ASGI_APPLICATION\s*=\s*['"]([\w.]+)\.(\w+)['"]`)
	staticURL      = lazy(`(?m)^STATIC_URL\s*=\s*['"]/?([\w./-]+)['"]`)
	staticRoot     = lazy(`(?m)^STATIC_ROOT\s*=\s*(?:str\()?(?:BASE_DIR\s*/\s*['"]([\w./-]+)['"]|` +
		`os\.path\.join\(BASE_DIR,\s*['"]([\w./-]+)['"]\)|['"]([\w./-]+)['"])`)
)

// django takes a project that manage.py shows to be one of Django's. Where the settings name both
// interfaces it is ASGI's: startproject writes WSGI_APPLICATION only.
func (p *Project) django() bool {
	root := p.Dir
	manage := read(filepath.Join(root, "manage.py"))
	for _, below := range folders(root) {
		if manage == "" {
			if manage = read(filepath.Join(root, below, "manage.py")); manage != "" {
				p.Dir = filepath.Join(root, below)
			}
		}
	}
	m := settingsModule.FindStringSubmatch(manage)
	if m == nil {
		p.Dir = root
		return false
	}
	p.Kind, p.From = "Django", "manage.py"
	settings := p.settings(m[1])
	wsgi, asgi := wsgiSetting.FindStringSubmatch(settings), asgiSetting.FindStringSubmatch(settings)
	pkg, _, _ := strings.Cut(m[1], ".")
	switch {
	case asgi != nil:
		p.Module, p.ASGI = asgi[1]+":"+asgi[2], true
		if wsgi != nil {
			p.Others = []string{wsgi[1] + ":" + wsgi[2]}
		}
	case wsgi != nil:
		p.Module = wsgi[1] + ":" + wsgi[2]
	case !isFile(filepath.Join(p.Dir, pkg, "wsgi.py")) && isFile(filepath.Join(p.Dir, pkg, "asgi.py")):
		p.Module, p.ASGI = pkg+".asgi:application", true
	default:
		p.Module = pkg + ".wsgi:application"
	}
	if u := staticURL.FindStringSubmatch(settings); u != nil {
		p.StaticURL = "/" + strings.Trim(u[1], "/")
	}
	if r := staticRoot.FindStringSubmatch(settings); r != nil {
		p.Static = strings.TrimRight(r[1]+r[2]+r[3], "/")
		if !filepath.IsAbs(p.Static) {
			p.Static = filepath.Join(p.Dir, p.Static)
		}
	}
	return true
}

// settings is the text of the settings, and of what else stands in their package: base.py, say.
func (p *Project) settings(module string) string {
	path := filepath.Join(p.Dir, filepath.FromSlash(strings.ReplaceAll(module, ".", "/")))
	all := read(path+".py") + "\n" + read(filepath.Join(path, "__init__.py"))
	in := filepath.Dir(path)
	if strings.Count(module, ".") < 2 && !isFile(filepath.Join(path, "__init__.py")) {
		return all // mysite.settings: what lies beside it is no settings
	}
	if isFile(filepath.Join(path, "__init__.py")) {
		in = path
	}
	for _, n := range []string{"base.py", "common.py", "defaults.py", "settings.py"} {
		all += "\n" + read(filepath.Join(in, n))
	}
	return all
}
