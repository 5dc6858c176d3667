// Package manual is what the table of options prints: the help, the manual pages, completion.
package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/option"
)

const usage = `Usage: uwsgi [options...] [FILE.ini | MODULE:CALLABLE | FILE.py]
       uwsgi check FILE [--json]      judge a configuration without starting
       uwsgi list                     show the instances of this machine (also: status)
       uwsgi reload PIDFILE           reload an instance, by pidfile or process id, and wait for what comes of it
       uwsgi stop PIDFILE             stop one
       uwsgi completion bash          write a completion script
       uwsgi man [uwsgi.ini]          write the manual page (roff)

Every option can stand on the command line as --name VALUE, in a file as name = value, and in the environment as
UWSGI_NAME=value.
`

// groups returns the headings in table order.
func groups() []option.Group {
	var all []option.Group
	seen := map[option.Group]bool{}
	for _, r := range option.All() {
		if !seen[r.Group] {
			seen[r.Group] = true
			all = append(all, r.Group)
		}
	}
	return all
}

// Help writes every option, grouped: what is obeyed with its help, what is not needed or not
// offered with the reason.
func Help(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprint(out, usage)
	for _, g := range groups() {
		fmt.Fprintf(out, "\n%s:\n", g)
		for _, r := range option.All() {
			if r.Group != g {
				continue
			}
			text := r.Help
			if r.Standing != option.Supported {
				text = r.Help + " [" + r.Note + "]"
			}
			fmt.Fprintf(out, "    %-44s %s\n", forms(&r), text)
		}
	}
}

// forms is "-p|--processes|--workers N".
func forms(r *option.Row) string {
	var parts []string
	if r.Short != 0 {
		parts = append(parts, "-"+string(rune(r.Short)))
	}
	for _, n := range r.Names() {
		parts = append(parts, "--"+n)
	}
	s := strings.Join(parts, "|")
	if word := r.Kind.Placeholder(); r.Optional && word != "" {
		s += "[=" + word + "]"
	} else if word != "" {
		s += " " + word
	}
	return s
}
