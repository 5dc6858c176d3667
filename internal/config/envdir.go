package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"uwsgi/internal/option"
)

// envdir reads a folder whose files are variables. now = early-envdir: $(NAME) sees them too.
func (r *reader) envdir(p *pair, now bool) []option.EnvOp {
	if blank(p) {
		r.doubt(p, "write "+p.Key+" = /path", errors.New("a path is expected; the line is left out"))
		return nil
	}
	dir := r.abs(p.Value)
	entries, err := r.host.ReadDir(dir)
	if err != nil {
		r.problem(p, "", fmt.Errorf("read the folder: %w", err))
		return nil
	}
	var ops []option.EnvOp
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if st, err := r.host.Stat(path); err != nil || !st.Mode().IsRegular() {
			continue
		}
		text, err := r.host.ReadFile(path)
		if err != nil {
			r.problem(p, "", fmt.Errorf("read a variable: %w", err))
			continue
		}
		op := option.EnvOp{Name: e.Name(), Unset: len(text) == 0}
		value, _, _ := strings.Cut(string(text), "\x00")
		op.Value = strings.TrimRight(value, " \t\r\n")
		ops = append(ops, op)
		if now {
			if op.Unset {
				delete(r.environ, op.Name)
			} else {
				r.environ[op.Name] = op.Value
			}
		}
	}
	return ops
}
