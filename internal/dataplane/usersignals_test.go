package dataplane

import "testing"

// TestUserSignals: what comes first is taken first, and each once; what is given back is not taken.
func TestUserSignals(t *testing.T) {
	var u userSignals
	if _, ok := u.take(); ok {
		t.Error("there is none")
	}
	for _, n := range []int{7, 8, 0, 8} {
		u.put(n)
	}
	if !u.remove(8) || u.remove(9) {
		t.Error("what is there, and only that, is given back")
	}
	for _, want := range []int{7, 0, 8} {
		if n, ok := u.take(); !ok || n != want {
			t.Error(n, ok)
		}
	}
	if _, ok := u.take(); ok {
		t.Error("one is taken twice")
	}
}

// TestWaitForASignal: who waits gets the next, and none once the worker ends.
func TestWaitForASignal(t *testing.T) {
	var u userSignals
	got := make(chan int)
	wait := func() {
		n, ok := u.wait()
		if !ok {
			n = -1
		}
		got <- n
	}
	go wait()
	u.put(7)
	if n := <-got; n != 7 {
		t.Error(n)
	}
	go wait()
	u.end()
	if n := <-got; n != -1 {
		t.Error(n)
	}
}
