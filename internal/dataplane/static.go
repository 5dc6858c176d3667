package dataplane

import "uwsgi/internal/option"

// static serves files without the application.
type static struct{}

type files struct{}

func (f *files) close() {}

func newStatic(s *option.Settings) (*static, error) { return nil, nil }

func (c *Core) serveStatic() bool { return false }
