package e2e

import (
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// initServer is a server that is process 1 of a PID namespace of its own, as in a container, and
// shares the network with the others.
func initServer(t *testing.T) *harness.Server {
	t.Helper()
	needs.Root(t)
	s := harness.New(t)
	s.Init()
	return s
}

// inside runs the program beside a server, in its namespaces.
func inside(s *harness.Server, args ...string) (string, error) {
	out, err := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(s.PID), "-p", "-m", "-r", harness.Binary()},
		args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Two servers that are process 1 each in one network namespace (a pod, --network=host) both start,
// and each is reached under its own number.
func TestTwoInitsInOneNetwork(t *testing.T) {
	t.Parallel()
	// What somebody else calls himself is in nobody's way.
	squatter, err := net.Listen("unix", "@uwsgi-control-1")
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	var servers []*harness.Server
	for range 2 {
		s := initServer(t)
		s.Write("app.py", version("one"))
		s.Start("--http", harness.Addr(t), "--module", "app")
		servers = append(servers, s)
	}
	a, b := servers[0], servers[1]
	if out, err := inside(a, "reload", "1"); err != nil || out != "reloaded" {
		t.Errorf("uwsgi reload 1: %v %s", err, out)
	}
	const reloaded = `^gracefully \(RE\)spawned uWSGI master process`
	a.Log.Wait(t, reloaded)
	if a.Log.Count(reloaded) != 1 || b.Log.Count(reloaded) != 0 {
		t.Errorf("%d reloads of the one asked, %d of the other", a.Log.Count(reloaded), b.Log.Count(reloaded))
	}
	if out, err := inside(b, "list"); err != nil || len(strings.Split(out, "\n")) != 2 ||
		!strings.Contains(out, "  1    1/1  ") {
		t.Errorf("uwsgi list shows not just the one: %v\n%s", err, out)
	}
	// The host reaches a container's instance by the number it has there.
	if out, err := exec.Command(harness.Binary(), "reload", strconv.Itoa(b.PID)).CombinedOutput(); err != nil {
		t.Errorf("uwsgi reload from outside: %v %s", err, out)
	}
	b.Log.Wait(t, reloaded)
	if out, err := inside(a, "stop", "1"); err != nil {
		t.Errorf("uwsgi stop 1: %v %s", err, out)
	}
	if code := a.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// The first process of a container stays in the foreground whatever its configuration says, and
// logs there: the container would end with it.
func TestInitStaysInFront(t *testing.T) {
	for _, option := range []string{"daemonize", "daemonize2"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s, addr := initServer(t), harness.Addr(t)
			s.Write("app.py", version("one"))
			s.Write("u.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\n"+option+" = /nonexistent/u.log\n")
			s.Allow(`^uwsgi: daemonize: `)
			s.Start("--ini", "u.ini")
			s.Log.Wait(t, `^uwsgi: daemonize: .* staying in the foreground`)
			s.Reload()
			if a := harness.HTTP(t, addr).Get("/"); a.Body != "one" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			s.Stop()
		})
	}
}
