package harness

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"
)

// StartDaemon starts a server that goes to the background, and waits until it serves. Its log is
// then in logfile, which has to be in the pidfile's company: both are what its configuration names.
func (s *Server) StartDaemon(pidfile, logfile string, args ...string) {
	s.t.Helper()
	cmd := s.Command(args...)
	out, err := os.Create(s.Path("terminal")) // no pipe: Run would wait until the daemon has closed it
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		logged, _ := os.ReadFile(logfile)
		s.t.Fatalf("%v: %v\n%s\n%s", cmd.Args, err, said, logged)
	}
	s.daemon = true
	s.PID = s.ReadPid(pidfile)
	go func() {
		for Alive(s.PID) {
			time.Sleep(5 * time.Millisecond)
		}
		close(s.exited)
	}()
	go s.Log.followFile(logfile, func() bool { return len(s.Processes()) == 0 })
	s.Log.Wait(s.t, readyLine)
	s.fds = len(descriptors(s.PID))
}

// ReadPid reads a pidfile.
func (s *Server) ReadPid(path string) int {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return pid
}

// followFile takes the lines of a file that others append to, until over says that they are done.
func (l *Log) followFile(path string, over func() bool) {
	var at int64
	var part []byte
	buf := make([]byte, 64<<10)
	defer close(l.ended)
	for last, beat := false, 0; ; beat++ {
		if f, err := os.Open(path); err == nil {
			n, _ := f.ReadAt(buf, at)
			f.Close()
			at += int64(n)
			part = append(part, buf[:n]...)
			for {
				line, rest, ok := bytes.Cut(part, []byte("\n"))
				if !ok {
					break
				}
				l.add(string(line))
				part = rest
			}
			if n == len(buf) {
				continue
			}
		}
		if last {
			return
		}
		if beat%20 == 0 {
			last = over()
		}
		if !last {
			time.Sleep(5 * time.Millisecond)
		}
	}
}
