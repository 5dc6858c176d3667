package option

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const groupMules Group = "Mules"

// mostMules bounds what a slip of the pen starts.
const mostMules = 1000

// MuleSettings is what these rows say about the processes beside the workers.
type MuleSettings struct {
	Mules            []Mule // mule i+1 at i
	Farms            []Farm
	MuleHarakiri     time.Duration // for one message; 0 = as long as it takes
	MuleReloadMercy  time.Duration
	MuleMsgSize      int // bytes of the kernel that hold the messages of one queue; 0 = the kernel's default
	TouchMulesReload []string
}

// Mule is one process beside the workers. Program is what it runs: script.py or module:function();
// "" = it waits for messages.
type Mule struct {
	Program string
	Origin  Origin
}

// Farm is some mules, by number, that share a queue of messages.
type Farm struct {
	Name  string
	Mules []int
}

var muleRows = []Row{
	{Name: "mule", Kind: Text, Optional: true, Repeat: true, Group: groupMules, Set: addMule,
		Example: "mysite/worker.py",
		Help: "a process beside the workers, which runs script.py or module:function(), or " +
			"waits for uwsgi.mule_msg()"},
	{Name: "mules", Kind: Int, Repeat: true, Group: groupMules, Set: addMules,
		Help: "so many of them, which wait for uwsgi.mule_msg()"},
	{Name: "farm", Example: "mail:1,2", Kind: Text, Repeat: true, Group: groupMules, Set: addFarm,
		Help: "mules that share a queue of messages: NAME:1,2"},
	{Name: "mule-harakiri", Kind: Seconds, Group: groupMules,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.MuleHarakiri }),
		Help: "end a mule that takes longer for a message; the log gets the stack"},
	{Name: "mule-reload-mercy", Kind: Seconds, Group: groupMules,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.MuleReloadMercy }),
		Help: "time a mule gets to finish its message before it is killed (60)"},
	{Name: "mule-msg-size", Kind: Bytes, Optional: true, Group: groupMules,
		Set:  sizeBytes(func(s *Settings) *int { return &s.MuleMsgSize }),
		Help: "room for the messages that wait in one queue"},
	{Name: "mule-msg-recv-size", Kind: Bytes, Since: "2.1", Group: groupMules, Standing: NotNeeded,
		Note: "a message is received whole, however long it is", Help: "mule receive buffer"},
	{Name: "hook-as-mule", Kind: HookLine, Repeat: true, Group: groupMules, Set: hook(asMule),
		Example: "exec:logger a mule has started",
		Help:    "run ACTION:ARG in each mule"},
	{Name: "touch-mules-reload", Kind: Path, Repeat: true, Group: groupMules,
		Set:  list(func(s *Settings) *[]string { return &s.TouchMulesReload }),
		Help: "replace the mules when this file is touched"},
}

func addMule(s *Settings, v Value) error {
	program := strings.TrimSpace(v.Text)
	if program == "true" { // the flag of a file, as that of the command line
		program = ""
	}
	if len(s.Mules) >= mostMules {
		return fault("write fewer", "there are %d mules already", len(s.Mules))
	}
	s.Mules = append(s.Mules, Mule{Program: program, Origin: v.Origin})
	return nil
}

func addMules(s *Settings, v Value) error {
	n, err := v.whole(plainUnits, "")
	if !survivable(err) {
		return err
	}
	if n > int64(mostMules-len(s.Mules)) {
		return fault("write fewer", "%d mules are more than there may be (%d)", n, mostMules)
	}
	for range n {
		s.Mules = append(s.Mules, Mule{Origin: v.Origin})
	}
	return err
}

func addFarm(s *Settings, v Value) error {
	const hint = "write farm = NAME:1,2"
	name, list, ok := strings.Cut(v.Text, ":")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return fault(hint, "%q is no farm", v.Text)
	}
	if slices.ContainsFunc(s.Farms, func(f Farm) bool { return f.Name == name }) {
		return fault("", "there is a farm %q already", name)
	}
	f := Farm{Name: name}
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 {
			return fault(hint, "%q is no number of a mule", word)
		}
		f.Mules = append(f.Mules, n)
	}
	s.Farms = append(s.Farms, f)
	return nil
}

// Lacking is a mule that the farm names and that is not there, 0 if all are.
func (f Farm) Lacking(s *Settings) int {
	for _, n := range f.Mules {
		if n > len(s.Mules) {
			return n
		}
	}
	return 0
}
