package harness

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// goneWithin is how long processes may outlive their supervisor.
const goneWithin = Patience

// complaint matches lines of a log that a healthy server does not write, whatever it writes at
// error level among them.
var complaint = regexp.MustCompile(`Traceback \(most recent call last\)|internal error|panic|^goroutine |fatal error|DAMN !|NO MERCY|` +
	`Segmentation|SIGSEGV|Exception ignored|illegal move|^uwsgi: |exiting with status|HARAKIRI|reload failed|Fatal Python error|leaked|` +
	`^[\w.]*(Error|Exception|Interrupt|Exit|Warning)(:|$)|cannot be forked|cannot accept|GAME OVER|unable to load app|could not be loaded|garbage collected without being closed|` +
	`EVIL RELOAD|OOOPS (mule|the spooler)|the script \S+ was killed|^(mule|spooler) \d+ \(pid: \d+\): |has not forked worker|OOPS !|its workers serve on, a new|watch the listening sockets|after the reload: |hooks of phase|^send signal|not a message|unknown message|` +
	`\[emperor\] (\S+ of \S+ failed|vassal \S+ died)`)

// dump matches the first line of what Go's runtime writes when it ends a process, frame those that
// follow: one complaint with it, however other processes' lines come between.
var (
	dump  = regexp.MustCompile(`^(fatal error|panic|SIG[A-Z]+): `)
	frame = regexp.MustCompile(`^(goroutine \d+ |\t\S+\.go:\d+|runtime[./])`)
)

// end stops the server and looks at what it left behind.
func (s *Server) end() {
	if s.PID == 0 {
		return
	}
	if s.Running() {
		if s.t.Failed() {
			s.Signal(syscall.SIGQUIT)
		} else {
			s.Stop()
		}
	}
	s.checkProcesses()
	s.checkLog()
	if s.t.Failed() {
		s.t.Logf("the log:\n%s", s.Log.tail())
	}
}

func (s *Server) checkProcesses() {
	left := s.Processes()
	if len(left) > 0 && !Within(goneWithin, func() bool { left = s.Processes(); return len(left) == 0 }) {
		s.t.Errorf("processes are left over:\n%s", describe(left))
		for _, pid := range left { // each carries this server's mark
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	select {
	case <-s.Log.ended:
	case <-time.After(goneWithin):
		s.t.Errorf("somebody still holds the log open")
	}
}

func (s *Server) checkDescriptors() {
	if s.keepFDs || s.fds == 0 {
		return
	}
	if !Within(goneWithin, func() bool { return len(descriptors(s.PID)) <= s.fds }) {
		s.t.Errorf("the supervisor had %d descriptors when it was ready, now:\n%s", s.fds,
			strings.Join(descriptors(s.PID), "\n"))
	}
}

// checkLog fails the test for every complaint that it did not announce, and for every announced one
// that did not come.
func (s *Server) checkLog() {
	used := make([]bool, len(s.allowed))
	for _, c := range complaints(s.Log.Lines(0)) {
		known := slices.ContainsFunc(s.tolerated, func(p string) bool { return regexp.MustCompile(p).MatchString(c) })
		for i, p := range s.allowed {
			if regexp.MustCompile(p).MatchString(c) {
				used[i], known = true, true
			}
		}
		if !known {
			s.t.Errorf("the log complains: %s", c)
		}
	}
	for i, ok := range used {
		if !ok {
			s.t.Errorf("the log holds no complaint that matches %q", s.allowed[i])
		}
	}
}

// complaints gives the lines that complain; a traceback is one, from its first to its last line.
func complaints(lines []string) []string {
	var out []string
	dumped := false
	for i := 0; i < len(lines); i++ {
		dumped = dumped || dump.MatchString(lines[i])
		if dumped && frame.MatchString(lines[i]) || !complaint.MatchString(lines[i]) {
			continue
		}
		text := lines[i]
		if strings.Contains(text, "Traceback (most") {
			for i++; i < len(lines); i++ {
				text += "\n" + lines[i]
				if lines[i] != "" && lines[i][0] != ' ' {
					break
				}
			}
		}
		out = append(out, text)
	}
	return out
}

// Tolerate is Allow for a complaint that need not come in just that form.
func (s *Server) Tolerate(pattern string) { s.tolerated = append(s.tolerated, pattern) }
