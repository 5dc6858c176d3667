package metrics

import (
	"encoding/binary"
	"fmt"
	"time"

	"uwsgi/internal/option"
)

// threshold is one of a Collector.
type threshold struct {
	*option.MetricThreshold
	of     *metric
	raised time.Time
}

// thresholds finds the metrics of those that are configured.
func (set *Set) thresholds(s *option.Settings) error {
	for i := range s.MetricThresholds {
		t := &s.MetricThresholds[i]
		m := set.byName[t.Metric]
		if m == nil {
			return fmt.Errorf("metric-threshold: there is no metric %q", t.Metric)
		}
		set.limits = append(set.limits, threshold{MetricThreshold: t, of: m})
	}
	return nil
}

// judge does what happens to the values that are over their thresholds. All are looked at as they
// were before one of them was reset.
func (c *Collector) judge(values []int64, now time.Time) {
	reset := map[int]int64{}
	for i := range c.limits {
		t := &c.limits[i]
		if values[t.of.value] < t.Value {
			continue
		}
		if t.Reset {
			reset[t.of.value] = t.ResetTo
		}
		if t.Alarm != "" && (t.raised.IsZero() || now.Sub(t.raised) >= t.Rate) {
			t.raised = now
			message := t.Message
			if message == "" {
				message = t.of.name
			}
			c.raise(t.Alarm, message)
		}
	}
	for at, n := range reset {
		values[at] = n
		if at < c.set.own {
			continue // with the others
		}
		raw := binary.NativeEndian.AppendUint64(nil, uint64(n))
		if _, err := c.area.File.WriteAt(raw, c.valuesAt()+8*int64(at)); err != nil {
			c.tell("metrics", err)
		}
	}
}
