package dataplane

import "uwsgi/internal/backlog"

// queueLength returns how many connections wait on l and how many may, `listen` or less; limit is 0
// where the kernel does not say.
func queueLength(m *backlog.Meter, l *listener) (waiting, limit int) {
	waiting, limit = kernelQueue(m, l)
	if l.Backlog > 0 {
		limit = min(limit, l.Backlog)
	}
	return waiting, limit
}

func kernelQueue(m *backlog.Meter, l *listener) (waiting, limit int) {
	if !l.unix {
		waiting, limit, _ = m.TCP(l.FD)
		return waiting, limit
	}
	if l.inode == 0 {
		inode, err := backlog.Inode(l.FD)
		if err != nil {
			return 0, 0
		}
		l.inode = inode
	}
	waiting, limit, _ = m.Unix(l.inode)
	return waiting, limit
}
