package option

import (
	"slices"
	"strings"
)

const groupHooks Group = "Hooks"

// HookActions are the actions a hook can name: what the supervisor and the workers carry out
// themselves.
var HookActions = []string{
	"exec", "safeexec", "cd", "chdir", "mkdir", "putenv", "chmod", "chown", "chown2", "sticky", "create",
	"creat", "write", "writen", "append", "appendn", "writefifo", "unlink", "hostname", "unix_signal",
	"wait_for_fs", "wait_for_file", "wait_for_dir", "wait_for_socket", "exit", "print", "log", "alarm",
}

// refusedActions are the actions of uWSGI that are not offered.
var refusedActions = []string{"mount", "umount", "umount2", "call", "callret", "callint", "callintret",
	"rpc", "retryrpc", "spinningfifo", "sigwait", "mountall", "wait_for_mountpoint", "legion"}

// SignalHandlers are the functions a unix_signal hook can name.
var SignalHandlers = []string{"gracefully_kill_them_all", "kill_them_all", "grace_them_all", "reap_them_all"}

// Phases of hooks that the supervisor runs, in their order.
const (
	PhaseASAP       = "asap"
	PhasePreJail    = "pre-jail"
	PhaseInJail     = "in-jail"
	PhaseAsRoot     = "as-root"
	PhaseAsUser     = "as-user"
	PhasePreApp     = "pre-app"
	PhasePostApp    = "post-app"
	PhaseMaster     = "master-start"
	PhaseUserAtExit = "as-user-atexit"
)

// WorkerPhases are the phases whose hooks a worker or a mule runs.
var WorkerPhases = []string{"post-fork", "accepting", "accepting1", "accepting-once", "accepting1-once", asMule}

const asMule = "as-mule" // in each mule

func hookRows() []Row {
	phases := []struct{ name, help string }{
		{PhaseASAP, "as soon as the configuration is read"},
		{PhasePreJail, "before privileges are dropped"},
		{PhaseInJail, "before privileges are dropped"},
		{PhaseAsRoot, "just before privileges are dropped"},
		{PhaseAsUser, "just after privileges are dropped"},
		{PhaseUserAtExit, "at the end and before a reload"},
		{PhasePreApp, "before the application is loaded"},
		{PhasePostApp, "after the application is loaded"},
	}
	late := []struct{ name, help string }{
		{"post-fork", "in each worker after the fork"},
		{"accepting", "in each worker once it accepts"},
		{"accepting1", "in worker 1 once it accepts"},
		{"accepting-once", "in each worker the first time it accepts"},
		{"accepting1-once", "in worker 1 the first time it accepts"},
		{PhaseMaster, "when the supervisor has started"},
	}
	var rows []Row
	for _, p := range phases {
		rows = append(rows,
			Row{Name: "hook-" + p.name, Kind: HookLine, Repeat: true, Group: groupHooks, Set: hook(p.name),
				Help: "run ACTION:ARG " + p.help},
			Row{Name: "exec-" + p.name, Kind: Command, Repeat: true, Group: groupHooks, Set: execHook(p.name),
				Help: "run a shell command " + p.help})
	}
	for _, p := range late {
		rows = append(rows, Row{Name: "hook-" + p.name, Kind: HookLine, Repeat: true, Group: groupHooks,
			Set: hook(p.name), Help: "run ACTION:ARG " + p.help})
	}
	return append(rows,
		Row{Name: "hook-touch", Example: "/srv/mysite/deployed exec:logger deployed", Kind: HookLine, Repeat: true,
			Group: groupHooks, Set: hookTouch,
			Help: "run ACTION:ARG when a file is touched: FILE ACTION:ARG"},
		Row{Name: "exec-pre", Aliases: []string{"exec-post"}, Kind: Command, Repeat: true, Group: groupHooks,
			Standing: Refused,
			Note:     "no option of uWSGI, which ignores it; write exec-pre-app or exec-post-app",
			Help:     "a name people use by mistake"})
}

func hook(phase string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error { return addHook(s, phase, v.Text, v) }
}

func execHook(phase string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		if strings.TrimSpace(v.Text) == "" {
			return fault("write "+v.Name+" = COMMAND", "the command is missing")
		}
		s.Hooks = append(s.Hooks, Hook{Phase: phase, Action: "exec", Arg: v.Text, Option: v.Name, Origin: v.Origin})
		return nil
	}
}

// hookTouch keeps the file in the phase: "touch FILE".
func hookTouch(s *Settings, v Value) error {
	file, action, ok := cutBlank(v.Text)
	if !ok {
		return fault("write "+v.Name+" = FILE ACTION:ARG", "%q has no action after the file", file)
	}
	return addHook(s, "touch "+file, action, v)
}

func addHook(s *Settings, phase, text string, v Value) error {
	h := Hook{Phase: phase, Option: v.Name, Origin: v.Origin}
	if strings.HasPrefix(text, "!") {
		h.Private, text = true, text[1:]
	}
	var ok bool
	h.Action, h.Arg, ok = strings.Cut(text, ":")
	switch {
	case !ok:
		return fault("write "+v.Name+" = exec:COMMAND", "a hook is written ACTION:ARG")
	case slices.Contains(refusedActions, h.Action):
		return notOffered("do it in the unit file, or with exec:COMMAND", "the action %q is not offered and left out",
			h.Action)
	case !slices.Contains(HookActions, h.Action):
		hint := "write exec:COMMAND"
		if near, found := nearest(h.Action, HookActions); found {
			hint = "write " + near + ":…"
		}
		return fault(hint, "there is no action %q", h.Action)
	case h.Action == "unix_signal" && slices.Contains(WorkerPhases, phase):
		return fault("write hook-master-start = "+text, "signals are the supervisor's to obey, and %s runs in a worker",
			phase)
	case h.Action == "unix_signal":
		n, fn, _ := number(h.Arg)
		if n < 1 || n > 64 || !slices.Contains(SignalHandlers, fn) {
			return fault("write unix_signal:15 gracefully_kill_them_all", "%q is no signal number and handler", h.Arg)
		}
	}
	s.Hooks = append(s.Hooks, h)
	return nil
}
