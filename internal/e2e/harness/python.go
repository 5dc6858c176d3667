package harness

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// DebianPython is the distribution's interpreter, for which python3-django and python3-flask are
// packaged.
const DebianPython = "/usr/bin/python3"

// requirements are what a virtualenv of the suite holds; a change makes new ones.
const requirements = "Django>=5.2,<5.3 Flask>=3.1,<3.2 PasteDeploy>=3.1 gunicorn==27.0.1 pyramid>=2,<3 falcon>=4,<5 " +
	"bottle>=0.13,<0.14 uwsgitop==0.12"

// cacheDir is outside the tree and, for root, open to the user that uid= names.
func cacheDir() string {
	if os.Getuid() == 0 {
		return "/var/cache/uwsgi-e2e"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "uwsgi-e2e")
}

// Venv is a virtualenv of that interpreter with Django, Flask and gunicorn from PyPI. It is made
// once and kept for later runs.
func Venv(t testing.TB, python string) string {
	t.Helper()
	id, err := exec.Command(python, "-c", "import sys; print(sys.version); print(sys.base_prefix)").Output()
	if err != nil {
		t.Fatalf("%s: %v", python, err)
	}
	dir := filepath.Join(cacheDir(), fmt.Sprintf("venv-%x", sha256.Sum256(append(id, requirements...)))[:20])
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	unlock := lock(t, dir+".lock")
	defer unlock()
	done := filepath.Join(dir, ".complete")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	t.Logf("making the virtualenv %s", dir)
	os.RemoveAll(dir)
	run(t, python, "-m", "venv", dir)
	run(t, filepath.Join(dir, "bin", "python"), append([]string{"-m", "pip", "install", "--quiet",
		"--disable-pip-version-check"}, strings.Fields(requirements)...)...)
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// lock keeps two test programs from making the same thing at once.
func lock(t testing.TB, path string) func() {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// OtherPython is an interpreter of another version than the distribution's; where the machine has
// none it is that one.
var OtherPython = sync.OnceValue(func() string {
	debian := versionOf(DebianPython)
	for _, p := range Pythons() {
		if versionOf(p) != debian {
			return p
		}
	}
	return DebianPython
})

// Pythons are the machine's interpreters from 3.9 on, one a version, the usual ones first; the
// distribution's is among them.
var Pythons = sync.OnceValue(func() (out []string) {
	home, _ := os.UserHomeDir()
	seen := map[string]bool{}
	for _, minor := range []string{"13", "12", "14", "11", "10", "9"} {
		tried, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", "3."+minor+".*", "bin", "python3"))
		if p, err := exec.LookPath("python3." + minor); err == nil {
			tried = append(tried, p)
		}
		for _, p := range append([]string{DebianPython}, tried...) {
			if v := versionOf(p); v == "3."+minor && !seen[v] {
				seen[v] = true
				out = append(out, p)
			}
		}
	}
	return out
})

// versionOf is the version as "3.13", empty for what is no interpreter.
func versionOf(python string) string {
	out, err := exec.Command(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// DebianPath has the distribution's interpreter found first.
const DebianPath = "PATH=/usr/bin:/bin"
