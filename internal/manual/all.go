package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"uwsgi/internal/option"
)

// width is that of a terminal, and indent where the text of an option stands on it.
const width, indent = 80, 30

// HelpAll writes every option, grouped: what is honoured and then, apart, what is not
// effect and what is not offered, with the reasons.
func HelpAll(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprintf(out, "%s\nCommands:\n", usage)
	for _, c := range Commands {
		entry(out, strings.TrimSpace(c.Name+" "+c.Args), c.Text)
	}
	for _, part := range []struct {
		standing option.Standing
		heading  string
	}{
		{option.Honoured, ""},
		{option.NotNeeded, "Not needed"},
		{option.Refused, "Refused"},
	} {
		if part.heading != "" {
			fmt.Fprintf(out, "\n\n%s\n%s\n", part.heading, strings.Repeat("=", len(part.heading)))
		}
		for _, g := range groups(part.standing) {
			section(out, g, part.standing, strings.TrimPrefix(string(g), part.heading+": "), part.heading)
		}
	}
}

// section writes the options of a group that have this standing. Of what is not offered it says a
// reason that several share once, and names them.
func section(w io.Writer, g option.Group, standing option.Standing, title, above string) {
	fmt.Fprintln(w)
	if title != above {
		fmt.Fprintf(w, "%s:\n", title)
	}
	var order []string // the reasons
	rows := map[string][]option.Row{}
	for _, r := range option.All() {
		if r.Group != g || r.Standing != standing {
			continue
		}
		if standing != option.Refused {
			entry(w, forms(&r), describe(&r))
			continue
		}
		if rows[r.Note] == nil {
			order = append(order, r.Note)
		}
		rows[r.Note] = append(rows[r.Note], r)
	}
	for _, note := range order {
		if len(rows[note]) == 1 {
			entry(w, forms(&rows[note][0]), describe(&rows[note][0]))
			continue
		}
		var names []string
		for _, r := range rows[note] {
			for _, n := range r.Names() {
				names = append(names, "--"+n)
			}
		}
		margin(w, wrapped(strings.Join(names, ", "), width-2), 2)
		margin(w, wrapped("["+note+"]", width-indent), indent)
	}
}

// groups returns the headings that have options of that standing, in table order.
func groups(standing option.Standing) []option.Group {
	var all []option.Group
	seen := map[option.Group]bool{}
	for _, r := range option.All() {
		if r.Standing == standing && !seen[r.Group] {
			seen[r.Group] = true
			all = append(all, r.Group)
		}
	}
	return all
}

// describe is the help of an option, and the note of one that is not honoured.
func describe(r *option.Row) string {
	if r.Standing == option.Honoured {
		return r.Help
	}
	return r.Help + " [" + r.Note + "]"
}

// entry writes a name and, beside or below it, what it stands for.
func entry(w io.Writer, name, text string) {
	names, lines := wrapped(name, width-4), wrapped(text, width-indent)
	if len(names) == 1 && utf8.RuneCountInString(name) <= indent-4 && len(lines) > 0 {
		fmt.Fprintf(w, "  %-*s%s\n", indent-2, name, lines[0])
		names, lines = nil, lines[1:]
	}
	margin(w, names, 2)
	margin(w, lines, indent)
}

// margin writes lines.
func margin(w io.Writer, lines []string, columns int) {
	for _, line := range lines {
		fmt.Fprintf(w, "%*s%s\n", columns, "", line)
	}
}

// wrapped is text in lines of so many columns; what has no blank is broken behind a comma.
func wrapped(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for {
			joined := strings.TrimLeft(line+" "+word, " ")
			if utf8.RuneCountInString(joined) <= columns {
				line = joined
				break
			}
			if line != "" {
				lines, line = append(lines, line), ""
				continue
			}
			at := strings.LastIndexByte(word[:min(columns, len(word))], ',') + 1
			if at == 0 || at == len(word) {
				line = word
				break
			}
			lines, word = append(lines, word[:at]), word[at:]
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// forms is "-p, --processes, --workers N".
func forms(r *option.Row) string {
	var parts []string
	if r.Short != 0 {
		parts = append(parts, "-"+string(rune(r.Short)))
	}
	for _, n := range r.Names() {
		parts = append(parts, "--"+n)
	}
	s := strings.Join(parts, ", ")
	if word := r.Kind.Placeholder(); r.Optional && word != "" {
		s += "[=" + word + "]"
	} else if word != "" {
		s += " " + word
	}
	return s
}
