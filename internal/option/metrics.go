package option

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const groupMetrics Group = "Metrics"

// MetricSettings is what these rows say about metrics.
type MetricSettings struct {
	EnableMetrics  bool
	Metrics        []Metric
	MetricsDir     string // a file a metric is kept here; "" = none
	MetricsRestore bool   // counters go on from what these files say
	MetricsNoCores bool   // none of single threads

	MetricThresholds []MetricThreshold
}

// Metric is a metric of the configuration's. What it has no collector for, the application sets.
type Metric struct {
	Name, OID string
	Type      string // counter, gauge, absolute, alias
	Collector string // file, sum, avg, accumulator, adder, multiplier; "" = none
	Every     time.Duration
	Initial   int64
	Children  []string // of sum, avg, accumulator, adder, multiplier
	Of        string   // the metric that an alias stands for
	File      string   // of file: arg1
	Argument  int64    // of file: the number of the word; of adder and multiplier: the number
	Origin    Origin   `json:"-"`
}

// Wrong is what went wrong with it, with the place where it is defined.
func (m *Metric) Wrong(err error) error {
	return &Error{File: m.Origin.File, Line: m.Origin.Line, Name: "metric", Value: m.Name, Err: err}
}

var metricRows = []Row{
	{Name: "enable-metrics", Kind: Flag, Group: groupMetrics,
		Set:  flag(func(s *Settings) *bool { return &s.EnableMetrics }),
		Help: "count in metrics, for uwsgi.metric_get and the statistics"},
	{Name: "metric", Kind: NameValue, Example: "name=jobs,type=gauge", Repeat: true, Group: groupMetrics, Set: metric,
		Help: "a metric of the application's: NAME, or name=NAME and, separated by commas, " +
			"type=counter (gauge, absolute, " +
			"alias), oid=, initial_value=, alias=NAME, freq=SECONDS, collector=file (sum, avg, accumulator, adder, " +
			"multiplier), children=NAME;NAME, arg1=FILE, arg1n=N"},
	{Name: "metrics-dir", Aliases: []string{"metric-dir"}, Kind: Path, Group: groupMetrics,
		Set:  placed("metrics-dir", metricsDir),
		Help: "keep each metric in a file of this folder"},
	{Name: "metrics-dir-restore", Aliases: []string{"metric-dir-restore"}, Kind: Flag, Group: groupMetrics,
		Set:  withMetrics(func(s *Settings) *bool { return &s.MetricsRestore }),
		Help: "go on counting from what is there at the start"},
	{Name: "metrics-no-cores", Kind: Flag, Group: groupMetrics,
		Set:  withMetrics(func(s *Settings) *bool { return &s.MetricsNoCores }),
		Help: "no metrics of single threads"},
}

// withMetrics is the setter of a flag that asks for metrics, too.
func withMetrics(field func(*Settings) *bool) func(*Settings, Value) error {
	set := flag(field)
	return func(s *Settings, v Value) error {
		err := set(s, v)
		s.EnableMetrics = s.EnableMetrics || *field(s)
		return err
	}
}

func metricsDir(s *Settings, v Value) error {
	s.MetricsDir, s.EnableMetrics = v.Text, true
	return nil
}

var metricKeys = []string{"name", "oid", "type", "initial_value", "collector", "freq", "arg1", "arg2", "arg3", "arg1n",
	"arg2n", "arg3n", "children", "alias"}

var metricCollectors = []string{"file", "sum", "avg", "accumulator", "adder", "multiplier"}

func metric(s *Settings, v Value) error {
	m := Metric{Type: "counter", Every: time.Second, Origin: v.Origin}
	pairs := []keyval{{"name", v.Text}}
	if strings.Contains(v.Text, "=") {
		pairs = keyvals(v.Text, metricKeys)
	}
	var hint error
	for _, pair := range pairs {
		err := m.take(pair)
		if !survivable(err) {
			return err
		}
		if err != nil {
			hint = err
		}
	}
	if err := m.check(s); err != nil {
		return err
	}
	s.EnableMetrics = true
	// As in uWSGI the last of a name counts, in the place of the first.
	if i := slices.IndexFunc(s.Metrics, func(o Metric) bool { return o.Name == m.Name }); i >= 0 {
		s.Metrics[i] = m
		return warning("give each its own name", "metric %s is defined twice; the last counts", m.Name)
	}
	s.Metrics = append(s.Metrics, m)
	return hint
}

func (m *Metric) take(pair keyval) (err error) {
	number := func(to *int64) error {
		n, err := strconv.ParseInt(strings.TrimSpace(pair.value), 10, 64)
		if err != nil {
			return fault("write "+pair.key+"=N", "%s=%s is no number", pair.key, pair.value)
		}
		*to = n
		return nil
	}
	switch pair.key {
	case "name":
		m.Name = strings.TrimSpace(pair.value)
	case "oid":
		m.OID = pair.value
	case "type":
		if !slices.Contains([]string{"counter", "gauge", "absolute", "alias"}, pair.value) {
			return warning("write counter, gauge, absolute or alias",
				"there is no type %q: it is a counter, as in uWSGI",
				pair.value)
		}
		m.Type = pair.value
	case "collector":
		m.Collector = pair.value
	case "alias":
		m.Of = pair.value
	case "children":
		m.Children = strings.FieldsFunc(pair.value, func(r rune) bool { return r == ';' })
	case "arg1":
		m.File = pair.value
	case "initial_value":
		return number(&m.Initial)
	case "arg1n":
		return number(&m.Argument)
	case "freq":
		var n int64
		err = number(&n)
		m.Every = time.Duration(min(max(n, 1), 1<<30)) * time.Second
		return err
	case "arg2", "arg3", "arg2n", "arg3n": // of collectors of plugins
	default:
		return warning("see metric in --help", "%q is no key of metric", pair.key)
	}
	return nil
}

// check looks at the whole; what stands for or sums up others comes after them.
func (m *Metric) check(s *Settings) error {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_"
	switch {
	case m.Name == "" || strings.Trim(m.Name, ".") == "" || strings.Trim(m.Name, letters) != "" || len(m.Name) > 255:
		return fault("write metric = NAME, of letters, digits, dots, dashes and underlines",
			"%q is no name of a metric",
			m.Name)
	case strings.Trim(m.OID, "0123456789.") != "":
		return fault("write numbers and dots", "metric %s: %q is no oid", m.Name, m.OID)
	case m.Collector != "" && !slices.Contains(metricCollectors, m.Collector):
		return fault("take one of "+strings.Join(metricCollectors, ", ")+", or none and set it in the application",
			"metric %s: there is no collector %q", m.Name, m.Collector)
	case m.Collector == "file" && m.File == "":
		return fault("write collector=file,arg1=FILE", "metric %s: no file is named", m.Name)
	case m.Type == "alias" && m.Of == "":
		return fault("write type=alias,alias=NAME", "metric %s is an alias of nothing", m.Name)
	}
	for _, name := range append(slices.Clone(m.Children), m.Of) {
		if name != "" && !s.HasMetric(name) {
			return fault("define it before", "metric %s: there is no metric %q", m.Name, name)
		}
	}
	return nil
}

// builtInMetric reports whether name is one that the server may have of its own.
func builtInMetric(name string) bool {
	family, _, _ := strings.Cut(name, ".")
	return slices.Contains([]string{"core", "worker", "socket", "rss_size", "vsz_size"}, family)
}
