package manual

import (
	"fmt"
	"io"
	"strings"
)

// fish writes the script of fish.
func fish(w io.Writer) {
	fmt.Fprint(w, `# fish completion for uwsgi, written by "uwsgi completion fish"
function __uwsgi_token --description 'what is completed, of --name=VALUE the value'
	commandline -ct | string replace -r '^--[^=]*=' ''
end
function __uwsgi_folders
	set -l token (__uwsgi_token)
	__fish_complete_directories "$token"
end
function __uwsgi_files --description 'folders, and files with one of some suffixes'
	set -l token (__uwsgi_token)
	__uwsgi_folders
	for suffix in $argv
		for file in $token*.$suffix
			echo $file
		end
	end
end
function __uwsgi_modules
	for file in *.py */wsgi.py */asgi.py
		string replace -r '\.py$' '' -- $file | string replace -a / .
	end
end
function __uwsgi_first --description 'nothing but the command has been written'
	test (count (commandline -opc)) -eq 1
end
function __uwsgi_after --description 'the command of that name has been'
	set -l words (commandline -opc)
	test (count $words) -gt 1; and test $words[2] = $argv[1]
end
function __uwsgi_options
`)
	for _, r := range offered() {
		for _, n := range r.Names() {
			fmt.Fprintf(w, "\tprintf '%%s\\t%%s\\n' %s %s\n", n, fishQuote(short(r.Help)))
		}
	}
	fmt.Fprintf(w, "end\ncomplete -c uwsgi -f\ncomplete -c uwsgi -n __uwsgi_first -a '(%s)'\n", fishOffer(first))
	for _, c := range Commands {
		fmt.Fprintf(w, "complete -c uwsgi -n __uwsgi_first -a %s -d %s\n", c.Name, fishQuote(c.Help))
		if do := fishOffer(byCommand[c.Name]); do != "" {
			fmt.Fprintf(w, "complete -c uwsgi -n '__uwsgi_after %s' -a %s\n", c.Name, fishQuote("("+do+")"))
		}
	}
	for _, r := range offered() {
		value := ""
		if r.TakesValue() {
			value = " -x"
			if o := offerOf(&r); o.any {
				value = " -r -F"
			} else if do := fishOffer(o); do != "" {
				value += " -a " + fishQuote("("+do+")")
			}
		}
		for _, f := range flags(&r) {
			name := " -s " + f[1:]
			if strings.HasPrefix(f, "--") {
				name = " -l " + f[2:]
			}
			fmt.Fprintf(w, "complete -c uwsgi%s%s -d %s\n", name, value, fishQuote(short(r.Help)))
		}
	}
}

// fishOffer is a command that writes what there is, a line each; "" for nothing.
func fishOffer(o offer) string {
	var do []string
	switch {
	case o.files != nil:
		do = append(do, "__uwsgi_files "+strings.Join(o.files, " "))
	case o.folders:
		do = append(do, "__uwsgi_folders")
	case o.users:
		do = append(do, "__fish_complete_users")
	case o.groups:
		do = append(do, "__fish_complete_groups")
	case o.modules:
		do = append(do, "__uwsgi_modules")
	case o.options:
		do = append(do, "__uwsgi_options")
	}
	if o.words != nil {
		do = append(do, `printf '%s\n' `+strings.Join(o.words, " "))
	}
	return strings.Join(do, "; ")
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
