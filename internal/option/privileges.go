package option

import (
	"strconv"
	"strings"
)

const groupPrivileges Group = "Privileges and files"

// PrivilegeSettings is what these rows say about accounts and what they may do.
type PrivilegeSettings struct {
	Umask        int     // -1 = leave
	FileWrites   []EnvOp // file-write: Name is the path, Value the text
	UID          string  // name or number, as written
	GID          string
	AddGIDs      []string
	NoInitgroups bool
	MasterAsRoot bool
	NoNewPrivs   bool
	Pidfile      string
	Pidfile2     string
	SafePidfile  string
	SafePidfile2 string
	Vacuum       bool
}

var privilegeRows = []Row{
	{Name: "uid", Aliases: []string{"immediate-uid"}, Kind: Text, Guards: true, Group: groupPrivileges,
		Example: "www-data",
		Set:     account(func(s *Settings) *string { return &s.UID }),
		Help:    "user the application runs as, name or number"},
	{Name: "gid", Aliases: []string{"immediate-gid"}, Kind: Text, Guards: true, Group: groupPrivileges,
		Example: "www-data",
		Set:     account(func(s *Settings) *string { return &s.GID }),
		Help:    "group the application runs as, name or number"},
	{Name: "add-gid", Example: "ssl-cert", Kind: Text, Repeat: true, Group: groupPrivileges,
		Set: list(func(s *Settings) *[]string { return &s.AddGIDs }), Help: "a further group"},
	{Name: "no-initgroups", Kind: Flag, Group: groupPrivileges,
		Set:  flag(func(s *Settings) *bool { return &s.NoInitgroups }),
		Help: "take no further groups from the user database"},
	{Name: "master-as-root", Kind: Flag, Group: groupPrivileges,
		Set:  flag(func(s *Settings) *bool { return &s.MasterAsRoot }),
		Help: "the supervisor keeps root, the application does not"},
	{Name: "no-new-privs", Kind: Flag, Since: "ours", Group: groupPrivileges,
		Set: flag(func(s *Settings) *bool { return &s.NoNewPrivs }),
		Help: "no program that the application, a daemon or a hook starts gets more rights than its starter: no " +
			"sudo, no sendmail that is set-group-ID"},
	{Name: "umask", Kind: Octal, Group: groupPrivileges, Set: umask,
		Example: "022", Help: "permissions taken from new files, octal"},
	{Name: "pidfile", Kind: Path, Group: groupPrivileges, Set: text(func(s *Settings) *string { return &s.Pidfile }),
		Example: "/run/uwsgi/mysite.pid",
		Help:    "write the supervisor's process id here, before privileges are dropped"},
	{Name: "pidfile2", Kind: Path, Group: groupPrivileges, Set: text(func(s *Settings) *string { return &s.Pidfile2 }),
		Help: "… after privileges are dropped"},
	{Name: "safe-pidfile", Kind: Path, Group: groupPrivileges,
		Set: text(func(s *Settings) *string { return &s.SafePidfile }), Help: "… once the instance serves"},
	{Name: "safe-pidfile2", Kind: Path, Group: groupPrivileges,
		Set: text(func(s *Settings) *string { return &s.SafePidfile2 }), Help: "… once the workers run"},
	{Name: "vacuum", Kind: Flag, Group: groupPrivileges, Set: flag(func(s *Settings) *bool { return &s.Vacuum }),
		Help: "remove sockets and pidfiles at the end"},
	{Name: "file-write", Kind: NameValue, Repeat: true, Group: groupPrivileges, Set: fileWrite,
		Example: "/run/mysite/started=yes",
		Help:    "write a file before privileges are dropped: PATH=TEXT"},
}

// account is a name or a number. Without one the application would keep root's rights, which uWSGI
// does not let pass either.
func account(field func(*Settings) *string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		if strings.TrimSpace(v.Text) == "" {
			return fault("write "+v.Name+" = www-data, or take the line out", "a name or a number is expected")
		}
		*field(s) = v.Text
		return nil
	}
}

// umask takes an octal number. uWSGI makes 0 of what is none, which is nobody's wish.
func umask(s *Settings, v Value) error {
	n, err := strconv.ParseUint(strings.TrimSpace(v.Text), 8, 12)
	if err != nil || n > 0o777 {
		return warning("write three octal digits, such as 022", "%q is no umask; the line is left out", v.Text)
	}
	s.Umask = int(n)
	return nil
}

func fileWrite(s *Settings, v Value) error {
	path, content, err := pairOf(v, "/path=text")
	if err != nil {
		return err
	}
	s.FileWrites = append(s.FileWrites, EnvOp{Name: path, Value: content})
	return nil
}
