//go:build lab

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pkg is the package that `make deb` left.
func pkg(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("../../../dist/uwsgi_*_" + runtime.GOARCH + ".deb")
	if len(found) != 1 {
		t.Fatalf("dist/ holds %d packages, want one: make deb", len(found))
	}
	return found[0]
}

// install puts the package in with apt, offline: what it depends on is there.
func (m *Machine) install(t *testing.T) {
	t.Helper()
	m.Copy(t, pkg(t), "/root/uwsgi.deb")
	// nginx runs in the scenarios that want it.
	m.Sh(t, "systemctl disable --now nginx || true")
	m.Sh(t, "find / -xdev > /root/files-before")
	m.Sh(t, "apt-get install -y -q --no-install-recommends /root/uwsgi.deb")
}

// units: systemd and man have nothing to say against what is installed.
func units(t *testing.T, m *Machine) {
	for _, u := range []string{"uwsgi@lab.service", "uwsgi@lab.socket", "uwsgi.service", "uwsgi-unit@lab.service",
		"uwsgi-sockets@lab.service", "uwsgi-app@lab.service", "uwsgi-app@lab.socket",
		"uwsgi-emperor.service"} {
		if out := m.Sh(t, "systemd-analyze verify "+u+" 2>&1"); out != "" {
			t.Errorf("systemd-analyze verify %s: %s", u, out)
		}
	}
	for _, u := range []string{"uwsgi@lab.service", "uwsgi-app@lab.service"} {
		score := m.exposure(t, u)
		if n, err := strconv.ParseFloat(score, 64); err != nil || n > 2 {
			t.Errorf("%s stands at %s", u, score)
		}
		t.Logf("%s %s", u, score)
	}
	for _, page := range []string{"uwsgi.1", "uwsgi.ini.5", "uwsgi-generator.8", "uwsgi-core.1", "uwsgi_python3.1"} {
		if out := m.Sh(t, "LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l /usr/share/man/man*/"+page+
			".gz 2>&1 >/dev/null"); out != "" {
			t.Errorf("man --warnings %s: %s", page, out)
		}
	}
	for _, program := range []string{"uwsgi", "uwsgi-core", "uwsgi_python3", "uwsgi_python311", "uwsgi_python313"} {
		if got := m.Sh(t, program+" --version"); got == "" {
			t.Errorf("%s --version says nothing", program)
		}
	}
}

// compiled: an instance may not write beside the modules, and would compile them at every start.
func compiled(t *testing.T, m *Machine) {
	left := m.Sh(t, `cd /usr/lib/uwsgi; python3 -c 'import glob, importlib.util, os
print(*(f for f in glob.glob("*.py") if not os.path.exists(importlib.util.cache_from_source(f))))'`)
	if left != "" {
		t.Errorf("without bytecode: %s", left)
	}
}

// exposure is what systemd-analyze says of a unit.
func (m *Machine) exposure(t *testing.T, unit string) string {
	t.Helper()
	out := m.Sh(t, "systemd-analyze security --no-pager "+unit+" | tail -n 1")
	score := regexp.MustCompile(`: ([0-9.]+) `).FindStringSubmatch(out)
	if score == nil {
		t.Fatalf("systemd-analyze security %s: %s", unit, out)
	}
	return score[1]
}

// completion: as bash asks for it.
func completion(t *testing.T, m *Machine) {
	m.Write(t, "/root/complete/a file.ini", "")
	defer m.Run("rm", "-rf", "/root/complete")
	ask := func(words ...string) string {
		t.Helper()
		m.Write(t, "/root/complete/ask", ". /usr/share/bash-completion/bash_completion\n_completion_loader "+
			"uwsgi\ncomplete -p uwsgi >/dev/null\ncd /root/complete\nCOMP_WORDS=(uwsgi "+
			strings.Join(words, " ")+")\nCOMP_CWORD="+strconv.Itoa(len(words))+
			"\n_uwsgi\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
		return strings.Join(strings.Split(m.Sh(t, "bash /root/complete/ask | sort"), "\n"), "|")
	}
	for words, want := range map[string]string{"--reload-m": "--reload-mercy", "re": "reload",
		"--ini a": "a file.ini", "--harakiri-v": "--harakiri-verbose"} {
		if got := ask(strings.Fields(words)...); got != want {
			t.Errorf("uwsgi %s<TAB>: %q, want %q", words, got, want)
		}
	}
}

// generatorTime: a folder of twenty applications is read in milliseconds, with files of no use
// among them, and none is waited for.
func generatorTime(t *testing.T, m *Machine) {
	defer m.Run("sh", "-c", "rm -f /etc/uwsgi/apps-enabled/bulk*; systemctl daemon-reload")
	for n := range 20 {
		m.Write(t, fmt.Sprintf("/etc/uwsgi/apps-enabled/bulk%d.ini", n),
			"[uwsgi]\nsocket = /run/uwsgi/%n.sock\nmodule = x\n")
	}
	m.Sh(t, "cd /etc/uwsgi/apps-enabled; mkfifo bulk-pipe.ini; ln -s /dev/zero bulk-endless.ini; ln -s bulk-loop.ini "+
		"bulk-loop.ini; echo \"[uwsgi\" > bulk-broken.ini")
	took := m.Sh(t, `d=$(mktemp -d); for i in 1 2 3 4 5; do python3 -c '
import subprocess, sys, time
begin = time.monotonic()
status = subprocess.run(["/usr/lib/systemd/system-generators/uwsgi-generator", sys.argv[1], sys.argv[1], sys.argv[1]]).returncode
print(status, int((time.monotonic() - begin) * 1000))' $d; done; ls $d | wc -l; rm -r $d`)
	best := -1
	lines := strings.Split(took, "\n")
	for _, line := range lines[:len(lines)-1] {
		var status, ms int
		if _, err := fmt.Sscan(line, &status, &ms); err != nil || status != 0 {
			t.Errorf("the generator: %q, %v", line, err)
		}
		if best < 0 || ms < best {
			best = ms
		}
	}
	if n := lines[len(lines)-1]; n != "41" { // a service's and a socket's drop-ins each, and the links
		t.Errorf("%s entries were written", n)
	}
	t.Logf("20 applications: %d ms", best)
	if best > 500 {
		t.Errorf("the best of five took %d ms", best)
	}
}

// upgradeUnderLoad: the package is replaced while a crowd asks; nothing is lost, and the new
// program runs.
func upgradeUnderLoad(t *testing.T, m *Machine) {
	a := m.App(t, "upgrade")
	a.Start(t)
	m.Sh(t, `rm -rf /root/repack; dpkg-deb -R /root/uwsgi.deb /root/repack
		sed -i 's/^Version: .*/Version: 3.0.0+lab/' /root/repack/DEBIAN/control
		sed -i 's/= 3\.0\.0)/= 3.0.0+lab)/g' /root/repack/DEBIAN/control
		dpkg-deb -b /root/repack /root/newer.deb`)
	before := a.MainPID(t)
	a.Load(t, "/", "one", func(func(int64)) {
		m.Sh(t, "apt-get install -y -q --no-install-recommends /root/newer.deb")
		m.Eventually(t, "new supervisor", func() bool { return a.MainPID(t) != before && a.State(t) == "active" })
	})
	if got := m.Sh(t, "dpkg-query -W -f '${Version}' uwsgi"); got != "3.0.0+lab" {
		t.Errorf("version %s is installed", got)
	}
}

// removeAndPurge: nothing is left, but for what dpkg keeps until a purge.
func removeAndPurge(t *testing.T, m *Machine) {
	a := m.App(t, "leaving")
	a.Start(t)
	m.Sh(t, "systemctl enable uwsgi@leaving.socket uwsgi@leaving.service")
	m.Sh(t, "apt-get remove -y -q uwsgi")
	if out, _ := m.Run("pgrep", "-a", "uwsgi"); out != "" {
		t.Errorf("still there after removal: %s", out)
	}
	if out := m.Sh(t, "systemctl list-units --all --plain --no-legend 'uwsgi*' | grep -v "+
		"not-found || true"); out != "" {
		t.Errorf("units after removal:\n%s", out)
	}
	m.Sh(t, "rm -rf /etc/uwsgi/apps-enabled/leaving.ini")
	m.Sh(t, "apt-get purge -y -q uwsgi")
	m.Sh(t, "find / -xdev > /root/files-after")
	left := m.Sh(t, "sort /root/files-before > /root/b; sort /root/files-after > /root/a; comm -13 /root/b /root/a; "+
		"find /run -name '*uwsgi*'")
	lines := slices.DeleteFunc(strings.Split(left, "\n"), func(l string) bool {
		// apt's and dpkg's own books, the lab's, and what other programs cache
		for _, own := range []string{"/root/", "/var/lib/dpkg", "/var/lib/apt", "/var/cache/", "/var/log/apt",
			"/var/log/dpkg", "/var/log/alternatives",
			"/srv/", "/tmp/", "/var/tmp/", "/var/lib/systemd/catalog", "/run/log/", "/var/log/nginx", "/var/lib/nginx", "/etc/machine-id",
			"/var/log/lastlog", "/var/log/wtmp", "/var/log/btmp", "/home/", "/run/systemd/units/", "/var/lib/systemd/", "/etc/.pwd", "/etc/subuid-", "/etc/subgid-", "/var/lib/private", "/var/lib/lab"} {
			if strings.HasPrefix(l, own) {
				return true
			}
		}
		return l == "" || strings.Contains(l, "__pycache__")
	})
	if len(lines) > 0 {
		t.Errorf("left after purge:\n%s", strings.Join(lines, "\n"))
	}
	if out := m.Sh(t, "find /etc /usr /var/lib/systemd /var/log /run -name '*uwsgi*' -not -path '/usr/lib/python3*' "+
		"-not -path '/run/systemd/*' | grep -v -e nginx || true"); out != "" {
		t.Errorf("left after purge:\n%s", out)
	}
}

// fromDebian: Debian's own packages are replaced, with an application running and a package that
// depends on them; both stay.
func fromDebian(t *testing.T, m *Machine) {
	m.Sh(t, "dpkg --purge uwsgi; apt-get install -y -q --no-install-recommends /var/cache/lab/*.deb")
	t.Cleanup(func() {
		m.Run("dpkg", "--purge", "lab-dependent")
		m.Run("rm", "-rf", "/root/dependent", "/etc/uwsgi/apps-enabled/old.ini", "/srv/old")
	})
	m.Sh(t, `mkdir -p /root/dependent/DEBIAN
		cat > /root/dependent/DEBIAN/control <<-X
		Package: lab-dependent
		Version: 1
		Architecture: all
		Maintainer: Lab <lab@lab.invalid>
		Depends: uwsgi (>= 2.0.20), uwsgi-core (>= 2.0.20), uwsgi-plugin-python3, python3-uwsgidecorators, uwsgi-emperor, httpd-wsgi3
		Description: depends on all of Debian's uwsgi
		X
		dpkg-deb -b /root/dependent /root/dependent.deb; dpkg -i /root/dependent.deb`)
	a := App{m: m, Name: "old"}
	a.Is(t, "one")
	a.INI(t, "plugins = python3")
	m.Sh(t, "systemctl restart uwsgi")
	m.Eventually(t, "socket of Debian's uwsgi", func() bool {
		_, err := os.Stat(m.Path("/run/uwsgi/app/old/socket"))
		return err == nil
	})
	if exe := m.Sh(t, "readlink /proc/$(cat /run/uwsgi/app/old/pid)/exe"); exe != "/usr/bin/uwsgi-core" {
		t.Fatalf("Debian's uwsgi is %s", exe)
	}
	b := App{m: m, Name: "oldvassal"}
	b.Is(t, "one")
	m.Write(t, "/etc/uwsgi-emperor/vassals/oldvassal.ini",
		"[uwsgi]\nplugins = python3\nchdir = /srv/oldvassal\nmodule = app\nsocket = /run/uwsgi/oldvassal.sock\n")
	defer m.Run("rm", "-rf", "/etc/uwsgi-emperor/vassals/oldvassal.ini", "/srv/oldvassal")
	m.Sh(t, "apt-get install -y -q --no-install-recommends /root/uwsgi.deb")
	m.Eventually(t, "vassal of Debian's emperor under ours", func() bool { return b.State(t) == "active" })
	b.Answers(t, "/who", "www-data www-data /srv/oldvassal")
	if got := m.Sh(t, "dpkg-query -W -f '${Status}' lab-dependent"); got != "install ok installed" {
		t.Errorf("lab-dependent: %s", got)
	}
	m.Sh(t, "apt-get check")
	if got := m.Sh(t, "dpkg-query -W -f '${db:Status-Abbrev}' uwsgi-core uwsgi-plugin-python3 2>/dev/null "+
		"|| true"); strings.Contains(got, "ii") {
		t.Errorf("Debian's packages are still there: %s", got)
	}
	if got := m.Sh(t, "readlink -f /usr/bin/uwsgi; readlink -f /usr/bin/uwsgi_python3; readlink -f "+
		"/usr/bin/uwsgi-core"); strings.Join(strings.Fields(got),
		" ") != "/usr/bin/uwsgi /usr/bin/uwsgi /usr/bin/uwsgi" {
		t.Errorf("the programs are %s", got)
	}
	m.Eventually(t, "application under the new server", func() bool { return a.State(t) == "active" })
	if exe := m.Sh(t, "readlink /proc/$(cat /run/uwsgi/app/old/pid)/exe"); exe != "/usr/bin/uwsgi" {
		t.Errorf("the pidfile of the old place names %s", exe)
	}
	got := m.Sh(t, "curl -sS --fail --max-time 5 http://localhost/ 2>&1 || true; systemctl is-active uwsgi@old")
	if !strings.HasSuffix(got, "active") {
		t.Error(got)
	}
	m.Sh(t, "apt-get purge -y -q uwsgi uwsgi-core uwsgi-emperor uwsgi-plugin-python3 "+
		"python3-uwsgidecorators lab-dependent")
}
