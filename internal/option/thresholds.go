package option

import (
	"strconv"
	"strings"
	"time"
)

// MetricThreshold is what happens once a second while a metric has so much.
type MetricThreshold struct {
	Metric  string
	Value   int64         // or more
	Alarm   string        // that is raised; "" = none
	Message string        // "" = the name of the metric
	Rate    time.Duration // the alarm is not raised again sooner
	Reset   bool          // the metric goes on from ResetTo
	ResetTo int64
	Origin  Origin `json:"-"`
}

var thresholdRows = []Row{
	{Name: "metric-threshold", Aliases: []string{"metric-alarm", "alarm-metric"}, Kind: NameValue, Repeat: true,
		Group: groupMetrics, Set: metricThreshold, Example: "key=worker.0.requests,value=1000000,alarm=ops",
		Help: "raise an alarm while a metric has so much: key=METRIC,value=N,alarm=NAME and, separated by commas, " +
			"msg=TEXT, rate=SECONDS until it may be raised again, reset=N that the metric then goes on from"},
}

func metricThreshold(s *Settings, v Value) error {
	t := MetricThreshold{Origin: v.Origin}
	valued := false
	var hint error
	for _, pair := range keyvals(v.Text, []string{"key", "value", "alarm", "rate", "msg", "reset"}) {
		var err error
		number := func() (n int64) {
			if n, err = strconv.ParseInt(strings.TrimSpace(pair.value), 10, 64); err != nil {
				err = fault("write "+pair.key+"=N", "%s=%s is no number", pair.key, pair.value)
			}
			return n
		}
		switch pair.key {
		case "key":
			t.Metric = strings.TrimSpace(pair.value)
		case "value":
			t.Value, valued = number(), true
		case "alarm":
			t.Alarm = strings.TrimSpace(pair.value)
		case "msg":
			t.Message = pair.value
		case "rate":
			n := number()
			if err == nil && n < 0 {
				err = fault("write rate=SECONDS", "rate=%d is no time", n)
			}
			t.Rate = time.Duration(min(n, 1<<30)) * time.Second
		case "reset":
			t.ResetTo, t.Reset = number(), true
		default:
			hint = warning("see metric-threshold in --help", "%q is no key of metric-threshold", pair.key)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case t.Metric == "" || !valued:
		return fault("write metric-threshold = key=METRIC,value=N,alarm=NAME", "a threshold needs a metric and a value")
	case t.Alarm == "" && !t.Reset:
		return fault("write alarm=NAME", "nothing happens when %s has %d", t.Metric, t.Value)
	}
	s.MetricThresholds, s.EnableMetrics = append(s.MetricThresholds, t), true
	return hint
}

// HasMetric reports whether the server or the configuration has a metric of that name, as far as
// the name tells.
func (s *MetricSettings) HasMetric(name string) bool {
	for i := range s.Metrics {
		if s.Metrics[i].Name == name {
			return true
		}
	}
	return builtInMetric(name)
}
