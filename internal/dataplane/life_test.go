package dataplane

import (
	"slices"
	"testing"

	"uwsgi/internal/option"
)

// A worker's life only goes on, every phase but the last can be left, and it can drain at any time
// before it does.
func TestPhases(t *testing.T) {
	for from := starting; from <= left; from++ {
		if (len(phaseMoves[from]) == 0) != (from == left) {
			t.Errorf("%s leads to %v", from, phaseMoves[from])
		}
		if from < draining && checkMove(phaseMoves, from, draining) != nil {
			t.Errorf("a worker that is %s cannot drain", from)
		}
		for to := starting; to <= left; to++ {
			var l life
			l.now.Store(int32(from))
			moved, err := l.enter(to)
			legal := slices.Contains(phaseMoves[from], to)
			if legal && to <= from {
				t.Errorf("%s → %s is legal, and leads back", from, to)
			}
			if moved != legal || (err != nil) != (to > from && !legal) {
				t.Errorf("%s → %s: %v, %v", from, to, moved, err)
			}
			if want := map[bool]phase{true: to, false: from}[legal]; l.phase() != want {
				t.Errorf("%s → %s ends as %s", from, to, l.phase())
			}
		}
	}
	if err := checkMove(phaseMoves, left, serving); err == nil || err.Error() != "illegal move from left to serving" {
		t.Errorf("err = %v", err)
	}
}

// A worker listens while it serves and nothing speaks against it; one reason more or less is none
// of the others' business.
func TestHindrances(t *testing.T) {
	var l life
	for p := starting; p <= left; p++ {
		l.now.Store(int32(p))
		if l.listens() != (p == serving) {
			t.Errorf("%s: listens = %v", p, l.listens())
		}
	}
	l.now.Store(int32(serving))
	if !l.hinder(noDescriptor) || l.hinder(noDescriptor) || !l.hinder(paused) {
		t.Error("what was known is not told from what is new")
	}
	l.relieve(noDescriptor)
	if l.listens() || l.hindered(noDescriptor) || !l.hindered(paused) {
		t.Error("one reason took the other with it")
	}
	l.relieve(paused)
	if !l.listens() {
		t.Error("it does not listen again")
	}
}

// The phases of a real worker, and what goes beside them.
func TestLife(t *testing.T) {
	var seen []phase
	s := serve(t, config{starts: true, prepare: func(e *Engine) { seen = append(seen, e.phase()) },
		set: func(s *option.Settings) { s.Threads = 2 }})
	s.say(message{Op: "serve"})
	s.serving()
	seen = append(seen, s.eng.phase())
	s.say(message{Op: "drain"})
	s.wait()
	if seen = append(seen, s.eng.phase()); !slices.Equal(seen, []phase{starting, serving, left}) {
		t.Errorf("phases = %v", seen)
	}
}

// The methods of ownership make the moves of connMoves, all of them and no other.
func TestOwnership(t *testing.T) {
	type made struct {
		from, to connState
		by       mover
	}
	methods := []struct {
		by   mover
		from []connState // as who may call it can meet it
		call func(o *ownership)
	}{
		{maker, []connState{connClosed}, (*ownership).open},
		{anybody, []connState{connClosed, connIdle, connBusy, connPending}, func(o *ownership) { o.own() }},
		{anybody, []connState{connClosed, connIdle, connBusy, connPending}, func(o *ownership) { o.claim() }},
		{owner, []connState{connBusy, connPending}, func(o *ownership) { o.leave() }},
		{owner, []connState{connBusy, connPending}, (*ownership).end},
	}
	moves := map[made]bool{}
	for _, m := range methods {
		for _, from := range m.from {
			var o ownership
			o.state.Store(int32(from))
			if m.call(&o); o.at() != from {
				moves[made{from, o.at(), m.by}] = true
			}
		}
	}
	for _, m := range connMoves {
		if !moves[made(m)] {
			t.Errorf("nothing moves a connection from %s to %s (%s)", m.from, m.to, m.by)
		}
		delete(moves, made(m))
	}
	for m := range moves {
		t.Errorf("%s moves a connection from %s to %s", m.by, m.from, m.to)
	}
}

// Who becomes the owner is told so, and who has come too late is remembered.
func TestOwnershipIsTold(t *testing.T) {
	var o ownership
	o.open()
	if o.own() || o.at() != connPending {
		t.Errorf("a second owner; %s", o.at())
	}
	if o.leave() || o.at() != connBusy {
		t.Errorf("it was left with an event unseen; %s", o.at())
	}
	if o.claim() || !o.leave() || !o.own() {
		t.Errorf("%s", o.at())
	}
	if o.end(); o.own() || o.claim() {
		t.Error("a closed connection has an owner")
	}
}

// One of the core and the housekeeper answers a request, whoever is first, and what the housekeeper
// means for one request says nothing of the next.
func TestAnswering(t *testing.T) {
	var a answering
	at := func(by answerer) { a.word.Store(a.request() | uint64(by)) }
	for from := answerNobody; from <= answerElsewhere; from++ {
		for _, c := range []struct {
			to  answerer
			set func() bool
			own bool // it holds already
		}{
			{answerCore, a.claimAnswer, from == answerCore},
			{answerHarakiri, func() bool { return a.claimFor(a.request()) }, false},
		} {
			a.begin()
			at(from)
			legal := checkMove(answererMoves, from, c.to) == nil
			want := map[bool]answerer{true: c.to, false: from}[legal]
			if got := c.set(); got != (legal || c.own) || a.by() != want {
				t.Errorf("%s → %s: %v, %s answers", from, c.to, got, a.by())
			}
		}
	}
	a.begin()
	old := a.request()
	if a.claimFor(old) && a.by() == answerHarakiri {
		if checkMove(answererMoves, a.by(), answerElsewhere) != nil {
			t.Error("what the housekeeper has begun it cannot end")
		}
		a.answered(old)
	}
	if a.begin(); a.by() != answerNobody || a.claimFor(old) || a.by() != answerNobody {
		t.Errorf("of the next request: %s answers", a.by())
	}
}
