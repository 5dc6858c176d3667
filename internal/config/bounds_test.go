package config

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndlessConfigurations: what would run for ever is an error, and soon.
func TestEndlessConfigurations(t *testing.T) {
	many := strings.Repeat("for-times = 10000\n", 6) + "x = %(_)\n" + strings.Repeat("endfor\n", 6)
	for name, files := range map[string]map[string]string{
		"loops":     {"x.ini": "[uwsgi]\n" + many},
		"forbidden": {"x.ini": "[uwsgi]\nblacklist = x\n" + many},
		"includes":  {"x.ini": "[uwsgi]\ninclude = a.ini\ninclude = a.ini\n", "a.ini": "[uwsgi]\ninclude = b.ini\ninclude = b.ini\n", "b.ini": "[uwsgi]\n" + strings.Repeat("include = c.ini\n", 1000), "c.ini": "[uwsgi]\nx=1\n"},
		"tree":      {"x.ini": "[uwsgi]\nchdir=%(a)\na=%(b)%(b)\nb=%(c)%(c)\nc=%(d)%(d)\nd=%(e)%(e)\ne=%(f)%(f)\nf=%(g)%(g)\ng=%(h)%(h)\nh=%(i)%(i)\ni=%(j)%(j)\nj=%(k)%(k)\nk=%(l)%(l)\nl=%(m)%(m)\nm=%(n)%(n)\nn=%(o)%(o)\no=%(p)%(p)\np=%(q)%(q)\nq=%(r)%(r)\nr=%(s)%(s)\ns=%(t)%(t)\nt=%(u)%(u)\nu=\n"},
	} {
		t.Run(name, func(t *testing.T) {
			start := computed(t)
			_, err := Load([]string{"--ini", "x.ini"}, nil, fakeHost(files))
			if err == nil {
				t.Error("it loaded")
			}
			took := computed(t) - start
			if took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			t.Log(took)
		})
	}
}

// computed is how long this process has had a processor: another one's load is no matter.
func computed(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
