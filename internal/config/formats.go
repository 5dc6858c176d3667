package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

// barePercent is a YAML value that begins with a percent sign. YAML forbids it, uWSGI's users write
// it: chdir: %(base)/x.
var barePercent = regexp.MustCompile(`(?m)^(\s*(?:- +)?(?:[\w.-]+:[ \t]+)?)(%[^\r\n]*?)[ \t]*\r?$`)

// yaml reads the mapping under the wanted key: scalars, and sequences that repeat the key.
func (f *file) yaml(text string) {
	text = barePercent.ReplaceAllStringFunc(f.magic.expandText(f, text), func(line string) string {
		m := barePercent.FindStringSubmatch(line)
		return m[1] + "'" + strings.ReplaceAll(m[2], "'", "''") + "'"
	})
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		f.yamlLines(text, err)
		return
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		f.missing(1, "key", nil)
		return
	}
	root := doc.Content[0].Content
	var there []string
	for i := 0; i+1 < len(root); i += 2 {
		there = append(there, root[i].Value)
		if root[i].Value != f.wanted() || root[i+1].Kind != yaml.MappingNode {
			continue
		}
		pairs := root[i+1].Content
		for j := 0; j+1 < len(pairs) && !f.r.stopped(); j += 2 {
			f.yamlPair(pairs[j], pairs[j+1])
		}
		return
	}
	f.missing(1, "key", there)
}

func (f *file) yamlPair(key, value *yaml.Node) {
	switch value.Kind {
	case yaml.AliasNode:
		if value.Alias != nil && value.Alias.Kind == yaml.ScalarNode {
			f.r.add(f.pair(key.Line, key.Value, value.Alias.Value))
		}
	case yaml.ScalarNode:
		if value.Tag == "!!null" {
			return // "an empty value is left out", as in uWSGI
		}
		f.r.add(f.pair(key.Line, key.Value, value.Value))
	case yaml.SequenceNode:
		for _, item := range value.Content {
			if item.Kind == yaml.ScalarNode {
				f.r.add(f.pair(item.Line, key.Value, item.Value))
			}
		}
	default:
		f.r.doubt(f.pair(key.Line, key.Value, ""), "write one level of keys",
			errors.New("a mapping inside is not read"))
	}
}

// json reads the wanted object: strings and numbers as text, true as 1, false and null as 0, arrays
// repeat the key.
func (f *file) json(text string) {
	raw := []byte(strings.TrimPrefix(f.magic.expandText(f, text), bom))
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	fail := func(err error) {
		f.r.problem(f.whole(lineAt(raw, d.InputOffset())), "", fmt.Errorf("read as JSON: %w", err))
	}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if err == nil {
			err = errors.New("an object is expected")
		}
		fail(err)
		return
	}
	var there []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			fail(err)
			return
		}
		if name != f.wanted() {
			there = append(there, fmt.Sprint(name))
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				fail(err)
				return
			}
			continue
		}
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			fail(errors.Join(err, fmt.Errorf("%s is no object", f.wanted())))
			return
		}
		for d.More() && !f.r.stopped() {
			key, err := d.Token()
			at := lineAt(raw, d.InputOffset())
			var value any
			if err == nil {
				err = d.Decode(&value)
			}
			if err != nil {
				fail(err)
				return
			}
			f.jsonPair(at, fmt.Sprint(key), value)
		}
		if _, err := d.Token(); err != nil && !f.r.stopped() {
			fail(err)
		}
		return
	}
	f.r.problem(f.whole(1), strings.TrimSuffix("the file has "+strings.Join(there, ", "), "the file has "),
		fmt.Errorf("there is no object named %s", f.wanted()))
}

func (f *file) jsonPair(at int, key string, value any) {
	switch v := value.(type) {
	case string:
		f.r.add(f.pair(at, key, v))
	case json.Number:
		f.r.add(f.pair(at, key, v.String()))
	case bool:
		text := "0"
		if v {
			text = "1"
		}
		f.r.add(f.pair(at, key, text))
	case nil:
		f.r.add(f.pair(at, key, "0"))
	case []any:
		for _, item := range v {
			if _, nested := item.([]any); !nested {
				f.jsonPair(at, key, item)
			}
		}
	default:
		f.r.doubt(f.pair(at, key, ""), "write one level of keys", errors.New("an object inside is not read"))
	}
}

// lineAt is the line of an offset.
func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
}

// xml reads the first <uwsgi> element (the one with the wanted id, if one is named):
// <key>value</key>, <key/> is 1.
func (f *file) xml(text string) {
	d := xml.NewDecoder(strings.NewReader(f.magic.expandText(f, text)))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	inside := false // the wanted <uwsgi>
	seen := map[string]bool{}
	var key string
	var at int
	var value strings.Builder
	for !f.r.stopped() {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := d.InputPos()
		if err != nil {
			f.r.problem(f.whole(line), "", fmt.Errorf("read as XML: %w", err))
			return
		}
		switch t := t.(type) {
		case xml.StartElement:
			switch {
			case !inside && t.Name.Local == "uwsgi":
				id := attribute(t, "id")
				inside = f.section == "" || id == f.section
				seen[id] = true
			case inside && key == "":
				key, at = t.Name.Local, line
				value.Reset()
			case inside:
				if err := d.Skip(); err != nil {
					f.r.problem(f.pair(line, key, ""), "", fmt.Errorf("read as XML: %w", err))
					return
				}
			}
		case xml.CharData:
			if key != "" {
				value.Write(t)
			}
		case xml.EndElement:
			switch {
			case key != "" && t.Name.Local == key:
				text := strings.TrimSpace(value.String())
				if text == "" {
					text = "1"
				}
				f.r.add(f.pair(at, key, text))
				key = ""
			case inside && t.Name.Local == "uwsgi":
				return
			}
		}
	}
	if !inside {
		var there []string
		for id := range seen {
			there = append(there, fmt.Sprintf("id=%q", id))
		}
		sort.Strings(there)
		f.missing(1, "element <uwsgi>", there)
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
