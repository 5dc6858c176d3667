package supervisor

import (
	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// rows allots the rows of one scoreboard to processes.
type rows struct {
	board *scoreboard.Board
	used  []bool
	gens  int // generations that use the board
}

// rowsFor is how many rows an instance of that many workers gets: two generations, as many again
// for old ones that drain slowly, and some to spare.
func rowsFor(processes int) int { return 4*processes + 8 }

func newRows(processes, cores int) (*rows, error) {
	b, err := scoreboard.New(rowsFor(processes), cores)
	if err != nil {
		return nil, err
	}
	return &rows{board: b, used: make([]bool, b.Rows())}, nil
}

// fits reports whether the board is large enough.
func (r *rows) fits(processes, cores int) bool {
	return r.board.Rows() >= rowsFor(processes) && r.board.Cells() >= cores
}

// take returns a free row, cleared.
func (r *rows) take() (int, bool) {
	for i, used := range r.used {
		if !used {
			r.used[i] = true
			r.board.Clear(i)
			return i, true
		}
	}
	return 0, false
}

// give frees a row.
func (r *rows) give(i int) {
	r.board.Clear(i)
	r.used[i] = false
}

// close gives up the descriptor. The mapping stays: whoever got a snapshot may still look at it.
func (r *rows) close() { unix.Close(r.board.FD()) }

// read is what a process has counted so far.
func (r *rows) read(i int) counts {
	row := r.board.Row(i)
	c := counts{requests: row.Requests.Load(), exceptions: row.Exceptions.Load(), tx: row.TX.Load(),
		running: row.Running.Load(),
		refused: row.Refused.Load(), logLost: row.LogLost.Load()}
	for app := range c.apps {
		a := row.App(app)
		c.apps[app] = appCounts{a.Requests.Load(), a.Exceptions.Load()}
	}
	return c
}
