package dataplane

import "sync/atomic"

// answerer is who answers a request.
type answerer uint64

const (
	answerNobody    answerer = iota // as yet
	answerCore                      // the thread that runs it
	answerHarakiri                  // the housekeeper, in its place: it is at it
	answerElsewhere                 // it has answered

	whoAnswers = 3 // the bits of it
)

var answererNames = [...]string{"nobody", "core", "harakiri", "elsewhere"}

func (a answerer) String() string { return answererNames[a] }

// answererMoves is every change of a request's answerer there is. What the core claims is its own;
// what the housekeeper has claimed the core waits for.
var answererMoves = map[answerer][]answerer{
	answerNobody:   {answerCore, answerHarakiri},
	answerHarakiri: {answerElsewhere},
}

// answering says which of an exchange's requests is in hand and who answers that. What is said of
// another one comes to nothing.
type answering struct {
	serial uint64        // of the request in hand, above the bits of whoAnswers; the core's
	word   atomic.Uint64 // it and its answerer
}

// request is the request in hand, for claimFor.
func (a *answering) request() uint64 { return a.word.Load() &^ whoAnswers }

func (a *answering) by() answerer { return answerer(a.word.Load() & whoAnswers) }

// begin is the core's, with its next request.
func (a *answering) begin() {
	a.serial += whoAnswers + 1
	a.word.Store(a.serial | uint64(answerNobody))
}

// claimAnswer takes the right to answer for the core. False: the request was past its deadline and
// is answered in its place.
func (a *answering) claimAnswer() bool {
	mine := a.serial | uint64(answerCore)
	return a.word.CompareAndSwap(a.serial|uint64(answerNobody), mine) || a.word.Load() == mine
}

// claimFor takes the right to answer that request in the core's place, until answered. False: the
// core answers, or is at another one.
func (a *answering) claimFor(request uint64) bool {
	return a.word.CompareAndSwap(request|uint64(answerNobody), request|uint64(answerHarakiri))
}

// answered ends what claimFor has begun.
func (a *answering) answered(request uint64) { a.word.Store(request | uint64(answerElsewhere)) }
