// Package crash has the program end, rather than hang, when a goroutine of its own panics: what is
// to be done then is done (Handle), and the process exits with Status. Every goroutine of the
// supervisor's process starts by Go or is Guarded.
package crash

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Status is what the program exits with after a panic: EX_SOFTWARE of sysexits(3).
const Status = 70

// patience is how long the end may take: whatever the panic left locked, the process is gone after
// it.
const patience = 5 * time.Second

var handler atomic.Pointer[func(text string)]

// Handle sets what is done with the text of a panic, which has several lines, before the program
// ends. Without it the text goes to standard error.
func Handle(f func(text string)) { handler.Store(&f) }

// Go runs f in a goroutine of its own.
func Go(f func()) { go Guarded(f)() }

// Guarded is f for a goroutine that somebody else starts: sync.WaitGroup.Go, time.AfterFunc …
func Guarded(f func()) func() {
	return func() {
		defer Guard()
		f()
	}
}

// Guard ends the program if its goroutine panics; it is deferred.
func Guard() {
	if r := recover(); r != nil {
		text := Describe(r)
		Deadline(text)
		if f := handler.Load(); f != nil {
			(*f)(text)
		} else {
			fmt.Fprintln(os.Stderr, text)
		}
		os.Exit(Status)
	}
}

// Deadline ends the process in a moment, whatever happens until then.
func Deadline(text string) {
	time.AfterFunc(patience, func() {
		fmt.Fprintln(os.Stderr, text)
		os.Exit(Status)
	})
}

// Describe is a panic's value and the stack of its goroutine; it is called where the value is
// recovered.
func Describe(value any) string { return fmt.Sprintf("panic: %v\n%s", value, debug.Stack()) }
