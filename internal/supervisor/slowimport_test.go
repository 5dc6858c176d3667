package supervisor

import (
	"slices"
	"testing"
	"time"

	"uwsgi/internal/loader/loadertest"
	"uwsgi/internal/option"
)

// TestSlowImport: the log says what is being imported, then where it is; of one that is over it
// says nothing.
func TestSlowImport(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1, "import-waits="+gate.Path)
	r.set.Apps = []option.App{{Kind: "module", Value: "mysite.wsgi"}, {Mount: "/x", Kind: "file", Value: "x.py"}}
	r.cfg.SlowImport = SlowImport{Tell: time.Millisecond, Stacks: 2 * time.Millisecond}
	r.start()
	r.wait("import.slow", "importing mysite.wsgi, x.py ...")
	r.wait("import.stacks", "importing mysite.wsgi, x.py takes ")
	gate.Open()
	r.wait("ready", "uWSGI is ready: 1 of 1 workers, http://"+r.addr+"/")
	r.stop()
	r.noErrors()
}

func TestQuickImport(t *testing.T) {
	r := newRig(t, 1)
	r.set.Apps = []option.App{{Kind: "module", Value: "mysite.wsgi"}}
	r.cfg.SlowImport = SlowImport{Tell: patience, Stacks: patience}
	r.up()
	fired := make(chan bool)
	r.sup.calls <- func() {
		for _, x := range slices.Clone(r.sup.timers.list) {
			r.sup.timers.drop(x)
			x.do()
		}
		close(fired)
	}
	<-fired
	r.stop()
	if r.count("import.slow")+r.count("import.stacks") > 0 {
		t.Error("an import is told of that is over")
	}
}

func TestLinks(t *testing.T) {
	for name, want := range map[string]string{
		"127.0.0.1:8000": "http://127.0.0.1:8000/", "0.0.0.0:80": "http://127.0.0.1/", ":8080": "http://127.0.0.1:8080/",
		"[::]:8000": "http://[::1]:8000/", "*:8000": "http://127.0.0.1:8000/", "[2001:db8::1]:80": "http://[2001:db8::1]/",
		"192.0.2.7:8000": "http://192.0.2.7:8000/", "/run/x.sock": "", "@x": "", "x.sock:y": "",
	} {
		l := Listener{}
		l.Name, l.Protocol = name, "http"
		got := ""
		if all := links([]Listener{l}); len(all) > 0 {
			got = all[0]
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
		l.Protocol = "uwsgi"
		if all := links([]Listener{l}); len(all) > 0 {
			t.Errorf("%s of the uwsgi protocol is %q", name, all)
		}
	}
}
