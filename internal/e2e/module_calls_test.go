package e2e

import (
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// absentNames are those of uWSGI's module that nobody uses here.
var absentNames = []string{"SymbolsImporter", "SymbolsZipImporter", "ZipImporter", "embedded_data", "route"}

// testedElsewhere are those whose calls have tests of their own, beside those of a prefix.
var testedElsewhere = regexp.MustCompile(`^(__.*|websocket_.*|chunked_read|chunked_read_nb|reload|stop|disconnect|sendfile|signal_wait)$`)

// TestModuleCalls: the uwsgi module has every name of uWSGI's, and a call gives the same: value,
// type or exception.
func TestModuleCalls(t *testing.T) {
	t.Parallel()
	const names = "' '.join(sorted(n for n in dir(u)))"
	calls, ours, theirs := askBoth(t, names)
	have := strings.Fields(strings.Trim(ours, "'"))
	for _, name := range strings.Fields(strings.Trim(theirs, "'")) {
		switch absent := slices.Contains(absentNames, name); {
		case absent == slices.Contains(have, name):
			t.Errorf("uwsgi.%s: absent %v", name, !absent)
		case absent, testedElsewhere.MatchString(name), strings.Contains(calls, "u."+name),
			strings.Contains(calls, "'"+name+"'"):
		default:
			t.Errorf("uwsgi.%s is in no line of calls.txt", name)
		}
	}
}

// decoratorNames are those of uWSGI 2.0.31's uwsgidecorators; erlang is not here.
var decoratorNames = strings.Fields(`cron farm farm_loop filemon get_free_signal harakiri lock manage_spool_request
	mule mule_brain mule_brainloop mule_msg_dispatcher mulefunc muleloop mulemsg mulemsg_loop postfork postfork_chain_hook
	rbtimer rpc signal spool spool_decorate spoolforever spoolraw thread timer`)

// TestDecoratorCalls: so it is with uwsgidecorators. What the original gave stands in the file:
// where it is installed, other tests would have it in the place of ours.
func TestDecoratorCalls(t *testing.T) {
	t.Parallel()
	var asked, want []string
	calls := readFile(t, "testdata/api/decorated.txt")
	for line := range strings.Lines(calls) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "! "); line != "" && line[0] != '#' {
			want = append(want, line)
			asked = append(asked, line[:strings.LastIndex(line, " => ")])
		}
	}
	for _, name := range decoratorNames {
		if !strings.Contains(calls, "d."+name) && !strings.Contains(calls, "'"+name+"'") {
			t.Errorf("uwsgidecorators.%s is in no line of decorated.txt", name)
		}
		asked, want = append(asked, "callable(d."+name+")"), append(want, "callable(d."+name+") => True")
	}
	s, addr := harness.New(t), harness.Addr(t)
	s.Tolerate(".")
	s.Copy("testdata/api/decorated.py", "decorated.py")
	s.Start("--http-socket", addr, "--module", "decorated", "-p", "1", "--master")
	got := strings.Split(harness.HTTP(t, addr).Do("POST", "/", strings.NewReader(strings.Join(asked, "\n"))).Body, "\n")
	if len(got) != len(want) {
		t.Fatalf("%d answers to %d expressions:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s\nwant: %s", got[i], want[i])
		}
	}
}

// TestWhoseDecorators: a package's uwsgidecorators, which PyPI's and Debian's uWSGI have, was
// written for that server: ours goes before it, and after one of the application's own.
func TestWhoseDecorators(t *testing.T) {
	for folder, want := range map[string]string{"site-packages": "ours", "dist-packages": "ours", "lib": "own"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write(folder+"/uwsgidecorators.py", "postfork = None\n")
			s.Write("app.py", `
from uwsgidecorators import postfork

def application(environ, start):
    start("200 OK", [])
    return [b"ours" if postfork else b"own"]
`)
			s.Start("--http", addr, "--module", "app", "--pythonpath", s.Path(folder))
			if got := harness.HTTP(t, addr).Get("/").Body; got != want {
				t.Errorf("%q, and not %q", got, want)
			}
		})
	}
}

// askBoth has the expressions of calls.txt evaluated, and one more, here and in the real uWSGI, and
// compares; it gives the file, and the answers to the last one.
func askBoth(t *testing.T, last string) (calls, ours, theirs string) {
	t.Helper()
	calls = readFile(t, "testdata/api/calls.txt")
	var asked []string
	differ, may := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(calls) {
		line = strings.TrimSpace(line)
		if len(line) > 2 && (line[:2] == "! " || line[:2] == "? ") {
			expression, gives, _ := strings.Cut(line[2:], " => ")
			differ[expression], may[expression] = gives, line[0] == '?'
			line = expression
		}
		if line != "" && line[0] != '#' {
			asked = append(asked, line)
		}
	}
	s, addr := harness.New(t), harness.Addr(t)
	s.Setenv(harness.DebianPath)
	s.Tolerate(".")
	s.Copy("testdata/api/calls.py", "calls.py")
	s.Start("--http-socket", addr, "--module", "calls", "-p", "1", "--master")
	ask := func(addr string) (answers []string) {
		body := strings.NewReader(strings.Join(append(slices.Clone(asked), last), "\n"))
		all := strings.Split(harness.HTTP(t, addr).Do("POST", "/", body).Body, "\n")
		if len(all) != len(asked)+1 {
			t.Fatalf("%d answers to %d expressions:\n%s", len(all), len(asked)+1, strings.Join(all, "\n"))
		}
		return all
	}
	mine := ask(addr)
	for i, line := range mine[:len(asked)] {
		if want, ok := differ[asked[i]]; ok && line != asked[i]+" => "+want {
			t.Errorf("%s, want %s", line, want)
		}
	}
	if _, err := exec.LookPath("uwsgi-core"); err != nil {
		t.Skip(err)
	}
	addr = harness.Addr(t)
	runOracle(t, s.Dir, []string{"--plugins", "rpc", "--http-socket", addr, "--module", "calls", "-p", "1", "--master"})
	harness.Eventually(t, "the real uWSGI answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	his := ask(addr)
	for i, line := range his[:len(asked)] {
		if _, ok := differ[asked[i]]; ok == (line == mine[i]) && !may[asked[i]] {
			t.Errorf("uWSGI: %s\nours: %s", line, mine[i])
		}
	}
	cut := func(answer string) string { return strings.TrimPrefix(answer, last+" => ") }
	return calls, cut(mine[len(asked)]), cut(his[len(asked)])
}
