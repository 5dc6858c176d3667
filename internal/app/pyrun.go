package app

import (
	"os"
	"os/signal"
	"syscall"

	"uwsgi/internal/option"
)

// forScript leaves of the settings what the script of pyrun runs with: everything that the
// functions of the uwsgi module need, and nothing by which the instance is reached, for the script
// may be run beside the server that has the same configuration. Its streams are those of who calls
// it.
func forScript(s *option.Settings) {
	stay(s)
	none := option.Default()
	s.SocketSettings, s.StatsSettings, s.LogSettings = none.SocketSettings, none.StatsSettings, none.LogSettings
	s.Pidfile, s.Pidfile2, s.SafePidfile, s.SafePidfile2 = "", "", "", ""
	s.MasterFIFO, s.TouchReload, s.TouchWorkersReload, s.TouchChainReload = nil, nil, nil, nil
	s.Emperor, s.FallbackConfig = none.Emperor, ""
	s.Processes, s.Cheap, s.Cheaper, s.Idle, s.NoServer = 0, false, 0, 0, false
	s.LazyApps, s.NeedApp = true, false // an application that is broken is no reason not to run it
	s.HonourStdin, s.ExitOnReload = true, true
}

// forScript has the signals of a terminal do with this process what they do with the script, which
// gets them, too: ^Z stops both, and what ^C means is the script's affair.
func (s *signals) forScript(in *os.File) {
	signal.Reset(syscall.SIGTSTP)
	if terminal(in) {
		s.tie(syscall.SIGINT, func() {})
	}
}
