package dataplane

import "testing"

// TestUserSignals: what comes first is taken first, and each once.
func TestUserSignals(t *testing.T) {
	var u userSignals
	if _, ok := u.take(); ok {
		t.Error("there is none")
	}
	u.put(7)
	u.put(0)
	for _, want := range []int{7, 0} {
		if n, ok := u.take(); !ok || n != want {
			t.Error(n, ok)
		}
	}
	if _, ok := u.take(); ok {
		t.Error("one is taken twice")
	}
}
