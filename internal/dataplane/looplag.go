package dataplane

// askLag measures how late the loop is: how long a token waits in the epoll set until the loop
// takes it. The housekeeper asks at each sweep. False: nothing is in flight, so that an idle loop
// sleeps on.
func (l *Loop) askLag(now int64) bool {
	lag := &l.eng.row.Loop.Lag
	switch asked := l.askedAt.Load(); {
	case asked != 0: // it has not come to that yet
		lag.Store(now - asked)
	case l.eng.row.Loop.InFlight.Load() == 0:
		lag.Store(0)
		return false
	default:
		l.askedAt.Store(now)
		l.eng.wake(1)
	}
	return true
}

// replyLag answers askLag, if it has asked.
func (l *Loop) replyLag() {
	if asked := l.askedAt.Swap(0); asked != 0 {
		l.eng.row.Loop.Lag.Store(monotonic() - asked)
	}
}
