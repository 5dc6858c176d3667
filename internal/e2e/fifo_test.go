package e2e

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// command writes bytes into the master FIFO.
func command(t *testing.T, path, bytes string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(bytes); err != nil {
		t.Fatal(err)
	}
}

func TestMasterFIFO(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("old"))
	s.Start("--http", addr, "--module", "app", "-p", "2", "--master-fifo", "fifo", "--pidfile", "p.pid", "--vacuum")
	fifo, site := s.Path("fifo"), harness.HTTP(t, addr)

	command(t, fifo, "w")
	s.Log.Wait(t, `^Respawned uWSGI worker 2`)
	mark := s.Log.Mark()
	command(t, fifo, "c\n")
	s.Log.WaitFrom(t, mark, `^chain reloading complete|chain reloading complete$`)

	s.Write("app.py", version("new"))
	command(t, fifo, "r")
	s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
	if a := site.Get("/"); a.Body != "new" {
		t.Errorf("%s %q", a.Line, a.Body)
	}

	os.Remove(s.Path("p.pid"))
	command(t, fifo, "P")
	harness.Eventually(t, "the pidfile is written again", func() bool { return harness.Exists(s.Path("p.pid")) })

	command(t, fifo, "p")
	s.Log.Wait(t, `\*\*\* PAUSE`)
	c := harness.Send(t, addr, "GET / HTTP/1.0\r\n\r\n")
	mark = s.Log.Mark()
	command(t, fifo, "p")
	s.Log.WaitFrom(t, mark, `resuming workers|worker \d resumed`)
	harness.ReadUntil(t, c, "new")

	command(t, fifo, "s")
	s.Log.Wait(t, `workers total requests: \d+`)
	command(t, fifo, "q")
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	for _, left := range []string{"p.pid"} {
		if harness.Exists(s.Path(left)) {
			t.Errorf("vacuum left %s", left)
		}
	}
	if !strings.Contains(s.Log.String(), "goodbye to uWSGI.") {
		t.Errorf("no goodbye")
	}
}

// A reload keeps the FIFO and the stats where they are: what is written or asked meanwhile is not
// lost. What moved, or was removed, is made anew.
func TestReloadKeepsControls(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	ini := "[uwsgi]\nhttp = " + addr + "\nmodule = app\nvacuum = true\nmaster-fifo = fifo\n"
	s.Write("u.ini", ini+"stats = stats\nstats = other\n")
	s.Start("--ini", "u.ini")

	held, err := os.OpenFile(s.Path("fifo"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			c, err := net.Dial("unix", s.Path("stats"))
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := io.ReadAll(c); err != nil || len(b) == 0 {
				t.Errorf("the stats are %q, %v", b, err)
			}
			c.Close()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 5 {
		s.Reload()
	}
	close(stop)
	<-stopped
	if _, err := held.WriteString("s"); err != nil {
		t.Error(err)
	}
	s.Log.Wait(t, `workers total requests: \d+`)

	s.Write("u.ini", ini+"stats = other\nstats = moved\n")
	if err := os.Remove(s.Path("fifo")); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	harness.Eventually(t, "the FIFO and the stats are where the new configuration has them", func() bool {
		return harness.Exists(s.Path("fifo")) && harness.Exists(s.Path("moved")) && !harness.Exists(s.Path("stats"))
	})
	if got := statsOf(t, s.Path("other")); got["pid"] == nil {
		t.Errorf("the stats that stayed: %v", got)
	}
	// An address that is somebody's is told; the others are served.
	const taken = `after the reload: \S*u.ini:7: stats = taken: the path exists and is not a socket`
	s.Tolerate(taken)
	s.Write("taken", "a file")
	s.Write("u.ini", ini+"stats = other\nstats = taken\n")
	s.Reload()
	s.Log.Wait(t, taken)
	command(t, s.Path("fifo"), "q")
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	for _, left := range []string{"fifo", "stats", "other", "moved"} {
		if harness.Exists(s.Path(left)) {
			t.Errorf("%s is left", left)
		}
	}
}
