package manual

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/option"
)

// Topic writes all about one option, by its name, the beginning of it or its letter, or about one
// command, with or without dashes. An error says that there is none, and which may be meant.
func Topic(w io.Writer, name string) error {
	out := bufio.NewWriter(w)
	defer out.Flush()
	plain := strings.TrimLeft(name, "-")
	c := command(plain)
	if c != nil && plain == name {
		fmt.Fprintf(out, "uwsgi %s\n\n", strings.TrimSpace(c.Name+" "+c.Args))
		margin(out, wrapped(c.Text, width-2), 2)
	}
	row, err := find(plain)
	if err != nil {
		if c != nil && plain == name {
			return nil
		}
		return err
	}
	if c != nil && plain == name {
		fmt.Fprintln(out)
	}
	about(out, row)
	return nil
}

// find is how the command line finds an option.
func find(name string) (*option.Row, error) {
	if r, ok := option.Lookup(name); ok {
		return r, nil
	}
	if len(name) == 1 {
		if r, ok := option.ByLetter(name[0]); ok {
			return r, nil
		}
	}
	if names := option.WithPrefix(name); name != "" && len(names) > 0 {
		first, _ := option.Lookup(names[0])
		for _, n := range names {
			if r, _ := option.Lookup(n); r != first {
				return nil, fmt.Errorf("%s is the beginning of several options: %s", name, strings.Join(names, ", "))
			}
		}
		return first, nil
	}
	if near, ok := option.Suggest(name); ok {
		return nil, fmt.Errorf("there is no option %s: do you mean %s?", name, near)
	}
	return nil, fmt.Errorf("there is no option %s: uwsgi --help-all shows all", name)
}

func about(w io.Writer, r *option.Row) {
	margin(w, wrapped(forms(r), width), 0)
	fmt.Fprintln(w)
	margin(w, wrapped(r.Help, width-2), 2)
	fmt.Fprintln(w)
	fact := func(name, text string) {
		if text != "" {
			lines := wrapped(text, width-12)
			fmt.Fprintf(w, "  %-10s%s\n", name, lines[0])
			margin(w, lines[1:], 12)
		}
	}
	fact("value", r.Kind.Means())
	if r.Standing == option.Honoured && r.Set != nil {
		unset := "not set"
		if r.Kind == option.Flag || r.Kind == option.FlagOff { // it is always so
			unset = ""
		}
		fact("default", cmp.Or(r.Unset, r.Initial(), unset))
	}
	if r.Repeat {
		fact("several", "all count")
	} else if r.Kind != option.Flag && r.Standing == option.Honoured {
		fact("several", "the last one counts")
	}
	switch r.Standing {
	case option.Honoured:
		fact("standing", "honoured")
	case option.NotNeeded:
		fact("standing", "not needed: "+r.Note)
	case option.Refused:
		fact("standing", "refused: "+r.Note)
	}
	if r.Since == "ours" {
		fact("since", "an option of this server's, which uWSGI does not have")
	}
	if r.Standing == option.Honoured {
		examples(w, r)
	}
}

// examples writes the option as a file, the command line and the environment have it.
func examples(w io.Writer, r *option.Row) {
	sample := r.Sample()
	fmt.Fprintf(w, "\n  Examples:\n")
	if !r.CLIOnly {
		value := sample
		if value == "" && (r.Kind == option.Flag || r.Kind == option.FlagOff) {
			value = "true"
		}
		fmt.Fprintf(w, "      %s\n", strings.TrimSuffix(r.Name+" = "+value, " = "))
	}
	if r.Kind == option.Block {
		if sample != "" {
			fmt.Fprintf(w, "      …\n      end%s =\n",
				map[bool]string{true: "for", false: "if"}[strings.HasPrefix(r.Name, "for")])
		}
		return
	}
	quoted := sample
	if strings.ContainsAny(sample, " $\"'()*?|&;<>\\%{}") {
		quoted = "'" + strings.ReplaceAll(sample, "'", `'\''`) + "'"
	}
	switch {
	case sample == "":
		fmt.Fprintf(w, "      uwsgi --%s\n", r.Name)
	case r.Optional:
		fmt.Fprintf(w, "      uwsgi --%s=%s\n", r.Name, quoted)
	default:
		fmt.Fprintf(w, "      uwsgi --%s %s\n", r.Name, quoted)
	}
	if !r.CLIOnly && r.Kind != option.ConfigFile {
		if sample == "" {
			quoted = "true"
		}
		fmt.Fprintf(w, "      UWSGI_%s=%s uwsgi\n", strings.ToUpper(strings.ReplaceAll(r.Name, "-", "_")), quoted)
	}
}
