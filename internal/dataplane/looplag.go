package dataplane

// ask has the loop say how late it is: how long a token that is there has to wait for it. The
// housekeeper asks at each sweep. False: nothing is in flight, a loop with nothing to do sleeps on.
func (l *Loop) ask(now int64) bool {
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

// reply answers what the housekeeper has asked, if it has.
func (l *Loop) reply() {
	if asked := l.askedAt.Swap(0); asked != 0 {
		l.eng.row.Loop.Lag.Store(monotonic() - asked)
	}
}
