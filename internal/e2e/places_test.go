package e2e

import (
	"net"
	"os"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const hello = "def application(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"

// TestOddPlaces: what a place lacks that uWSGI does without: a PATH, a folder to be in, standard
// descriptors, a locale, a TMPDIR.
func TestOddPlaces(t *testing.T) {
	for name, under := range map[string][]string{
		"no PATH":          {"env", "-u", "PATH", "-u", "HOME"},
		"no environment":   {"env", "-i"},
		"deleted folder":   {"sh", "-c", `mkdir gone && cd gone && rmdir ../gone && exec "$@"`, "sh"},
		"no descriptors":   {"sh", "-c", `exec "$@" <&- >&- 2>&-`, "sh"},
		"a full terminal":  {"sh", "-c", `exec "$@" > /dev/full 2>&1`, "sh"},
		"POSIX locale":     {"env", "LC_ALL=POSIX", "LANG=C"},
		"TMPDIR not there": {"env", "TMPDIR=/none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Under(under...)
			s.Write("ünïcødé/äpp.py", hello)
			sock := s.Path("ünïcødé/h.sock")
			s.Launch("--http-socket", sock, "--master", "--wsgi-file", s.Path("ünïcødé/äpp.py"))
			harness.Eventually(t, "the server listens", func() bool {
				c, err := net.Dial("unix", sock)
				if err == nil {
					c.Close()
				}
				return err == nil || !s.Running()
			})
			if a := harness.HTTP(t, sock).Get("/"); a.Status != 200 || a.Body != "hello" {
				t.Errorf("%d %q", a.Status, a.Body)
			}
		})
	}
}

// TestDeletedFolderReload: the folder that an instance was started in may go; what it names is
// elsewhere.
func TestDeletedFolderReload(t *testing.T) {
	s := harness.New(t)
	s.Write("app.py", hello)
	s.Write("u.ini", "[uwsgi]\nmaster = true\nhttp-socket = "+s.Path("h.sock")+"\nwsgi-file = "+s.Path("app.py")+"\n")
	s.Under("sh", "-c", `mkdir release && cd release && exec "$@"`, "sh")
	s.Start("--ini", s.Path("u.ini"))
	if err := os.Remove(s.Path("release")); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	s.Log.Wait(t, "^the folder that this instance was started in is gone")
	if a := harness.HTTP(t, s.Path("h.sock")).Get("/"); a.Status != 200 {
		t.Error(a.Line)
	}
}
