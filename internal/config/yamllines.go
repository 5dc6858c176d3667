package config

import (
	"errors"
	"fmt"
	"strings"
)

// yamlLines reads what is no YAML the way uWSGI does where it was built without libyaml, as the one
// on PyPI is: line by line, "key: value" below the header of the section. why is what is wrong with
// the file as YAML.
func (f *file) yamlLines(text string, why error) {
	lines := strings.Split(strings.TrimPrefix(text, bom), "\n")
	from := f.yamlHeader(lines)
	if from == 0 {
		f.r.problem(f.whole(1), "", fmt.Errorf("read as YAML: %w", why))
		return
	}
	f.r.doubt(f.whole(1), "", fmt.Errorf("it is no YAML (%s) and is read line by line, as uWSGI does",
		strings.TrimPrefix(why.Error(), "yaml: ")))
	for i, line := range lines[from:] {
		line, _, _ = strings.Cut(line, "#")
		trimmed := strings.Trim(line, yamlBlanks)
		if trimmed == "" {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			return // the next section
		}
		key, value, ok := cutAny(trimmed, ": ", ":\t")
		if !ok || strings.ContainsRune("-[{", rune(trimmed[0])) {
			f.r.doubt(f.pair(from+i+1, trimmed, ""), "write KEY: VALUE",
				errors.New("reading ends here, as in uWSGI: this line and those below it do not count"))
			return
		}
		f.r.add(f.pair(from+i+1, strings.TrimRight(key, yamlBlanks), strings.TrimLeft(value, yamlBlanks)))
		if f.r.stopped() {
			return
		}
	}
}

// yamlBlanks are taken off both ends of keys and values.
const yamlBlanks = " \t\r\""

// yamlHeader is the number of the line that begins the section, 0 for none.
func (f *file) yamlHeader(lines []string) int {
	for i, line := range lines {
		if name, _, ok := strings.Cut(line, ":"); ok && name == f.wanted() {
			return i + 1
		}
	}
	return 0
}

// cutAny cuts at the first separator that is there.
func cutAny(s string, separators ...string) (before, after string, ok bool) {
	for _, separator := range separators {
		if before, after, ok = strings.Cut(s, separator); ok {
			return before, after, true
		}
	}
	return s, "", false
}
