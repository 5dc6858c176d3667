package alarm

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const longestName = 1 << 10

// socket is where processes raise alarms. Its sender's end does not block: an application does not
// wait for us.
type socket struct{ in, out *os.File }

func (s *socket) open() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socketpair for alarms: %w", err)
	}
	s.in, s.out = os.NewFile(uintptr(fds[0]), "alarms"), os.NewFile(uintptr(fds[1]), "alarms")
	return nil
}

// read raises what comes until close.
func (s *socket) read(size int, raise func(name, message string)) {
	buf := make([]byte, longestName+size+1)
	for {
		n, err := s.out.Read(buf)
		if err != nil {
			return
		}
		if name, message, ok := strings.Cut(string(buf[:n]), "\x00"); ok {
			raise(name, message)
		}
	}
}

func (s *socket) close() {
	s.in.Close()
	s.out.Close()
}
