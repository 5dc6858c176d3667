package manual

import (
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/option"
)

// zsh writes the script of zsh, for a file _uwsgi in $fpath.
func zsh(w io.Writer) {
	fmt.Fprint(w, `#compdef uwsgi
# zsh completion for uwsgi, written by "uwsgi completion zsh"
_uwsgi_modules() {
	local -a found
	found=(*.py(N:r) */(wsgi|asgi).py(N:r:gs,/,.,))
	compadd -a found
}
_uwsgi_options() {
	local -a names
	names=(
`)
	for _, r := range offered() {
		for _, n := range r.Names() {
			fmt.Fprintf(w, "\t\t%s\n", zshQuote(n+":"+short(r.Help)))
		}
	}
	fmt.Fprint(w, "\t)\n\t_describe option names\n}\n_uwsgi_commands() {\n\tlocal -a commands\n\tcommands=(\n")
	for _, c := range Commands {
		fmt.Fprintf(w, "\t\t%s\n", zshQuote(c.Name+":"+c.Help))
	}
	fmt.Fprintf(w, `	)
	_describe command commands
	%s
}
_uwsgi_serve() {
	local -a options
	options=(
`, zshOffer(first))
	for _, r := range offered() {
		for _, f := range flags(&r) {
			fmt.Fprintf(w, "\t\t%s\n", zshQuote(zshSpec(&r, f)))
		}
	}
	fmt.Fprint(w, `	)
	_arguments -s -S $options "$@"
}
_uwsgi() {
	if (( CURRENT > 2 )); then
		case $words[2] in
`)
	for _, c := range Commands {
		fmt.Fprintf(w, "\t\t%s)\n\t\t\t%s\n\t\t\treturn ;;\n", c.Name, zshOffer(byCommand[c.Name]))
	}
	fmt.Fprintf(w, `		esac
		_uwsgi_serve '*: :%s'
	else
		_uwsgi_serve '*: :_uwsgi_commands'
	fi
}
if [ "$funcstack[1]" = _uwsgi ]; then
	_uwsgi "$@"
else
	compdef _uwsgi uwsgi
fi
`, strings.ReplaceAll(zshOffer(first), "'", `'\''`))
}

// zshSpec is one option for _arguments, which takes brackets and colons for its own.
func zshSpec(r *option.Row, flag string) string {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)
	spec := "*" + flag
	long := strings.HasPrefix(flag, "--")
	switch {
	case r.TakesValue() && long:
		spec += "="
	case r.TakesValue():
		spec += "+"
	case r.Optional:
		spec += map[bool]string{true: "=-", false: "-"}[long]
	}
	spec += "[" + escape.Replace(short(r.Help)) + "]"
	if r.TakesValue() || r.Optional {
		colon := map[bool]string{true: "::", false: ":"}[r.Optional]
		spec += colon + strings.ToLower(r.Kind.Placeholder()) + ":" + strings.ReplaceAll(zshOffer(offerOf(r)), ":", `\:`)
	}
	return spec
}

// zshOffer is an action of _arguments, a command.
func zshOffer(o offer) string {
	switch {
	case o.files != nil && o.words != nil:
		return "_alternative 'files::_files -g \"" + globs(o.files) + "\"' 'words::compadd -- " +
			strings.Join(o.words, " ") + "'"
	case o.folders && o.words != nil:
		return "_alternative 'folders::_files -/' 'words::compadd -- " + strings.Join(o.words, " ") + "'"
	case o.files != nil:
		return `_files -g "` + globs(o.files) + `"`
	case o.folders:
		return "_files -/"
	case o.users:
		return "_users"
	case o.groups:
		return "_groups"
	case o.modules:
		return "_uwsgi_modules"
	case o.options:
		return "_uwsgi_options"
	case o.any:
		return "_files"
	case o.words != nil:
		return "compadd -- " + strings.Join(o.words, " ")
	}
	return ":"
}

func globs(suffixes []string) string { return "*." + strings.Join(suffixes, " *.") }

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
