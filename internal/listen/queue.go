package listen

import (
	"fmt"

	"uwsgi/internal/backlog"
)

// Queue is the number of connections that wait to be accepted and the number that may, `listen` or
// less.
func (s *Socket) Queue() (waiting, limit int, err error) {
	waiting, limit, err = s.kernelQueue()
	if s.backlog > 0 {
		limit = min(limit, s.backlog)
	}
	return waiting, limit, err
}

func (s *Socket) kernelQueue() (waiting, limit int, err error) {
	var m backlog.Meter
	defer m.Close()
	if s.network != "UNIX" {
		waiting, limit, err = m.TCP(s.FD())
	} else {
		var inode uint32
		if inode, err = backlog.Inode(s.FD()); err == nil {
			waiting, limit, err = m.Unix(inode)
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("socket %s: %w", s.Name, err)
	}
	return waiting, limit, nil
}
