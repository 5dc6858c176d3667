package project

import (
	"fmt"
	"io"
	"strings"
)

// INI writes the configuration. at is the path that the file has, or will have.
func (p *Project) INI(w io.Writer, at string) {
	kind := p.Kind
	if kind == "" {
		kind = "an application"
	}
	fmt.Fprintf(w, "# %s: %s, found in %s (uwsgi init)\n#\n", p.Name, kind, p.From)
	for _, line := range [][2]string{{shell(at), "serve it"}, {"check " + shell(at), "judge every line"},
		{"help harakiri", "what an option does"}} {
		fmt.Fprintf(w, "#   uwsgi %-20s # %s\n", line[0], line[1])
	}
	fmt.Fprint(w, "\n[uwsgi]\n")
	fmt.Fprintf(w, "# The application: its folder, its virtualenv, and what serves.\nchdir = %s\n", value(p.Dir))
	if p.Venv != "" {
		fmt.Fprintf(w, "home = %s\n", value(p.Venv))
	} else {
		fmt.Fprint(w, "# No virtualenv was found, so the first python3 on PATH runs it. Otherwise:\n"+
			"# home = /path/of/the/virtualenv\n")
	}
	if p.ASGI {
		fmt.Fprintf(w, "asgi = %s\n", value(p.Module))
	} else {
		fmt.Fprintf(w, "module = %s\n", value(p.Module))
	}
	for _, other := range p.Others {
		fmt.Fprintf(w, "# also found: %s\n", other)
	}
	fmt.Fprint(w, "\n# Where it listens. The unit uwsgi@"+p.Name+
		" has a unix socket for nginx besides: take this out then.\n"+
		"http = 127.0.0.1:8000\n")
	fmt.Fprint(w, "\n# One import, and a worker for each CPU")
	if p.ASGI {
		fmt.Fprint(w, "; each has many requests in flight on its event loop.\nmaster = true\nprocesses = %k\n")
	} else {
		fmt.Fprint(w, ", with threads for requests that wait.\nmaster = true\nprocesses = %k\nthreads = 4\n")
	}
	fmt.Fprint(w, "\n# A request that takes longer than a minute ends with a 504, and its stacks are in "+
		"the log.\nharakiri = 60\n")
	fmt.Fprint(w, "\n# A request that each new worker answers before it serves: with a 5xx the start, "+
		"or the reload, fails.\n")
	if p.Kind == "Django" {
		fmt.Fprint(w, "# Django imports urls.py and the views in the first one only.\n")
	}
	fmt.Fprint(w, "# warmup = /\n")
	if p.StaticURL != "" {
		fmt.Fprint(w, "\n# Static files, without Django: after python manage.py collectstatic.\n")
		if p.Static != "" {
			fmt.Fprintf(w, "static-map = %s=%s\n", p.StaticURL, value(p.Static))
		} else {
			fmt.Fprintf(w, "# static-map = %s=/the folder of STATIC_ROOT\n", p.StaticURL)
		}
	}
	fmt.Fprint(w, "\n# Who it runs as, where root starts it.\n# uid = www-data\n# gid = www-data\n")
}

// Further writes what comes next, as comments that may stand behind the configuration: nginx and
// systemd.
func (p *Project) Further(w io.Writer, at string) {
	text := `As a service (root; the package's units):

  cp ` + shell(at) + ` /etc/uwsgi/apps-enabled/` + p.Name + `.ini
  systemctl daemon-reload
  systemctl enable --now uwsgi@` + p.Name + `
  systemctl reload uwsgi@` + p.Name + `        # new code, without a lost request

nginx, inside a server block:

  location / {
      include /etc/nginx/uwsgi_params;
      uwsgi_pass unix:/run/uwsgi/app/` + p.Name + `/socket;
  }
`
	if p.Static != "" && p.StaticURL != "" {
		text += `  location ` + p.StaticURL + `/ {
      alias ` + p.Static + `/;
  }
`
	}
	for line := range strings.Lines(text) {
		fmt.Fprint(w, strings.TrimRight("# "+strings.TrimRight(line, "\n"), " ")+"\n")
	}
}

// value is text as a line of an ini has it.
func value(text string) string {
	text = strings.ReplaceAll(text, "%", "%%")
	if strings.ContainsAny(text, "#;'\"") {
		return `"` + text + `"`
	}
	return text
}

// shell is text as a word of a command.
func shell(text string) string {
	if text != "" &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
