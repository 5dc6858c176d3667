// Package threads makes system threads before they are needed. Go's runtime makes one whenever all it has are blocked in the kernel, and
// ends the process when it cannot: a user's limit on processes, or a control group's, that the application has used up would take the server
// down with it. Threads that were made once stay.
package threads

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// slack is how late a thread's timers may be where nobody has said otherwise.
const slack = 50 * time.Microsecond

// Reserve has the runtime hold n threads. Their timers are on time, though the threads they come from may have been told to be late.
func Reserve(n int) {
	var made, all sync.WaitGroup
	made.Add(n)
	release := make(chan struct{})
	for range n {
		all.Go(func() {
			runtime.LockOSThread() // a goroutine that waits while it is locked keeps its thread
			unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
			made.Done()
			<-release
			runtime.UnlockOSThread()
		})
	}
	made.Wait()
	close(release)
	all.Wait()
}
