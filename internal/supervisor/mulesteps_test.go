package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/option"
	"uwsgi/internal/python/pythontest"
	"uwsgi/internal/wire"
)

// muleSteps is testdata/mules.py, with the queues and hands of two mules.
type muleSteps struct {
	*pythontest.Program
	t *testing.T
}

// ended is what became of such a process.
type ended struct {
	Killed bool
	Out    []string
}

func startMuleSteps(t *testing.T) *muleSteps {
	t.Helper()
	var queues muleQueues
	t.Cleanup(queues.close)
	set, boot := option.Default(), wire.Boot{}
	set.Mules = make([]option.Mule, 2)
	ends, hands, err := queues.of(set, &boot)
	if err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	pass := func(f *os.File) int {
		files = append(files, f)
		return 2 + len(files)
	}
	for i, pair := range ends {
		boot.Queues[i].In, boot.Queues[i].Out = pass(pair[0]), pass(pair[1])
	}
	for _, f := range hands {
		boot.Hands = append(boot.Hands, pass(f))
	}
	boot.Settings = set
	text, err := json.Marshal(boot)
	if err != nil {
		t.Fatal(err)
	}
	return &muleSteps{pythontest.Start(t, "../python", "testdata/mules.py", files, string(text)), t}
}

// try has a process do something, as that mule, and die before step at; 0: it shall not die.
func (s *muleSteps) try(what string, mule, at int, messages ...string) (e ended) {
	s.t.Helper()
	s.Ask(&e, what, mule, at, messages)
	return e
}

// long is a message that goes beside its packet.
var long = "two" + strings.Repeat(".", 100000)

// TestKilledWithAMessage: whoever dies before he takes a message, with it in hand, and when he is
// done with it, loses none; a message is given again only where it was in hand. Who comes next may
// be another mule.
func TestKilledWithAMessage(t *testing.T) {
	for name, next := range map[string][]int{"the same mule": {1}, "another mule": {2, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startMuleSteps(t)
			for at, killed := 1, true; killed; at++ {
				s.try("send", 0, 0, "one", long, "three")
				first := s.try("take", 1, at)
				killed = first.Killed
				var later []string
				for _, mule := range next {
					later = append(later, s.try("take", mule, 0).Out...)
				}
				for i, message := range []string{"one", "two", "three"} {
					before, after := count(first.Out, message), count(later, message)
					inHand := len(first.Out) == i+1
					if before+after < 1 || before > 1 || after > 1 || before == 1 && after == 1 && !inHand {
						t.Errorf("killed before step %d: %q was given %d and %d times: %q, %q", at, message, before,
							after, first.Out, later)
					}
				}
				if n := len(first.Out) + len(later); n > 4 {
					t.Errorf("killed before step %d: %q, %q", at, first.Out, later)
				}
				if at > 1000 {
					t.Fatal("there is no end of steps")
				} else if !killed && at < 20 {
					t.Errorf("there were only %d steps", at)
				}
			}
		})
	}
}

// TestKilledWhileInheriting: who dies with what the last mule of his number had in hand leaves it
// to the next, too.
func TestKilledWhileInheriting(t *testing.T) {
	t.Parallel()
	s := startMuleSteps(t)
	for at, killed := 1, true; killed; at++ {
		s.try("send", 0, 0, long)
		if first := s.try("die", 1, 0); !first.Killed || !slices.Equal(first.Out, []string{"two"}) {
			t.Fatalf("%+v", first)
		}
		second := s.try("take", 1, at)
		killed = second.Killed
		third := s.try("take", 1, 0)
		if n := len(second.Out) + len(third.Out); n < 1 || n > 2 || !killed && n != 1 {
			t.Errorf("killed before step %d: %q, %q", at, second.Out, third.Out)
		}
		if at > 1000 {
			t.Fatal("there is no end of steps")
		}
	}
}

// TestKilledWhileSending: what was acknowledged is there, once.
func TestKilledWhileSending(t *testing.T) {
	t.Parallel()
	s := startMuleSteps(t)
	for at, killed := 1, true; killed; at++ {
		sent := s.try("send", 0, at, "one", long)
		killed = sent.Killed
		got := s.try("take", 2, 0).Out
		if told := count(sent.Out, "True"); len(got) < told || len(got) > told+1 ||
			!slices.Equal(got, []string{"one", "two"}[:len(got)]) {
			t.Errorf("killed before step %d: %d were acknowledged, %q are there", at, told, got)
		}
	}
}

// TestKillersOfMules: a message that ends its process is given up after so many of them, with a
// word, and the next one is given.
func TestKillersOfMules(t *testing.T) {
	t.Parallel()
	s := startMuleSteps(t)
	s.try("send", 0, 0, long, "three")
	for range 3 {
		if e := s.try("die", 1, 0); !e.Killed || !slices.Equal(e.Out, []string{"two"}) {
			t.Fatalf("%+v", e)
		}
	}
	said := fmt.Sprintf("mule 1: a message of %d bytes has ended 3 processes, and is given up", len(long))
	if e := s.try("take", 1, 0); !slices.Equal(e.Out, []string{said, "three"}) {
		t.Errorf("%+v", e)
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
