package option

import "strings"

const groupCluster Group = "Cluster"

// ClusterSettings is what these rows say about other instances.
type ClusterSettings struct {
	Cluster string // URL of Redis; "" = this instance is by itself
}

var clusterRows = []Row{
	{Name: "cluster", Kind: Text, Example: "redis://10.0.0.5:6379/0", Since: "ours", Group: groupCluster, Set: cluster,
		Help: "instances with the same Redis (and ?name=) run unique crons once, and one has a name (i_am_the_lord)"},
	{Name: "hook-lord", Example: "web exec:ip address add 10.0.0.9/24 dev eth0", Kind: HookLine,
		Repeat: true, Since: "ours",
		Group: groupCluster, Set: hookLord("lord "),
		Help: "run ACTION:ARG when this instance has got a name: NAME ACTION:ARG"},
	{Name: "hook-unlord", Example: "web exec:ip address del 10.0.0.9/24 dev eth0", Kind: HookLine,
		Repeat: true, Since: "ours",
		Group: groupCluster, Set: hookLord("unlord "), Help: "run ACTION:ARG when it has lost it: NAME ACTION:ARG"},
}

func cluster(s *Settings, v Value) error {
	if !isRedis(v.Text) {
		return fault("write cluster = redis://HOST:PORT/DB", "%q is not Redis", v.Text)
	}
	s.Cluster = v.Text
	return nil
}

// hookLord keeps the name in the phase: "lord NAME".
func hookLord(phase string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		name, action, ok := cutBlank(v.Text)
		if !ok {
			return fault("write "+v.Name+" = NAME ACTION:ARG", "%q has no action after the name", name)
		}
		return addHook(s, phase+name, action, v)
	}
}

// LordNames are the names that hooks are about.
func (s *Settings) LordNames() (names []string) {
	seen := map[string]bool{}
	for _, h := range s.Hooks {
		for _, phase := range []string{"lord ", "unlord "} {
			if name, ok := strings.CutPrefix(h.Phase, phase); ok && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}
