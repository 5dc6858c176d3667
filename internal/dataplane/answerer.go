package dataplane

import "sync/atomic"

// answerer says who answers a request.
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

// answererMoves is every change of a request's answerer there is. What the core claims stays its
// own; the core waits for what the housekeeper claims.
var answererMoves = map[answerer][]answerer{
	answerNobody:   {answerCore, answerHarakiri},
	answerHarakiri: {answerElsewhere},
}

// answering is the request in hand of an exchange and its answerer, in one word: a claim for
// another request fails.
type answering struct {
	serial uint64        // of the request in hand, above the bits of whoAnswers; the core's
	word   atomic.Uint64 // it and its answerer
}

// request is the request in hand, for claimFor.
func (a *answering) request() uint64 { return a.word.Load() &^ whoAnswers }

func (a *answering) by() answerer { return answerer(a.word.Load() & whoAnswers) }

// begin is called by the core with its next request.
func (a *answering) begin() {
	a.serial += whoAnswers + 1
	a.word.Store(a.serial | uint64(answerNobody))
}

// claimAnswer takes the right to answer for the core. False: the request was past its deadline and
// somebody else answers it.
func (a *answering) claimAnswer() bool {
	mine := a.serial | uint64(answerCore)
	return a.word.CompareAndSwap(a.serial|uint64(answerNobody), mine) || a.word.Load() == mine
}

// claimFor takes the right to answer that request in place of the core, until answered. False: the
// core answers it, or is at another request.
func (a *answering) claimFor(request uint64) bool {
	return a.word.CompareAndSwap(request|uint64(answerNobody), request|uint64(answerHarakiri))
}

// answered ends what claimFor has begun.
func (a *answering) answered(request uint64) { a.word.Store(request | uint64(answerElsewhere)) }
