package listen

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// accounts reads passwd(5) and group(5) lines. Files come first; what they lack is asked of
// getent(1), which knows LDAP, sssd and the dynamic users of systemd: this program has no C library
// to ask.
type accounts struct {
	passwd, group string // paths
	getent        func(database, key string) string
}

func systemAccounts() accounts {
	return accounts{passwd: "/etc/passwd", group: "/etc/group", getent: func(database, key string) string {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "getent", database, key).Output()
		if err != nil {
			return ""
		}
		return string(out)
	}}
}

type user struct {
	name     string
	uid, gid uint32
	known    bool // there is an account, not just a number
}

// findUser follows uWSGI: a number other than 0 needs no account, "0" and unknown names are not
// found.
func (db accounts) findUser(text string) (*user, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	numeric := err == nil && n != 0
	match := func(f []string) bool { return f[0] == text }
	if numeric {
		match = func(f []string) bool { return f[2] == strconv.FormatUint(n, 10) }
	}
	f := db.entry("passwd", text, 7, match)
	if f == nil {
		if numeric {
			// No account, no group of its own: the group of the same number, never root's.
			return &user{name: text, uid: uint32(n), gid: uint32(n)}, nil
		}
		return nil, fmt.Errorf("user %s not found.", text) //nolint:staticcheck // uWSGI's words
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("user %s: passwd entry %q has no numbers", text, strings.Join(f, ":"))
	}
	return &user{name: f[0], uid: uint32(uid), gid: uint32(gid), known: true}, nil
}

func (db accounts) findGroup(text string) (uint32, error) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && n != 0 {
		return uint32(n), nil
	}
	f := db.entry("group", text, 4, func(f []string) bool { return f[0] == text })
	if f == nil {
		return 0, fmt.Errorf("group %s not found.", text) //nolint:staticcheck // uWSGI's words
	}
	n, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("group %s: entry %q has no number", text, strings.Join(f, ":"))
	}
	return uint32(n), nil
}

// findUserLoosely and findGroupLoosely are for chown-socket, where 0 is as good a number as any.
func (db accounts) findUserLoosely(text string) (uint32, error) {
	if text == "0" {
		return 0, nil
	}
	u, err := db.findUser(text)
	if err != nil {
		return 0, err
	}
	return u.uid, nil
}

func (db accounts) findGroupLoosely(text string) (uint32, error) {
	if text == "0" {
		return 0, nil
	}
	return db.findGroup(text)
}

func (db accounts) groupName(gid uint32) string {
	num := strconv.FormatUint(uint64(gid), 10)
	if f := db.entry("group", num, 4, func(f []string) bool { return f[2] == num }); f != nil {
		return f[0]
	}
	return num
}

// groupsOf is initgroups(3): every group that lists the account, and its own.
func (db accounts) groupsOf(u *user, gid uint32) []uint32 {
	out := []uint32{gid}
	add := func(text string) {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return
		}
		for _, have := range out {
			if have == uint32(n) {
				return
			}
		}
		out = append(out, uint32(n))
	}
	if text, err := os.ReadFile(db.group); err == nil {
		for line := range bytes.Lines(text) {
			f := strings.Split(strings.TrimSpace(string(line)), ":")
			if len(f) < 4 {
				continue
			}
			for _, member := range strings.Split(f[3], ",") {
				if member == u.name {
					add(f[2])
				}
			}
		}
	}
	// "name gid gid …"
	if f := strings.Fields(db.getent("initgroups", u.name)); len(f) > 1 {
		for _, g := range f[1:] {
			add(g)
		}
	}
	return out
}

// entry finds the first line of a database that has at least n fields and matches.
func (db accounts) entry(database, key string, n int, match func([]string) bool) []string {
	path := db.passwd
	if database == "group" {
		path = db.group
	}
	text, _ := os.ReadFile(path)
	for _, source := range []func() string{func() string { return string(text) },
		func() string { return db.getent(database, key) }} {
		for line := range strings.Lines(source()) {
			if f := strings.Split(strings.TrimSpace(line), ":"); len(f) >= n && match(f) {
				return f
			}
		}
	}
	return nil
}
