package supervisor

import "testing"

// Request lines that the workers could not write are reported once, those of a worker that is gone too.
func TestLostRequestLines(t *testing.T) {
	r := newRig(t, 2).up()
	lose := func(n int64) {
		r.do(func() {
			for _, p := range r.sup.procs {
				p.gen.rows.board.Row(p.row).LogLost.Add(n)
			}
		})
	}
	lose(3)
	r.wait("log.lost", "6 request lines were lost")
	lose(1)
	r.signal(1, sigRecycle)
	r.wait("worker.recycled", "")
	r.wait("log.lost", "2 request lines were lost")
	r.stop()
	if n := r.count("log.lost"); n != 2 {
		t.Errorf("reported %d times", n)
	}
}
