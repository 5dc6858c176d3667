package listen

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"uwsgi/internal/option"
)

// Identity is who the application runs as.
type Identity struct {
	Credential *syscall.Credential // nil: nothing changes
	User       string              // its name, or a number where there is no account
	Notes      []string            // what the log should say
}

// Lookup finds the identity that uid, gid, add-gid and no-initgroups ask for. Names and numbers are
// taken as uWSGI takes them, with one difference: uid alone brings the account's own group and
// supplementary groups along, where uWSGI leaves group 0. Who is not root cannot change: a name is
// passed over as uWSGI does, a number that is not the process's own is an error.
func Lookup(uid, gid string, addgids []string, noInitgroups bool) (*Identity, error) {
	return systemAccounts().lookup(uid, gid, addgids, noInitgroups, os.Geteuid(), os.Getegid())
}

// Resolve is Lookup for the credentials alone, whoever this process is.
func Resolve(uid, gid string, addgids []string, noInitgroups bool) (*syscall.Credential, error) {
	id, err := systemAccounts().lookup(uid, gid, addgids, noInitgroups, 0, 0)
	if err != nil {
		return nil, err
	}
	return id.Credential, nil
}

func (db accounts) lookup(uid, gid string, addgids []string, noInitgroups bool, euid, egid int) (*Identity, error) {
	id := &Identity{}
	if uid == "" && gid == "" && len(addgids) == 0 {
		if euid == 0 {
			id.Notes = append(id.Notes, "*** WARNING: you are running uWSGI as root !!! (use the --uid flag) ***")
		}
		return id, nil
	}
	if euid != 0 {
		return id, db.unprivileged(id, uid, gid, euid, egid)
	}
	cred := &syscall.Credential{}
	var account *user
	if uid != "" {
		var err error
		if account, err = db.findUser(uid); err != nil {
			return nil, option.Wrong("uid", uid, err)
		}
		if account.uid == 0 {
			id.Notes = append(id.Notes, "uid = "+uid+" is root: the application keeps every privilege")
		}
		cred.Uid, cred.Gid = account.uid, account.gid
		id.User = account.name
	} else {
		id.User = "0"
	}
	if gid != "" {
		g, err := db.findGroup(gid)
		if err != nil {
			return nil, option.Wrong("gid", gid, err)
		}
		cred.Gid = g
	}
	switch {
	case len(addgids) > 0:
		for _, a := range addgids {
			g, err := db.findGroup(a)
			if err != nil {
				return nil, option.Wrong("add-gid", a, err)
			}
			cred.Groups = append(cred.Groups, g)
		}
	case !noInitgroups && account != nil && account.known:
		cred.Groups = db.groupsOf(account, cred.Gid)
	}
	id.Notes = append(id.Notes, fmt.Sprintf("setgid() to %d", cred.Gid))
	if !noInitgroups {
		for _, g := range cred.Groups {
			id.Notes = append(id.Notes, fmt.Sprintf("set additional group %d (%s)", g, db.groupName(g)))
		}
	}
	id.Notes = append(id.Notes, fmt.Sprintf("setuid() to %d", cred.Uid))
	id.Credential = cred
	return id, nil
}

func (db accounts) unprivileged(id *Identity, uid, gid string, euid, egid int) error {
	for _, c := range []struct {
		what, call, value string
		own               int
	}{{"uid", "setuid", uid, euid}, {"gid", "setgid", gid, egid}} {
		if c.value == "" {
			continue
		}
		n, err := strconv.Atoi(c.value)
		if err != nil {
			if db.is(c.what, c.value, c.own) {
				continue // systemd's User= and Group=, say
			}
			id.Notes = append(id.Notes, c.what+" = "+c.value+" has no effect: this process is not root")
			continue
		}
		if n != c.own {
			return option.Wrong(c.what, c.value, fmt.Errorf("cannot %s() as non-root user", c.call))
		}
	}
	return nil
}

// is reports whether the user (uid) or group (gid) of that name has that number.
func (db accounts) is(what, name string, number int) bool {
	if what == "gid" {
		g, err := db.findGroup(name)
		return err == nil && int(g) == number
	}
	u, err := db.findUser(name)
	return err == nil && int(u.uid) == number
}

// owner is who a unix socket's path belongs to.
type owner struct {
	uid, gid int // -1 = leave
	set      bool
}

// socketOwner is chown-socket, else, for root, the uid and gid of the instance: uWSGI binds after
// it became that user, so its sockets belong to it, and the front end counts on that.
func socketOwner(s *option.Settings, euid int) (owner, error) {
	o := owner{uid: -1, gid: -1}
	db := systemAccounts()
	if s.ChownSocket != "" {
		name, group, _ := strings.Cut(s.ChownSocket, ":")
		if name != "" {
			u, err := db.findUserLoosely(name)
			if err != nil {
				return o, option.Wrong("chown-socket", s.ChownSocket, fmt.Errorf("unable to find user %s", name))
			}
			o.uid = int(u)
		}
		if group != "" {
			g, err := db.findGroupLoosely(group)
			if err != nil {
				return o, option.Wrong("chown-socket", s.ChownSocket, fmt.Errorf("unable to find group %s", group))
			}
			o.gid = int(g)
		}
		o.set = true
		return o, nil
	}
	if euid != 0 || s.MasterAsRoot || s.UID == "" && s.GID == "" {
		return o, nil
	}
	id, err := Lookup(s.UID, s.GID, s.AddGIDs, s.NoInitgroups)
	if err != nil {
		return o, err
	}
	if id.Credential != nil {
		o.uid, o.gid, o.set = int(id.Credential.Uid), int(id.Credential.Gid), true
	}
	return o, nil
}
