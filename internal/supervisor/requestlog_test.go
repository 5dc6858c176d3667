package supervisor

import "testing"

// Request lines that the workers could not write are reported once, those of a worker that is gone
// too.
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
	r.do(r.sup.tick)
	r.wait("log.lost", "6 request lines were lost")
	lose(1)
	r.signal(1, sigRecycle)
	r.wait("worker.recycled", "")
	r.do(r.sup.tick)
	r.do(r.sup.tick)
	r.wait("log.lost", "2 request lines were lost")
	r.stop()
	if n := r.count("log.lost"); n != 2 {
		t.Errorf("reported %d times", n)
	}
}

// What a worker has turned away and lost counts for its number when it is gone.
func TestLossesOutliveTheProcess(t *testing.T) {
	r := newRig(t, 1).up()
	r.do(func() {
		for _, p := range r.sup.procs {
			row := p.gen.rows.board.Row(p.row)
			row.Refused.Add(3)
			row.LogLost.Add(2)
			row.Conns.Add(4)
		}
	})
	if w := r.sup.Snapshot().Workers[0]; w.Refused != 3 || w.LogLost != 2 || w.Connections != 4 {
		t.Errorf("refused %d, lost %d, open %d", w.Refused, w.LogLost, w.Connections)
	}
	r.signal(1, sigRecycle)
	r.wait("worker.buried", "worker 1 killed successfully")
	r.do(func() {}) // the loop has taken note
	if w := r.sup.Snapshot().Workers[0]; w.Refused != 3 || w.LogLost != 2 || w.Connections != 0 {
		t.Errorf("after its replacement: refused %d, lost %d, open %d", w.Refused, w.LogLost, w.Connections)
	}
}
