package config

import (
	"bufio"
	"fmt"
	"io"
)

// WriteShowConfig writes every pair in the order it counts, as uWSGI's show-config does. A flag
// without a value shows as true.
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
