package sd

import (
	"context"
	"fmt"

	godbus "github.com/godbus/dbus/v5"
)

// Login is what logind(8) does with the processes of a user who logs out.
type Login struct {
	Lingers        bool // the user's manager runs without a session: loginctl enable-linger
	KillsProcesses bool // KillUserProcesses=: what a session has started ends with it
}

// AskLogin asks logind about a user; where there is none to ask, nothing lingers and nothing is
// killed.
func AskLogin(ctx context.Context, uid int) Login {
	conn, err := godbus.ConnectSystemBus(godbus.WithContext(ctx))
	if err != nil {
		return Login{}
	}
	defer conn.Close()
	const login1 = "org.freedesktop.login1"
	is := func(path, property string) bool {
		v, err := conn.Object(login1, godbus.ObjectPath(path)).GetProperty(login1 + "." + property)
		yes, ok := v.Value().(bool)
		return err == nil && ok && yes
	}
	return Login{
		Lingers:        is(fmt.Sprintf("/org/freedesktop/login1/user/_%d", uid), "User.Linger"),
		KillsProcesses: is("/org/freedesktop/login1", "Manager.KillUserProcesses"),
	}
}

// UserRuntimeDir is the folder that logind makes for a user, XDG_RUNTIME_DIR: pam_systemd(8).
func UserRuntimeDir(uid int) string { return fmt.Sprintf("/run/user/%d", uid) }
