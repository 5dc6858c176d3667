package stats

import (
	"bytes"
	"encoding/json"
)

// MetricKind says what a metric's value means, in uWSGI's numbers.
type MetricKind int

// The kinds.
const (
	Counter MetricKind = iota
	Gauge
	Absolute
	Alias
)

// MetricKinds are the kinds by their names.
var MetricKinds = map[string]MetricKind{"counter": Counter, "gauge": Gauge, "absolute": Absolute, "alias": Alias}

// Metric is one metric and its value.
type Metric struct {
	Name  string     `json:"-"`
	Kind  MetricKind `json:"type"`
	OID   string     `json:"oid"`
	Value int64      `json:"value"`

	BuiltIn bool `json:"-"` // of the server's own
}

// Metrics are shown as one object, in their order.
type Metrics []Metric

// MarshalJSON is an object of the metrics by name.
func (m Metrics) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m[i].Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(&m[i])
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
