package option

import (
	"fmt"
	"strings"
	"time"
)

const groupEmperor Group = "Emperor: one instance a configuration file"

var emperorRows = []Row{
	{Name: "emperor", Example: "/etc/uwsgi/apps-enabled", Kind: Path, Repeat: true, Group: groupEmperor,
		Set: vassals, Help: "run one instance a configuration file found here, a folder or a glob"},
	{Name: "emperor-freq", Kind: Seconds, Group: groupEmperor,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.Emperor.Freq }),
		Help: "look this often for changes (3)"},
	{Name: "emperor-required-heartbeat", Kind: Seconds, Group: groupEmperor, Standing: NotNeeded,
		Note: "systemd, or the emperor as their parent, sees at once when one ends",
		Help: "longest silence of an instance that sends life signs (30)"},
	{Name: "emperor-curse-tolerance", Kind: Seconds, Group: groupEmperor,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.Emperor.CurseTolerance }),
		Help: "time a stopping instance may take (30)"},
	{Name: "emperor-throttle", Kind: Millis, Group: groupEmperor,
		Set:  millis(func(s *Settings) *time.Duration { return &s.Emperor.Throttle }),
		Help: "first pause before a failing instance is started again (1000)"},
	{Name: "emperor-max-throttle", Kind: Millis, Group: groupEmperor,
		Set:  millis(func(s *Settings) *time.Duration { return &s.Emperor.MaxThrottle }),
		Help: "longest such pause (180000)"},
	{Name: "emperor-tyrant", Kind: Flag, Group: groupEmperor,
		Set:  flag(func(s *Settings) *bool { return &s.Emperor.Tyrant }),
		Help: "run each instance as the owner of its file"},
	{Name: "emperor-tyrant-nofollow", Kind: Flag, Group: groupEmperor,
		Set: flag(func(s *Settings) *bool { return &s.Emperor.TyrantNofollow }), Help: "… as the owner of the link"},
	{Name: "emperor-nofollow", Kind: Flag, Group: groupEmperor,
		Set: flag(func(s *Settings) *bool { return &s.Emperor.Nofollow }), Help: "look at a link's own time"},
	{Name: "emperor-pidfile", Kind: Path, Group: groupEmperor,
		Set: text(func(s *Settings) *string { return &s.Emperor.Pidfile }), Help: "process id of the emperor"},
	{Name: "emperor-stats", Aliases: []string{"emperor-stats-server"}, Kind: Address, Group: groupEmperor,
		Example: "127.0.0.1:1718",
		Set:     text(func(s *Settings) *string { return &s.Emperor.Stats }),
		Help:    "statistics of the emperor as JSON"},
	{Name: "emperor-procname", Example: "uwsgi emperor", Kind: Text, Group: groupEmperor,
		Set: text(func(s *Settings) *string { return &s.Emperor.Procname }), Help: "title of the emperor's process"},
	{Name: "emperor-magic-exec", Kind: Flag, Group: groupEmperor, Standing: Refused,
		Note: "write what the program puts out into a file", Help: "run executable files and take their output"},
	{Name: "emperor-no-blacklist", Kind: Flag, Group: groupEmperor,
		Set:  flag(func(s *Settings) *bool { return &s.Emperor.NoBlacklist }),
		Help: "do not slow down instances that fail"},
	{Name: "emperor-graceful-shutdown", Kind: Flag, Group: groupEmperor, Set: checked,
		Help: "let instances finish their requests at the end (always so here)"},
	{Name: "emperor-on-demand-extension", Aliases: []string{"emperor-on-demand-ext"}, Kind: Text, Group: groupEmperor,
		Example: ".socket",
		Set:     text(func(s *Settings) *string { return &s.Emperor.OnDemandExtension }),
		Help:    "start an instance at its first connection; the socket is named in FILE plus this suffix"},
	{Name: "emperor-on-demand-directory", Aliases: []string{"emperor-on-demand-dir"}, Kind: Path, Group: groupEmperor,
		Set:  text(func(s *Settings) *string { return &s.Emperor.OnDemandDirectory }),
		Help: "… the socket is FOLDER/NAME.socket"},
	{Name: "emperor-on-demand-exec", Example: "/usr/local/bin/socket-of", Kind: Command, Group: groupEmperor,
		Set: text(func(s *Settings) *string { return &s.Emperor.OnDemandExec }), Help: "… a command shows the socket"},
	{Name: "emperor-extra-extension", Aliases: []string{"emperor-extra-ext"}, Kind: Text, Repeat: true,
		Example: ".conf",
		Group:   groupEmperor, Set: list(func(s *Settings) *[]string { return &s.Emperor.ExtraExtensions }),
		Help: "a further suffix of configuration files"},
	{Name: "vassals-include", Kind: Path, Repeat: true, Group: groupEmperor,
		Set:  list(func(s *Settings) *[]string { return &s.Emperor.Include }),
		Help: "every instance includes this file"},
	{Name: "vassals-inherit", Kind: Path, Repeat: true, Group: groupEmperor,
		Set:  list(func(s *Settings) *[]string { return &s.Emperor.Inherit }),
		Help: "every instance inherits this file"},
	{Name: "vassals-include-before", Kind: Path, Repeat: true, Group: groupEmperor,
		Set: list(func(s *Settings) *[]string { return &s.Emperor.IncludeBefore }), Help: "… before its own"},
	{Name: "vassals-inherit-before", Kind: Path, Repeat: true, Group: groupEmperor,
		Set: list(func(s *Settings) *[]string { return &s.Emperor.InheritBefore }), Help: "… before its own"},
	{Name: "vassals-set", Aliases: []string{"vassal-set"}, Kind: NameValue, Repeat: true, Group: groupEmperor,
		Example: "processes=2",
		Set:     list(func(s *Settings) *[]string { return &s.Emperor.Set }), Help: "every instance gets this pair"},
	{Name: "vassals-start-hook", Example: "logger started", Kind: Command, Group: groupEmperor,
		Set: text(func(s *Settings) *string { return &s.Emperor.StartHook }), Help: "run before an instance starts"},
	{Name: "vassals-stop-hook", Example: "logger stopped", Kind: Command, Group: groupEmperor,
		Set: text(func(s *Settings) *string { return &s.Emperor.StopHook }), Help: "run after an instance has ended"},
}

// vassals takes a place to look for instances in. uWSGI's plugins know others than folders.
func vassals(s *Settings, v Value) error {
	scheme, _, there := strings.Cut(v.Text, "://")
	if there && scheme != "dir" && scheme != "glob" {
		return &Error{Err: fmt.Errorf("instances are not read from %s://", scheme), NotOffered: true,
			Hint: "write their configurations into a folder and name that"}
	}
	s.Emperor.Sources = append(s.Emperor.Sources, v.Text)
	return nil
}
