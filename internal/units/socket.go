package units

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// defaultBacklog is what systemd has the kernel keep unless it is told otherwise, or more:
// systemd.socket(5).
const defaultBacklog = 4096

// socket is the drop-in of the socket unit: systemd.socket(5).
func (i Instance) socket(streams []stream) string {
	s := i.Settings
	var u unitFile
	u.comment(i.headline())
	u.section("Socket")
	user, group := i.socketOwner()
	if dir := i.runtimeDirectory(); anyBelow(streams, dir) {
		// systemd gives the folder to the service's user, with all it holds, unless it is that
		// user's already.
		account, accountGroup := i.unitAccount()
		owner := []string{"/usr/bin/install", "-d", "-m", "0755", "-o", account}
		if accountGroup != "" {
			owner = append(owner, "-g", accountGroup)
		}
		u.words("ExecStartPre", append(owner, argument(dir))...)
	}
	u.reset("ListenStream")
	free := s.Freebind
	for _, k := range streams {
		u.set("ListenStream", k.value)
		// An address that an interface gets later in the boot can be listened on now.
		free = free || k.ip.IsValid() && !k.ip.IsUnspecified() && !k.ip.IsLoopback()
	}
	u.set("SocketUser", user)
	u.set("SocketGroup", group)
	u.set("SocketMode", i.socketMode())
	for _, o := range []struct {
		on         bool
		key, value string
	}{
		{s.Listen > defaultBacklog, "Backlog", strconv.Itoa(s.Listen)}, // a shorter one the workers keep to
		{free, "FreeBind", "yes"},
		{s.ReusePort, "ReusePort", "yes"},
		{s.SoKeepalive, "KeepAlive", "yes"},
		{s.TCPNodelay, "NoDelay", "yes"},
		{s.SoSndbuf > 0, "SendBuffer", strconv.Itoa(s.SoSndbuf)},
		{s.SoRcvbuf > 0, "ReceiveBuffer", strconv.Itoa(s.SoRcvbuf)},
	} {
		if o.on {
			u.set(o.key, o.value)
		}
	}
	return u.String()
}

// socketOwner is chown-socket, else the application's own user and group, which is who uWSGI's
// sockets belong to.
func (i Instance) socketOwner() (user, group string) {
	if i.Settings.ChownSocket == "" {
		return i.account()
	}
	user, group, _ = strings.Cut(i.Settings.ChownSocket, ":")
	if user == "" {
		user, _ = i.account()
	}
	return user, group
}

// socketMode is chmod-socket, else what the umask leaves.
func (i Instance) socketMode() string {
	if m := i.Settings.ChmodSocket; m != "" {
		return "0" + m
	}
	umask := i.Settings.Umask
	if umask < 0 {
		umask = 0o022
	}
	return fmt.Sprintf("%04o", 0o777&^umask)
}

func anyBelow(streams []stream, dir string) bool {
	for _, k := range streams {
		if k.path != "" && below(k.path, dir) {
			return true
		}
	}
	return false
}

// below reports whether a path is dir or lies in it.
func below(p, dir string) bool {
	p = path.Clean(p)
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
