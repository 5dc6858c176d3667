//go:build lab

package lab

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// scenarios, in the order they run; the last ones take the package away.
var scenarios = []struct {
	name string
	run  func(*testing.T, *Machine)
}{
	{"units", units},
	{"compiled", compiled},
	{"completion", completion},
	{"generator-time", generatorTime},
	{"start", start},
	{"seed", seed},
	{"identity", identity},
	{"journal", journal},
	{"request-fields", requestFields},
	{"log-files", logFiles},
	{"traceback", traceback},
	{"logging", logged},
	{"explained", explained},
	{"reload-under-load", reloadUnderLoad},
	{"broken-reload", brokenReload},
	{"notify-reload", notifyReload},
	{"restart-under-load", restartUnderLoad},
	{"edit-and-restart", editAndRestart},
	{"restarted-often", restartedOften},
	{"moved-port", movedPort},
	{"broken-config", brokenConfig},
	{"broken-reload-of-config", brokenReloadOfConfig},
	{"missing-user", missingUser},
	{"names", names},
	{"at-once", atOnce},
	{"first-connection", firstConnection},
	{"stop-means-stop", stopMeansStop},
	{"die-on-idle", dieOnIdle},
	{"cheap", cheap},
	{"many-sockets", manySockets},
	{"named-sockets", namedSockets},
	{"privileged-port", privilegedPort},
	{"formats", formats},
	{"bad-files", badFiles},
	{"watchdog", watchdog},
	{"busy", busy},
	{"slow-import", slowImport},
	{"broken-start", brokenStart},
	{"worker-killed", workerKilled},
	{"journald-restart", journaldRestart},
	{"journald-stuck", journaldStuck},
	{"sandbox", sandbox},
	{"places", places},
	{"examples", examples},
	{"as-root", asRoot},
	{"enable-disable", enableDisable},
	{"umbrella", umbrella},
	{"init-script", initScript},
	{"init-script-without-systemd", initScriptWithoutSystemd},
	{"debian-template", debianTemplate},
	{"emperor", emperor},
	{"tyrant", tyrant},
	{"any-order", anyOrder},
	{"debian-package", debianPackage},
	{"debian-units", debianUnits},
	{"daemonize", daemonize},
	{"secret-environment", secretEnvironment},
	{"killed-by-hand", killedByHand},
	{"umbrella-by-hand", umbrellaByHand},
	{"as-user", asUser},
	{"list", list},
	{"hello", hello},
	{"nginx-unix", nginxUnix},
	{"nginx-tcp", nginxTCP},
	{"nginx-http", nginxHTTP},
	{"boot", boot},
	{"upgrade-under-load", upgradeUnderLoad},
	{"remove-and-purge", removeAndPurge},
	{"from-debian", fromDebian},
}

var passed, failed atomic.Int32

func TestMain(m *testing.M) {
	code := m.Run()
	fmt.Printf("%d passed, %d failed\n", passed.Load(), failed.Load())
	os.Exit(code)
}

// TestLab boots both systems side by side: most of a scenario is waiting.
func TestLab(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			up := false
			defer func() {
				if !up {
					failed.Add(1) // it did not even come up
				}
			}()
			m := newMachine(t, suite)
			begin := time.Now()
			m.install(t)
			up = true
			t.Logf("%s: systemd %d, booted in %.2f s, package installed in %.1f s", suite, m.Version,
				m.booted.Seconds(), time.Since(begin).Seconds())
			for _, s := range scenarios {
				ran := false
				ok := t.Run(s.name, func(t *testing.T) { ran = true; s.run(t, m) })
				switch {
				case !ok:
					failed.Add(1)
				case ran:
					passed.Add(1)
				}
			}
		})
	}
}
