package dataplane

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// phase is where a worker stands between its start and its end. It only goes on, so that phases can
// be compared.
type phase int32

const (
	starting phase = iota // takes no connection before the supervisor says so
	serving               // takes them, unless a hindrance speaks against it
	draining              // takes no more; those that are idle are being handed on
	leaving               // every connection has been seen: the cores go once none is active
	givenUp               // only stuck requests are left: the supervisor knows, and kills it
	left                  // the cores are gone, or about to go
)

var phaseNames = [...]string{"starting", "serving", "draining", "leaving", "given up", "left"}

func (p phase) String() string { return phaseNames[p] }

// phaseMoves is every change of phase there is.
var phaseMoves = map[phase][]phase{
	starting: {serving, draining},
	serving:  {draining},
	draining: {leaving},
	leaving:  {givenUp, left},
	givenUp:  {left}, // what was stuck came back after all
}

// checkMove returns an error for a move that the table does not have.
func checkMove[S interface {
	comparable
	fmt.Stringer
}](table map[S][]S, from, to S) error {
	if slices.Contains(table[from], to) {
		return nil
	}
	return fmt.Errorf("illegal move from %s to %s", from, to)
}

// hindrance is a reason not to listen. Each comes and goes by itself, in whatever phase.
type hindrance uint32

const (
	paused       hindrance = 1 << iota // the supervisor says so
	noDescriptor                       // no descriptor was left for a connection
	laden                              // as many exchanges as may be are in flight on the loop
)

// life is a worker's phase and what is apart from it.
type life struct {
	now        atomic.Int32  // a phase
	hindrances atomic.Uint32 // a set
	parting    atomic.Bool   // the instance will stop: HTTP clients are told to close
}

func (l *life) phase() phase { return phase(l.now.Load()) }

// enter goes on to a phase. False: the worker was already there, or further. An error means that
// the table has no such move.
func (l *life) enter(to phase) (bool, error) {
	for {
		from := l.phase()
		if from >= to {
			return false, nil
		}
		if err := checkMove(phaseMoves, from, to); err != nil {
			return false, err
		}
		if l.now.CompareAndSwap(int32(from), int32(to)) {
			return true, nil
		}
	}
}

// hinder notes a reason not to listen. False: it was known.
func (l *life) hinder(h hindrance) bool { return l.hindrances.Or(uint32(h))&uint32(h) == 0 }

// relieve takes it back.
func (l *life) relieve(h hindrance) { l.hindrances.And(^uint32(h)) }

func (l *life) hindered(h hindrance) bool { return l.hindrances.Load()&uint32(h) != 0 }

// listens reports whether the worker takes connections.
func (l *life) listens() bool { return l.phase() == serving && l.hindrances.Load() == 0 }

// enter goes on to a phase; see life.enter.
func (e *Engine) enter(to phase) bool {
	moved, err := e.life.enter(to)
	if err != nil {
		e.house.note("internal error: worker %d: %v", e.slot, err)
	}
	return moved
}
