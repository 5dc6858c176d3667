package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/option"
)

// Completion writes the completion script of a shell, of which bash is the one known.
func Completion(w io.Writer, shell string) error {
	if shell != "" && shell != "bash" {
		return fmt.Errorf("completion for %s: there is one for bash only", shell)
	}
	var names, files []string
	for _, r := range option.All() {
		if r.Standing == option.Refused {
			continue
		}
		for _, n := range r.Names() {
			names = append(names, "--"+n)
			if r.Kind == option.Path || r.Kind == option.ConfigFile {
				files = append(files, "--"+n)
			}
		}
		if r.Short != 0 && (r.Kind == option.Path || r.Kind == option.ConfigFile) {
			files = append(files, "-"+string(rune(r.Short)))
		}
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `# bash completion for uwsgi, written by "uwsgi completion bash"
_uwsgi() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	case $prev in
	%s)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	esac
	case $cur in
	-*)
		COMPREPLY=($(compgen -W "%s" -- "$cur")) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		[ "$COMP_CWORD" -eq 1 ] && COMPREPLY+=($(compgen -W "check list status reload stop completion man" -- "$cur")) ;;
	esac
}
complete -o filenames -F _uwsgi uwsgi
`, strings.Join(files, "|"), strings.Join(names, " "))
	return out.Flush()
}
