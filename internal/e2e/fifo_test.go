package e2e

import (
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
