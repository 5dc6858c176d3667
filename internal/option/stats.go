package option

const groupStats Group = "Statistics"

// StatsSettings is what these rows say about the stats server.
type StatsSettings struct {
	Stats               []string // addresses
	StatsHTTP           bool
	StatsMinified       bool
	StatsNoCores        bool
	StatsNoMetrics      bool
	StatsPrometheusPath string // what stats-http answers with text for Prometheus; "" = nothing
}

var statsRows = []Row{
	{Name: "stats", Aliases: []string{"stats-server"}, Kind: Address, Repeat: true, Group: groupStats,
		Example: "127.0.0.1:1717",
		Set:     statsAddress, Help: "offer statistics as JSON here"},
	{Name: "stats-http", Kind: Flag, Group: groupStats, Set: flag(func(s *Settings) *bool { return &s.StatsHTTP }),
		Help: "offer them over HTTP"},
	{Name: "stats-minified", Aliases: []string{"stats-min"}, Kind: Flag, Group: groupStats,
		Set: flag(func(s *Settings) *bool { return &s.StatsMinified }), Help: "on one line"},
	{Name: "stats-no-cores", Kind: Flag, Group: groupStats,
		Set: flag(func(s *Settings) *bool { return &s.StatsNoCores }), Help: "without the threads"},
	{Name: "stats-prometheus-path", Kind: Text, Example: "/metrics", Since: "ours", Group: groupStats,
		Set:  text(func(s *Settings) *string { return &s.StatsPrometheusPath }),
		Help: "what stats-http answers with text for Prometheus (/metrics)"},
	{Name: "stats-no-metrics", Kind: Flag, Group: groupStats,
		Set: flag(func(s *Settings) *bool { return &s.StatsNoMetrics }), Help: "without metrics"},
}

func statsAddress(s *Settings, v Value) error {
	a, err := address(v)
	if survivable(err) && a != "" {
		s.Stats = append(s.Stats, a)
	}
	return err
}
