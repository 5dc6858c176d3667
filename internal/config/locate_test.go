package config

import (
	"errors"
	"testing"

	"uwsgi/internal/option"
)

func TestLocate(t *testing.T) {
	c, err := Load([]string{"--ini", "x.ini", "--uid", "anna"}, nil, fakeHost(map[string]string{
		"x.ini": "[uwsgi]\nsocket = :1\nvirtualenv = /v\nstats = :2\nstats = :3\nuid = bob\n"}))
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no")
	for want, fault := range map[string]error{
		"x.ini:3: virtualenv = /v: no":            option.Wrong("home", "", cause),
		"x.ini:4: stats = :2: no":                 option.Wrong("stats", ":2", cause),
		"x.ini:5: stats = :3: no":                 option.Wrong("stats", "", cause),
		"uid = anna: no":                          option.Wrong("uid", "", cause),
		"logto = /l: no":                          option.Wrong("logto", "/l", cause),
		"y.ini:9: hook-asap: no":                  &option.Error{File: "y.ini", Line: 9, Name: "hook-asap", Err: cause},
		"one\nx.ini:2: socket = :1: no\nuid: two": errors.Join(errors.New("one"), option.Wrong("socket", ":1", cause), errors.New("uid: two")),
	} {
		if got := c.Locate(fault).Error(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if c.Locate(nil) != nil {
		t.Error("nothing was wrong")
	}
}
