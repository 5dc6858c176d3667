// Package metrics is the supervisor's side of uWSGI's metrics: which there are, the memory that
// holds their values (cmd/uwsgi-shared/metrics.c works in it), and what brings those up to date
// that the application does not set itself.
package metrics

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"uwsgi/internal/area"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
)

// Kind is what their area is called.
const Kind = "metrics"

// The layout of cmd/uwsgi-shared/metrics.h.
const (
	magic     = 0x315352544d575555
	head      = area.Base + 32
	entrySize = 16

	collected = 1 // an entry's flag: the application does not set it
)

// metric is one of a Set. Its value is one of the area's, which an alias has of another metric.
type metric struct {
	name, oid string
	kind      stats.MetricKind
	value     int
	initial   int64
	// live tells the value from a snapshot: of the server's own.
	live func(*stats.Snapshot) int64
	// collect gives the next value from those of all; nil with live nil = the application sets it.
	collect  func(values []int64) (int64, error)
	every    int64 // seconds from one collect to the next
	children []int // values
	builtIn  bool  // the server's own
}

// set reports whether the application sets it.
func (m *metric) set() bool { return m.live == nil && m.collect == nil && m.kind != stats.Alias }

// Set is the metrics of a configuration, in uWSGI's order.
type Set struct {
	list   []*metric
	values int
	own    int // the first so many values are those that the server writes
	byName map[string]*metric
	limits []threshold
}

// New makes the metrics that s asks for, nil where it asks for none; sockets is how many listening
// sockets there are. A name of the configuration takes the place of one of the server's own.
func New(s *option.Settings, sockets int) (*Set, error) {
	if !s.EnableMetrics {
		return nil, nil
	}
	set := &Set{byName: map[string]*metric{}}
	for _, m := range builtIn(s, sockets) {
		m.builtIn = true
		set.add(m)
	}
	for i := range s.Metrics {
		if err := set.configured(&s.Metrics[i]); err != nil {
			return nil, err
		}
	}
	for _, own := range []bool{true, false} { // theirs are written in one piece
		for _, m := range set.list {
			if m.kind != stats.Alias && m.set() != own {
				m.value = set.values
				set.values++
			}
		}
		if own {
			set.own = set.values
		}
	}
	if err := set.link(s); err != nil {
		return nil, err
	}
	return set, set.thresholds(s)
}

func (set *Set) add(m *metric) {
	if old := set.byName[m.name]; old != nil {
		*old = *m
		return
	}
	set.byName[m.name] = m
	set.list = append(set.list, m)
}

func (set *Set) configured(c *option.Metric) error {
	m := &metric{name: c.Name, oid: c.OID, kind: stats.MetricKinds[c.Type], initial: c.Initial,
		every: int64(c.Every.Seconds())}
	m.collect = collector(c, m)
	if collect := m.collect; collect != nil {
		m.collect = func(values []int64) (int64, error) {
			n, err := collect(values)
			if err != nil {
				err = c.Wrong(err)
			}
			return n, err
		}
	}
	for _, name := range append(slices.Clone(c.Children), c.Of) {
		if name != "" && set.byName[name] == nil {
			return c.Wrong(fmt.Errorf("there is no metric %q", name))
		}
	}
	set.add(m)
	return nil
}

// link finds the values that metrics have of others.
func (set *Set) link(s *option.Settings) error {
	of := map[string]string{"rss_size": "core.total_rss", "vsz_size": "core.total_vsz"}
	for i := range s.Metrics {
		c := &s.Metrics[i]
		delete(of, c.Name)
		if c.Type == "alias" {
			of[c.Name] = c.Of
		}
		m := set.byName[c.Name]
		m.children = nil
		for _, name := range c.Children {
			m.children = append(m.children, set.valueOf(name, of))
		}
	}
	for _, m := range set.list {
		if m.kind != stats.Alias {
			continue
		}
		if m.value = set.valueOf(m.name, of); m.value < 0 {
			return fmt.Errorf("metric %s is an alias of itself", m.name)
		}
		m.oid = set.byName[of[m.name]].oid
	}
	return nil
}

// valueOf follows aliases; -1: they lead nowhere.
func (set *Set) valueOf(name string, of map[string]string) int {
	for range set.list {
		m := set.byName[name]
		if m.kind != stats.Alias {
			return m.value
		}
		name = of[name]
	}
	return -1
}

// Spec is their area. A new one begins with the values that old, where it is not nil, has under the
// same names, then with what restored says, then with the configured ones.
func (set *Set) Spec(old *area.Area, restored map[string]int64) area.Spec {
	sorted := slices.Clone(set.list)
	slices.SortFunc(sorted, func(a, b *metric) int { return cmp.Compare(a.name, b.name) })
	var entries, names []byte
	namesAt := head + entrySize*len(sorted)
	for _, m := range sorted {
		flags := uint32(0)
		if !m.set() {
			flags = collected
		}
		for _, word := range []uint32{uint32(namesAt + len(names)), uint32(len(m.name)), uint32(m.value), flags} {
			entries = binary.NativeEndian.AppendUint32(entries, word)
		}
		names = append(names, m.name...)
	}
	valuesAt := (namesAt + len(names) + 63) &^ 63
	size := valuesAt + 8*set.values
	var geometry []byte
	for _, word := range []int{len(sorted), set.values, valuesAt, size} {
		geometry = binary.NativeEndian.AppendUint64(geometry, uint64(word))
	}
	geometry = append(append(geometry, entries...), names...)
	return area.Spec{Kind: Kind, Name: Kind, Magic: magic, Geometry: geometry, Size: int64(size),
		Content: set.first(old, restored), ContentAt: int64(valuesAt)}
}

func (set *Set) first(old *area.Area, restored map[string]int64) []byte {
	before := values(old)
	var content []byte
	at := make([]int64, set.values)
	for _, m := range set.list {
		if m.kind == stats.Alias {
			continue
		}
		at[m.value] = m.initial
		if n, ok := restored[m.name]; ok && m.live == nil {
			at[m.value] = n
		}
		if n, ok := before[m.name]; ok {
			at[m.value] = n
		}
	}
	for _, n := range at {
		content = binary.NativeEndian.AppendUint64(content, uint64(n))
	}
	return content
}

// values are those of an area by name: of those that are not aliases.
func values(a *area.Area) map[string]int64 {
	if a == nil {
		return nil
	}
	whole, out := make([]byte, a.Size), map[string]int64{}
	if _, err := a.ReadAt(whole, 0); err != nil {
		return nil
	}
	g := a.Geometry
	word := func(b []byte, i int) int { return int(binary.NativeEndian.Uint32(b[4*i:])) }
	valuesAt := int(binary.NativeEndian.Uint64(g[16:]))
	for i := range int(binary.NativeEndian.Uint64(g)) {
		entry := g[head-area.Base+entrySize*i:]
		name := g[word(entry, 0)-area.Base:][:word(entry, 1)]
		out[string(name)] = int64(binary.NativeEndian.Uint64(whole[valuesAt+8*word(entry, 2):]))
	}
	return out
}
