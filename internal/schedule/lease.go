package schedule

import "time"

// Verdict is what became of a claim.
type Verdict int

const (
	Later Verdict = iota // nobody knows yet: ask again
	Mine                 // this instance runs it
	Done                 // another one has, or this one before
)

// Lease is which of several instances does what is done once among them.
type Lease interface {
	// Holds is for how long a name is this instance's for sure, 0 = it is not. From the first time
	// on that it is asked this instance tries to have it. It does not wait.
	Holds(name string) time.Duration
	// Claim takes one minute (of Unix time) of what a name stands for, which one instance has and
	// once only. It waits for others.
	Claim(name string, minute int64) Verdict
}

// Contend claims a minute until it is known whose it is, or over, or stop is closed; whether it is
// this instance's.
func Contend(stop <-chan struct{}, lease Lease, name string, minute int64) bool {
	for {
		verdict := lease.Claim(name, minute)
		if verdict != Later || time.Now().Unix()/60 != minute {
			return verdict == Mine
		}
		select {
		case <-stop:
			return false
		case <-time.After(time.Second):
		}
	}
}
