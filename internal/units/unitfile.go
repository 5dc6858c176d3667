package units

import (
	"strconv"
	"strings"
	"time"
)

// unitFile writes the text of a drop-in: systemd.syntax(7).
type unitFile struct{ strings.Builder }

func (u *unitFile) comment(text string) {
	u.WriteString("# " + oneLine(text) + "\n")
}

func (u *unitFile) section(name string) { u.WriteString("\n[" + name + "]\n") }

// set writes an assignment whose value is taken as it is, specifiers aside. A backslash at its end
// would take the next line in.
func (u *unitFile) set(key, value string) {
	u.WriteString(key + "=" + strings.TrimRight(strings.ReplaceAll(oneLine(value), "%", "%%"), `\ `) + "\n")
}

// words writes an assignment of words that may hold blanks: a command line, a list of paths. A
// leading "-" stays outside the quotes.
func (u *unitFile) words(key string, words ...string) {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = word(w)
	}
	u.WriteString(key + "=" + strings.Join(quoted, " ") + "\n")
}

// reset takes back what was assigned before.
func (u *unitFile) reset(key string) { u.WriteString(key + "=\n") }

// word quotes one word.
func word(w string) string {
	w = strings.ReplaceAll(oneLine(w), "%", "%%")
	if w != "" && !strings.ContainsAny(w, " \t\"'\\;#") {
		return w
	}
	mark := ""
	if strings.HasPrefix(w, "-/") {
		mark, w = "-", w[1:]
	}
	return mark + `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

// argument quotes one argument of a command line, where $ names a variable.
func argument(w string) string { return strings.ReplaceAll(w, "$", "$$") }

// oneLine keeps a value on its line: nothing that is read from a configuration can begin another
// assignment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
