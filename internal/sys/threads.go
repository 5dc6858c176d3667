package sys

import (
	"runtime"
	"sync"
)

// ReserveThreads makes system threads before they are needed: Go's runtime has n afterwards, for
// good. It makes one whenever all it has are blocked in the kernel, and ends the process when it
// cannot: a user's limit on processes, or a control group's, that the application has used up would
// take the server down with it.
func ReserveThreads(n int) {
	var made, all sync.WaitGroup
	made.Add(n)
	release := make(chan struct{})
	for range n {
		all.Go(func() {
			runtime.LockOSThread() // a goroutine that waits while it is locked keeps its thread
			made.Done()
			<-release
			runtime.UnlockOSThread()
		})
	}
	made.Wait()
	close(release)
	all.Wait()
}
