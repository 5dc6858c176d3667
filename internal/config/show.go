package config

import (
	"bufio"
	"fmt"
	"io"

	"uwsgi/internal/option"
)

// WriteShowConfig writes every pair in the order it counts, as uWSGI's show-config does. A flag without a value shows as true.
func (c *Config) WriteShowConfig(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprint(out, "\n;uWSGI instance configuration\n[uwsgi]\n")
	for _, p := range c.Pairs {
		value := p.Value
		if !p.Given {
			value = "true"
		}
		fmt.Fprintf(out, "%s = %s\n", p.Key, value)
	}
	fmt.Fprint(out, ";end of configuration\n\n")
}

// WriteGet writes the value of each key on a line of its own; a key without a value writes nothing.
func (c *Config) WriteGet(w io.Writer, keys []string) {
	for _, k := range keys {
		if v, ok := c.Lookup(k); ok {
			fmt.Fprintln(w, v)
		}
	}
}

// WriteOptionNames writes the name of every option, one a line.
func WriteOptionNames(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	for _, r := range option.All() {
		for _, n := range r.Names() {
			fmt.Fprintln(out, n)
		}
	}
}
