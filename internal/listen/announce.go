package listen

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// announce logs one socket in uWSGI's words; what is "socket 0", "shared socket 1" …; from is nil
// for a socket bound just now.
func (o *opener) announce(what string, k *Socket, from *held) {
	network := k.network
	if from != nil && network == "TCP" {
		network = "INET"
	} else if from != nil && network == "TCP6" {
		network = "INET6"
	}
	switch {
	case from == nil && k.Inherited:
		o.log(fmt.Sprintf("uwsgi %s attached to %s address %s fd %d", what, network, k.Name, k.FD()))
	case from == nil && k.Option == "http":
		o.log(fmt.Sprintf("uWSGI http bound on %s fd %d", k.Name, k.FD()))
	case from == nil:
		auto := ""
		if strings.HasSuffix(k.key, ":0") && strings.HasPrefix(k.key, "tcp:") {
			auto = " (port auto-assigned)"
		}
		o.log(fmt.Sprintf("uwsgi %s bound to %s address %s%s fd %d", what, network, k.Name, auto, k.FD()))
		if k.network == "UNIX" && onlyDigits(k.Name) {
			o.log(fmt.Sprintf("*** WARNING: %s = %s is a unix socket of that name in the current directory; a TCP "+
				"port is written :%s ***", k.Option, k.Name, k.Name))
		}
	case from.old != nil:
		o.log(fmt.Sprintf("uwsgi %s inherited %s address %s fd %d", what, network, k.Name, k.FD()))
	default:
		o.log(fmt.Sprintf("uwsgi %s attached to %s address %s fd %d", what, network, k.Name, k.FD()))
	}
	if from != nil && k.Inherited {
		o.unlike(k, from.local)
	}
	if from == nil || from.old == nil {
		o.warnExposed(k)
	}
}

// warnExposed tells of a socket whose protocol trusts its peer (it names the client's address, the
// user and more) where others than this host can connect to it.
func (o *opener) warnExposed(k *Socket) {
	// "": a shared socket, before it is known who serves it
	if k.Protocol == "" || !option.BelievesPeer(k.Protocol) || k.network == "UNIX" {
		return
	}
	if l, err := inspect(k.FD()); err != nil || l.addr.Addr().Unmap().IsLoopback() {
		return
	}
	o.log(fmt.Sprintf("*** WARNING: %s = %s speaks %s beyond this host: that protocol believes whoever connects (his "+
		"address, REMOTE_USER, https). "+
		"Listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone ***",
		k.Option, k.Name, k.Protocol))
}

// unlike says where a socket that systemd made is not what the configuration asks for.
// (uwsgi-generator writes its unit, so that it is; after an edit and a reload it is so from the
// next restart on.)
func (o *opener) unlike(k *Socket, l local) {
	say := func(option, value, is, setting string) {
		o.log(fmt.Sprintf("%s: systemd made this socket, so %s = %s does not apply to it: it is %s (%s of its unit)",
			k.Name, option, value, is, setting))
	}
	var st unix.Stat_t
	if l.path != "" && unix.Stat(l.path, &st) == nil {
		if mode := st.Mode & 0o777; o.set.ChmodSocket != "" && mode != uint32(o.bind.mode) {
			say("chmod-socket", o.set.ChmodSocket, fmt.Sprintf("%03o", mode), "SocketMode=")
		}
		if w := o.bind.owner; o.set.ChownSocket != "" &&
			(w.uid >= 0 && uint32(w.uid) != st.Uid || w.gid >= 0 && uint32(w.gid) != st.Gid) {
			say("chown-socket", o.set.ChownSocket, fmt.Sprintf("%d:%d", st.Uid, st.Gid), "SocketUser=, SocketGroup=")
		}
	}
	if o.set.Listen <= 0 {
		return
	}
	if _, limit, err := k.kernelQueue(); err == nil && limit < o.bind.backlog {
		say("listen", strconv.Itoa(o.set.Listen), strconv.Itoa(limit), "Backlog=")
	}
}

func onlyDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// onDisk reports whether Path is still the socket that this program bound.
func (s *Socket) onDisk() bool {
	var st unix.Stat_t
	return unix.Lstat(s.Path, &st) == nil && st.Ino == s.Inode && uint64(st.Dev) == s.Dev
}

// Vacuum removes the unix paths that this program bound, at the end of the instance: only where the
// path is still that socket.
func (s *Set) Vacuum(log func(string)) {
	for _, k := range s.all() {
		switch {
		case k.Inherited && k.network == "UNIX" && k.Name != "" && k.Name[0] != '@':
			log("VACUUM: unix socket " + k.Name + " is kept: systemd made it (RemoveOnStop= of its unit).")
		case k.Path == "":
		case k.onDisk():
			if err := k.remove(s.keeper); err != nil {
				log("VACUUM: " + err.Error())
				continue
			}
			log("VACUUM: unix socket " + k.Name + " removed.")
		default:
			if _, err := os.Lstat(k.Path); err == nil {
				log("VACUUM WARNING: unix socket " + k.Name + " changed inode. Skip removal")
			}
		}
	}
}
