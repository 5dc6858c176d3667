package metrics

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/area"
	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
)

// Every is how often a Collector wants a snapshot.
const Every = time.Second

// collector is what brings a metric of the configuration's up to date.
func collector(c *option.Metric, m *metric) func([]int64) (int64, error) {
	total := func(values []int64) (n int64) {
		for _, child := range m.children {
			n += values[child]
		}
		return n
	}
	switch c.Collector {
	case "file":
		return func([]int64) (int64, error) { return wordOf(c.File, c.Argument) }
	case "sum":
		return func(values []int64) (int64, error) { return total(values), nil }
	case "avg":
		return func(values []int64) (int64, error) { return total(values) / int64(max(len(m.children), 1)), nil }
	case "accumulator":
		return func(values []int64) (int64, error) { return values[m.value] + total(values), nil }
	case "adder":
		return func(values []int64) (int64, error) { return total(values) + c.Argument, nil }
	case "multiplier":
		return func(values []int64) (int64, error) { return total(values) * c.Argument, nil }
	}
	return nil
}

// wordOf is the number in a word of a file, the first is 0; 0 where it is none.
func wordOf(path string, word int64) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return 0, err
	}
	words := bytes.FieldsFunc(text, func(r rune) bool {
		return r == ' ' || r == '\t' ||
			r == '\r' || r == '\n' || r == 0
	})
	if word < 0 || word >= int64(len(words)) {
		return 0, nil
	}
	return leading(words[word]), nil
}

// leading is the number that text begins with, as C's strtoll reads it.
func leading(text []byte) int64 {
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(string(text[:end]), 10, 64) // out of range: the nearest there is
	return n
}

// Collector keeps the values of a Set up to date, in a goroutine of its own: what it reads and
// writes may be slow.
type Collector struct {
	set  *Set
	area *area.Area
	dir  string
	feed chan *stats.Snapshot
	say  func(string)

	raise  func(alarm, message string)
	limits []threshold

	base    map[string]int64 // what the server's own counters go on from
	place   string           // of dir, in the configuration
	failed  map[string]bool  // what was told
	written map[string]int64 // what the files say
	rounds  int64
}

// Start collects into a, the area of set, until Stop; say is given what goes wrong, once each.
// restored is what Restored gave; raise raises an alarm, and does not wait.
func Start(set *Set, a *area.Area, s *option.Settings, restored map[string]int64, say func(string),
	raise func(alarm, message string)) *Collector {
	c := &Collector{set: set, area: a, dir: s.MetricsDir, place: s.Place("metrics-dir", s.MetricsDir),
		feed: make(chan *stats.Snapshot, 1), say: say, raise: raise,
		limits: slices.Clone(set.limits), base: restored, failed: map[string]bool{}, written: map[string]int64{}}
	crash.Go(func() {
		for snapshot := range c.feed {
			c.collect(snapshot)
		}
	})
	return c
}

// Feed gives it the instance as it is now. It does not wait: one that is still at the last is not
// given another.
func (c *Collector) Feed(s *stats.Snapshot) {
	select {
	case c.feed <- s:
	default:
	}
}

// Stop ends it, at once or once it is done with what it has at hand.
func (c *Collector) Stop() { close(c.feed) }

func (c *Collector) collect(s *stats.Snapshot) {
	values, err := c.read()
	if err != nil {
		c.tell("metrics", fmt.Errorf("metrics: %w", err))
		return
	}
	for _, m := range c.set.list {
		switch {
		case m.live != nil:
			values[m.value] = c.live(m, s)
		case m.collect != nil && c.rounds%max(m.every, 1) == 0:
			n, err := m.collect(values)
			if err != nil {
				c.tell(m.name, err)
			}
			values[m.value] = m.initial + n
		}
	}
	c.rounds++
	c.judge(values, time.Now())
	var own []byte
	for _, n := range values[:c.set.own] {
		own = binary.NativeEndian.AppendUint64(own, uint64(n))
	}
	if _, err := c.area.File.WriteAt(own, c.valuesAt()); err != nil {
		c.tell("metrics", fmt.Errorf("metrics: %w", err))
	}
	if c.dir != "" {
		c.write(values)
	}
}

// live is one of the server's own; a counter goes on from what it was in an instance before.
func (c *Collector) live(m *metric, s *stats.Snapshot) int64 {
	if m.kind == stats.Counter {
		return c.base[m.name] + m.live(s)
	}
	return m.live(s)
}

func (c *Collector) tell(what string, err error) {
	if !c.failed[what] && !errors.Is(err, os.ErrClosed) { // the area of an instance that has ended
		c.failed[what] = true
		c.say(err.Error())
	}
}

func (c *Collector) valuesAt() int64 { return c.area.ContentAt }

func (c *Collector) read() ([]int64, error) {
	raw, values := make([]byte, 8*c.set.values), make([]int64, c.set.values)
	if _, err := c.area.ReadAt(raw, c.valuesAt()); err != nil {
		return nil, err
	}
	for i := range values {
		values[i] = int64(binary.NativeEndian.Uint64(raw[8*i:]))
	}
	return values, nil
}

// Show is what there is to show: the server's own as s says, the others as they are.
func (c *Collector) Show(s *stats.Snapshot) stats.Metrics {
	values, err := c.read()
	if err != nil {
		return nil
	}
	for _, m := range c.set.list {
		if m.live != nil {
			values[m.value] = c.live(m, s)
		}
	}
	out := make(stats.Metrics, 0, len(c.set.list))
	for _, m := range c.set.list {
		out = append(out, stats.Metric{Name: m.name, Kind: m.kind, OID: m.oid, Value: values[m.value],
			BuiltIn: m.builtIn})
	}
	return out
}

// write brings the files up to date. One that is read meanwhile may have an empty line more.
func (c *Collector) write(values []int64) {
	for _, m := range c.set.list {
		n := values[m.value]
		if was, ok := c.written[m.name]; ok && was == n {
			continue
		}
		if err := writeNumber(filepath.Join(c.dir, m.name), n); err != nil {
			c.tell(c.place, fmt.Errorf("%s: %w", c.place, err))
			continue
		}
		c.written[m.name] = n
	}
}

func writeNumber(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	text := strconv.AppendInt(nil, n, 10)
	text = append(text, '\n')
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(text)))
}

// Restored is what the files of metrics-dir say, by name.
func Restored(s *option.Settings) map[string]int64 {
	out := map[string]int64{}
	if !s.MetricsRestore || s.MetricsDir == "" {
		return out
	}
	entries, _ := os.ReadDir(s.MetricsDir)
	for _, e := range entries {
		if n, err := wordOf(filepath.Join(s.MetricsDir, e.Name()), 0); err == nil && e.Type().IsRegular() {
			out[e.Name()] = n
		}
	}
	return out
}
