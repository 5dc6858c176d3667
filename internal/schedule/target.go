package schedule

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is what kind of process runs handlers.
type Kind int

// Kinds of processes. Nobody is uWSGI's target "subscribed", which is for other instances.
const (
	Worker Kind = iota
	Mule
	Farm // the mules of one
	Spooler
	Nobody
)

// Target is who runs the handler of a signal: one process of a kind, whichever is free, with Number
// that one, with Each all of them.
type Target struct {
	Kind   Kind
	Number int    // of a worker or mule; of a farm in the order of the configuration, where Name is ""
	Name   string // of a farm
	Each   bool
}

// ParseTarget reads the target of uwsgi.register_signal().
func ParseTarget(text string) (Target, error) {
	switch text {
	case "":
		return Target{Kind: Worker}, nil
	case "workers", "active-workers":
		return Target{Kind: Worker, Each: true}, nil
	case "mules":
		return Target{Kind: Mule, Each: true}, nil
	case "spooler":
		return Target{Kind: Spooler}, nil
	case "subscribed":
		return Target{Kind: Nobody}, nil
	}
	if name, ok := strings.CutPrefix(text, "farm_"); ok && name != "" {
		return Target{Kind: Farm, Name: name}, nil
	}
	for _, kind := range []struct {
		word string
		kind Kind
	}{{"worker", Worker}, {"mule", Mule}, {"farm", Farm}} {
		word, ok := strings.CutPrefix(text, kind.word)
		if !ok {
			continue
		}
		if word == "" && kind.kind != Farm {
			return Target{Kind: kind.kind}, nil
		}
		n, err := strconv.ParseUint(word, 10, 31)
		if err == nil && (n > 0 || kind.kind != Farm) {
			return Target{Kind: kind.kind, Number: int(n)}, nil
		}
	}
	return Target{}, fmt.Errorf("%q is no target of a signal", text)
}
