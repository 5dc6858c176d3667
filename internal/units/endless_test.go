package units

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe, a device, a file that includes itself, one that is on a server which does not answer:
// each is reported, none is waited for, and the good one has its drop-ins.
func TestNothingIsWaitedFor(t *testing.T) {
	f := newFake(t, map[string]string{"good.ini": "[uwsgi]\n", "device.ini": "[uwsgi]\nini = /dev/zero\n",
		"far.ini": "[uwsgi]\nini = /net/far.ini\n"})
	f.write("self.ini", "[uwsgi]\nini = "+filepath.Join(f.host.Apps, "self.ini")+"\n")
	f.write("huge.ini", "[uwsgi]\n"+strings.Repeat("# comment\n", sizeLimit/10))
	f.write("pipes.ini", "[uwsgi]\nini = "+filepath.Join(f.host.Apps, "pipe.ini")+"\n")
	if err := syscall.Mkfifo(filepath.Join(f.host.Apps, "pipe.ini"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(f.host.Apps, "zero.ini")); err != nil {
		t.Fatal(err)
	}
	f.host.Config.ReadFile = func(path string) ([]byte, error) {
		if strings.HasPrefix(path, "/net/") {
			<-t.Context().Done()
		}
		return readRegular(path)
	}
	begin := time.Now()
	tree, problems := Plan(f.host)
	if took := time.Since(begin); took > 15*planTime {
		t.Errorf("it took %v", took)
	}
	if _, ok := tree["uwsgi@good.service.d/"+dropIn]; !ok {
		t.Error("the good one has no drop-ins")
	}
	said := map[string]string{}
	for _, p := range problems {
		said[filepath.Base(p.File)] += p.Error()
	}
	for name, want := range map[string]string{"device.ini": "not a regular file", "self.ini": "self.ini",
		"huge.ini":  "larger than 4 MiB",
		"pipes.ini": "not a regular file", "pipe.ini": "not a regular file", "zero.ini": "not a regular file", "far.ini": "longer than"} {
		if !strings.Contains(said[name], want) {
			t.Errorf("%s: %q, want …%s…", name, said[name], want)
		}
	}
}
