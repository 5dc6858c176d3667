package logging

import (
	"fmt"

	"uwsgi/internal/option"
)

// sink writes messages somewhere. line is what the encoders made of r, by default the stamp, the
// text and a newline.
type sink interface {
	write(r *record, line []byte) error
	flush() error // end of a batch
	close() error
}

// logger is one destination with its name.
type logger struct {
	id   string
	name string // for messages
	sink sink
	sent int // messages since the last flush: a sink may keep them until then
	lost int // messages since the sink began to fail
}

// route sends what matches to one logger.
type route struct {
	re *option.Pattern
	to *logger
}

// chain decides where a record goes.
type chain struct {
	drain, filter []*option.Pattern
	routes        []route
	loggers       []*logger         // all of them; named ones are reached by routes only
	base          *logger           // where no unnamed logger is
	aside         *logger           // gets what passes drain and filter in any case; nil = none
	alarm         func(text string) // gets every line, but for those of alarms; nil = nobody does
	encoders      []encoder
	buf           []byte
	complain      func(string)
}

// empty reports whether the chain passes everything on to base, and to nobody else, as it is.
func (c *chain) empty() bool {
	return c.alarm == nil && (c.aside == nil || c.aside == c.base) && len(c.drain) == 0 &&
		len(c.filter) == 0 && len(c.routes) == 0 &&
		len(c.encoders) == 0 && !c.hasUnnamed()
}

func (c *chain) hasUnnamed() bool {
	for _, l := range c.loggers {
		if l.id == "" {
			return true
		}
	}
	return false
}

// write passes one record on: dropped by log-drain, kept by log-filter, taken by the routes that
// match, else given to every unnamed logger, else to base; and in any case, but once, to aside.
func (c *chain) write(r *record) {
	if c.alarm != nil && !r.ofAlarm {
		c.alarm(r.text)
	}
	for _, re := range c.drain {
		if re.MatchString(r.text) {
			return
		}
	}
	if len(c.filter) > 0 && !matchAny(c.filter, r.text) {
		return
	}
	there := c.aside == nil
	if !c.route(r, &there) && !c.spread(r, &there) {
		c.deliver(c.base, r)
		there = there || c.base == c.aside
	}
	if !there {
		c.deliver(c.aside, r)
	}
}

// route gives r to the loggers of the routes that match, and reports whether there are any; there
// is set where aside is one.
func (c *chain) route(r *record, there *bool) (taken bool) {
	for _, t := range c.routes {
		if t.re.MatchString(r.text) {
			c.deliver(t.to, r)
			taken, *there = true, *there || t.to.sink == c.aside.sink
		}
	}
	return taken
}

// spread does so with the unnamed loggers.
func (c *chain) spread(r *record, there *bool) (taken bool) {
	for _, l := range c.loggers {
		if l.id == "" {
			c.deliver(l, r)
			taken, *there = true, *there || l.sink == c.aside.sink
		}
	}
	return taken
}

func matchAny(list []*option.Pattern, text string) bool {
	for _, re := range list {
		if re.MatchString(text) {
			return true
		}
	}
	return false
}

// deliver encodes r for l and writes it.
func (c *chain) deliver(l *logger, r *record) {
	line := append(c.buf[:0], r.stamp...)
	line = append(line, r.text...)
	line = append(line, '\n')
	for i := range c.encoders {
		if e := &c.encoders[i]; e.only == "" || e.only == l.id {
			line = e.apply(line)
		}
	}
	if cap(line) <= 64<<10 {
		c.buf = line[:0]
	}
	l.sent++
	if err := l.sink.write(r, line); err != nil {
		c.failed(l, err)
	}
}

// failed counts what a sink has not taken. It is named once, and its loss told when it works again.
func (c *chain) failed(l *logger, err error) {
	if l.lost == 0 {
		c.complain(fmt.Sprintf("log %s: %v; its messages are lost until it works again", l.name, err))
	}
	l.lost += l.sent
	l.sent = 0
}

// flush ends a batch.
func (c *chain) flush() {
	for _, l := range c.loggers {
		c.flushOne(l)
	}
	c.flushOne(c.base)
	if c.aside != nil && c.aside != c.base {
		c.flushOne(c.aside)
	}
}

func (c *chain) flushOne(l *logger) {
	if l.sent == 0 {
		return
	}
	if err := l.sink.flush(); err != nil {
		c.failed(l, err)
		return
	}
	l.sent = 0
	if l.lost > 0 {
		c.complain(fmt.Sprintf("log %s works again; %d messages were lost", l.name, l.lost))
		l.lost = 0
	}
}

func compileAll(name string, patterns []string) ([]*option.Pattern, error) {
	var out []*option.Pattern
	for _, p := range patterns {
		re, err := compile(name, p)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

func compile(name, pattern string) (*option.Pattern, error) {
	p, err := option.CompilePattern(pattern)
	if err != nil {
		return nil, option.Wrong(name, pattern, err)
	}
	return p, nil
}

// addRoutes resolves the loggers' names.
func (c *chain) addRoutes(name string, routes []option.LogRoute) error {
	for _, r := range routes {
		re, err := compile(name, r.Pattern)
		if err != nil {
			return err
		}
		var to *logger
		for _, l := range c.loggers {
			if l.id == r.ID {
				to = l
			}
		}
		if to == nil {
			return option.Wrong(name, r.ID+" "+r.Pattern, fmt.Errorf("there is no logger named %s", r.ID))
		}
		c.routes = append(c.routes, route{re: re, to: to})
	}
	return nil
}
