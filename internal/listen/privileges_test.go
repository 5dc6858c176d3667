package listen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

func newDup(f *os.File) (int, error) { return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 10) }

func testAccounts(t *testing.T) accounts {
	dir := t.TempDir()
	db := accounts{passwd: filepath.Join(dir, "passwd"), group: filepath.Join(dir, "group"),
		getent: func(database, key string) string {
			switch database + " " + key {
			case "passwd ldapuser":
				return "ldapuser:*:70001:70000:From LDAP:/home/ldapuser:/bin/sh\n"
			case "initgroups ldapuser":
				return "ldapuser 70000 70009\n"
			case "group 70009":
				return "ldapteam:*:70009:ldapuser\n"
			}
			return ""
		}}
	for path, text := range map[string]string{
		db.passwd: "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www:/var/www:/bin/false\nbroken\n",
		db.group:  "root:x:0:\nwww-data:x:33:\nssl-cert:x:110:postgres,www-data\nadm:x:4:syslog\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestLookup(t *testing.T) {
	db := testAccounts(t)
	for _, c := range []struct {
		uid, gid string
		add      []string
		no       bool
		euid     int
		want     string // uid:gid:groups, "" = no change
		err      string
	}{
		{uid: "www-data", want: "33:33:[33 110]"},
		{uid: "33", want: "33:33:[33 110]"},
		{uid: "www-data", gid: "adm", want: "33:4:[4 110]"},
		{uid: "www-data", gid: "adm", no: true, want: "33:4:[]"},
		{uid: "www-data", add: []string{"adm", "77"}, want: "33:33:[4 77]"},
		{uid: "ldapuser", want: "70001:70000:[70000 70009]"},
		{uid: "1234", want: "1234:1234:[]"},
		{uid: "1234", gid: "99", want: "1234:99:[]"},
		{gid: "99", want: "0:99:[]"},
		{uid: "root", want: "0:0:[0]"},
		{uid: "0", err: "uid = 0: user 0 not found."},
		{uid: "nobody-at-all", err: "uid = nobody-at-all: user nobody-at-all not found."},
		{uid: "33", gid: "nogroup-at-all", err: "gid = nogroup-at-all: group nogroup-at-all not found."},
		{euid: 1000, uid: "www-data", want: ""},
		{euid: 1000, uid: "1000", gid: "1000", want: ""},
		{euid: 1000, uid: "33", err: "uid = 33: cannot setuid() as non-root user"},
		{euid: 1000, gid: "33", err: "gid = 33: cannot setgid() as non-root user"},
		{want: ""},
	} {
		id, err := db.lookup(c.uid, c.gid, c.add, c.no, c.euid, c.euid)
		name := fmt.Sprintf("uid=%s gid=%s add=%v no=%v euid=%d", c.uid, c.gid, c.add, c.no, c.euid)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error %v, want %s", name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := ""
		if cr := id.Credential; cr != nil {
			got = fmt.Sprintf("%d:%d:%v", cr.Uid, cr.Gid, cr.Groups)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestLookupSaysWhatItDoes(t *testing.T) {
	id, err := testAccounts(t).lookup("ldapuser", "", nil, false, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := "setgid() to 70000\nset additional group 70000 (70000)\nset additional group 70009 " +
		"(ldapteam)\nsetuid() to 70001"
	if got := strings.Join(id.Notes, "\n"); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
	id, err = testAccounts(t).lookup("www-data", "", nil, false, 1000, 1000)
	if err != nil || len(id.Notes) != 1 || !strings.Contains(id.Notes[0], "has no effect") {
		t.Errorf("%v %v", id.Notes, err)
	}
	// Who is that user and group already is told nothing.
	id, err = testAccounts(t).lookup("www-data", "www-data", nil, false, 33, 33)
	if err != nil || len(id.Notes) != 0 {
		t.Errorf("%v %v", id.Notes, err)
	}
}

func TestSocketOwner(t *testing.T) {
	for _, c := range []struct {
		s    option.Settings
		euid int
		want owner
	}{
		{option.Settings{}, 0, owner{-1, -1, false}},
		{option.Settings{SocketSettings: option.SocketSettings{ChownSocket: "1:2"}, PrivilegeSettings: option.PrivilegeSettings{UID: "5"}}, 0, owner{1, 2, true}},
		{option.Settings{SocketSettings: option.SocketSettings{ChownSocket: ":2"}}, 0, owner{-1, 2, true}},
		{option.Settings{SocketSettings: option.SocketSettings{ChownSocket: "0"}}, 0, owner{0, -1, true}},
		{option.Settings{PrivilegeSettings: option.PrivilegeSettings{UID: "4242"}}, 1000, owner{-1, -1, false}},
		{option.Settings{PrivilegeSettings: option.PrivilegeSettings{UID: "4242", MasterAsRoot: true}}, 0, owner{-1, -1, false}},
	} {
		got, err := socketOwner(&c.s, c.euid)
		if err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v", c.want, got, err)
		}
	}
	if os.Geteuid() == 0 {
		if got, err := socketOwner(&option.Settings{PrivilegeSettings: option.PrivilegeSettings{UID: "4242",
			GID: "4343"}}, 0); err != nil ||
			got != (owner{4242, 4343, true}) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
