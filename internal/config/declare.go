package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"uwsgi/internal/option"
)

// declared is an option of the user's own: templates of pairs with $1, $2 … for the words of its
// value.
type declared struct {
	templates  []Pair
	takesValue bool // on the command line
}

func (r *reader) declare(p *pair) {
	name, body, ok := strings.Cut(p.Value, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		r.problem(p, "write declare-option = name=key=$1;key=$2", errors.New("there is no \"=\""))
		return
	}
	if _, taken := option.Lookup(name); taken {
		r.problem(p, "choose another name", fmt.Errorf("%s is an option already", name))
		return
	}
	var d declared
	for _, t := range strings.Split(body, ";") {
		if strings.TrimSpace(t) == "" {
			continue
		}
		key, value, _ := strings.Cut(t, "=")
		d.templates = append(d.templates, Pair{Key: strings.TrimSpace(key), Value: value, Given: true})
		d.takesValue = d.takesValue || strings.Contains(value, "$1") || strings.Contains(value, "$2") ||
			strings.Contains(value, "$3")
	}
	r.declared[name] = d
}

// runDeclared puts the pairs of declared options behind the lines that use them. A declaration may
// stand after its use.
func (r *reader) runDeclared() {
	if len(r.declared) == 0 {
		return
	}
	r.runDeclaredIn(0)
}

// maxDeclared bounds declared options that use each other.
const maxDeclared = 8

func (r *reader) runDeclaredIn(depth int) {
	old := r.pairs
	r.pairs = nil
	again := false
	for _, p := range old {
		r.pairs = append(r.pairs, p)
		d, ok := r.declared[p.Key]
		if !ok || p.mechanics {
			continue
		}
		p.mechanics = true
		if depth >= maxDeclared {
			r.problem(p, "", errors.New("declared options use each other without end"))
			continue
		}
		args := strings.Fields(p.Value)
		for _, t := range d.templates {
			again = true
			value := fill(t.Value, args)
			r.add(&pair{Pair: Pair{Key: t.Key, Value: value, Given: true, Origin: p.Origin}, source: p.source})
		}
	}
	if again {
		r.closeOpen()
		r.runDeclaredIn(depth + 1)
	}
}

// fill replaces $1 … $9 by the words.
func fill(template string, args []string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] == '$' && i+1 < len(template) && template[i+1] >= '1' && template[i+1] <= '9' {
			if n, _ := strconv.Atoi(template[i+1 : i+2]); n <= len(args) {
				b.WriteString(args[n-1])
			}
			i++
			continue
		}
		b.WriteByte(template[i])
	}
	return b.String()
}
