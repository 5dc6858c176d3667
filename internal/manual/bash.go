package manual

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"uwsgi/internal/option"
)

// bash writes the script of bash. Options with the same offer share a branch.
func bash(w io.Writer) {
	var names, plain, commands []string
	branches := map[string][]string{} // what is done → options
	for _, r := range offered() {
		for _, n := range r.Names() {
			names, plain = append(names, "--"+n), append(plain, n)
		}
		if r.TakesValue() || r.Kind == option.ConfigFile {
			do := bashOffer(offerOf(&r))
			branches[do] = append(branches[do], flags(&r)...)
		}
	}
	for _, c := range Commands {
		commands = append(commands, c.Name)
	}
	fmt.Fprintf(w, `# bash completion for uwsgi, written by "uwsgi completion bash"
_uwsgi_files() { # SUFFIX ...
	local suffix
	mapfile -t COMPREPLY < <(compgen -d -- "$cur"; for suffix; do compgen -f -X "!*.$suffix" -- "$cur"; done)
}
_uwsgi_modules() {
	mapfile -t COMPREPLY < <(compgen -W "$(printf '%%s\n' *.py */wsgi.py */asgi.py | sed 's/\.py$//; /\*/d; s,/,.,g')" -- "$cur")
}
_uwsgi_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_uwsgi_options="%s"
_uwsgi() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	if [ "$cur" = "=" ]; then # --name=
		cur=
	elif [ "$prev" = "=" ] && [ "$COMP_CWORD" -gt 2 ]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	case $prev in
`, strings.Join(plain, " "))
	for _, do := range slices.Sorted(maps.Keys(branches)) {
		fmt.Fprintf(w, "\t%s)\n\t\t%s\n\t\treturn ;;\n", strings.Join(branches[do], "|"), do)
	}
	fmt.Fprint(w, "\tesac\n\tif [ \"$COMP_CWORD\" -gt 1 ]; then\n\t\tcase ${COMP_WORDS[1]} in\n")
	for _, c := range Commands {
		fmt.Fprintf(w, "\t\t%s)\n\t\t\t%s\n\t\t\treturn ;;\n", c.Name, bashOffer(byCommand[c.Name]))
	}
	fmt.Fprintf(w, `		esac
	fi
	case $cur in
	-*)
		_uwsgi_words "%s" ;;
	*)
		_uwsgi_files %s
		[ "$COMP_CWORD" -gt 1 ] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "%s" -- "$cur") ;;
	esac
}
complete -o filenames -F _uwsgi uwsgi
`, strings.Join(names, " "), strings.Join(first.files, " "), strings.Join(commands, " "))
}

// bashOffer is the commands that fill COMPREPLY.
func bashOffer(o offer) string {
	do := ""
	switch {
	case o.files != nil:
		do = "_uwsgi_files " + strings.Join(o.files, " ")
	case o.folders:
		do = `mapfile -t COMPREPLY < <(compgen -d -- "$cur")`
	case o.users:
		do = `mapfile -t COMPREPLY < <(compgen -u -- "$cur")`
	case o.groups:
		do = `mapfile -t COMPREPLY < <(compgen -g -- "$cur")`
	case o.modules:
		do = "_uwsgi_modules"
	case o.options:
		do = `_uwsgi_words "$_uwsgi_options"`
	case o.any:
		do = `mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
	case o.words != nil:
		return `_uwsgi_words "` + strings.Join(o.words, " ") + `"`
	}
	if o.words != nil {
		do += `; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "` + strings.Join(o.words, " ") + `" -- "$cur")`
	}
	if do == "" {
		return ":"
	}
	return do
}
