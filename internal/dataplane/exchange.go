package dataplane

import (
	"sync/atomic"
	"time"

	"uwsgi/internal/accesslog"
	"uwsgi/internal/request"
	"uwsgi/internal/scoreboard"
)

// Exchange is one request and its response, from the whole head to the line in the log. A thread
// keeps one and uses it for one request after the other. It belongs to that thread; the housekeeper
// touches cell, stuck and answering alone.
type Exchange struct {
	eng  *Engine
	core *Core            // the thread that runs it
	loop *Loop            // that has it in flight with others, nil: threaded
	id   int              // its number: in Engine.exchanges, on the scoreboard, in the bridge
	cell *scoreboard.Cell // what other threads and processes see of it

	// Connection state: where the request came from and the response goes.

	cn *conn

	// Request state.

	req    request.Request
	call   Call // the request as the application got it
	packet int  // bytes of the packet that the head came in, 0: in none

	// Response state.

	resp Response
	reply
	out    []byte   // the head, and small bodies behind it
	prefix [16]byte // memory for what stands before a record
	vec    vector   // what is to be written next
	flight          // on a loop: what is under way
	answering
	stuck atomic.Bool // past its deadline, as the supervisor has said

	// Account: what is logged and counted.

	started   int64 // monotonic ns: the request was whole
	finished  int64 // monotonic ns: it was answered
	wall      int64 // epoch ns of started
	logVars   []accesslog.LogVar
	forced    bool  // logged whatever the options say
	writeErrs int64 // as in the cell, of this request alone
}

func (x *Exchange) init(c *Core, id int) {
	x.eng, x.core, x.id = c.eng, c, id
	x.cell = c.eng.board.Cell(c.eng.rowIndex, id)
}

// begin readies x for the request in x.req, which has come whole on cn and whose head takes that
// many bytes, and shows it to those who watch.
func (x *Exchange) begin(cn *conn, head int) {
	e, r := x.eng, &x.req
	e.setActive(cn, true)
	cn.deadline.Store(0)
	cn.since = 0
	x.cn, x.started = cn, monotonic()
	x.wall = x.core.clock.wall(x.started)
	if x.packet = 0; cn.lis.proto.packet > 0 {
		x.packet = head - cn.lis.proto.packet
	}
	x.logVars, x.forced, x.writeErrs = x.logVars[:0], false, 0
	x.reply = reply{keep: x.mayKeep(cn) && (e.phase() < draining || e.keepsOpen(cn)), remaining: -1}
	x.answering.begin() // before the cell says that it runs: see answerFor
	x.cell.Deadline.Store(0)
	x.cell.SetSnap(r.Bytes(r.RemoteAddr), r.Bytes(r.Method), r.Bytes(r.URI))
	x.cell.StartedAt.Store(x.wall / int64(time.Second))
	x.cell.Started.Store(x.started)
	x.cell.State.Store(scoreboard.CellBusy)
}

// reply is the state of the response under way.
type reply struct {
	headDone   bool // the head was sent or waits in Exchange.out with the first block
	keep       bool // the connection goes on afterwards
	chunked    bool
	noBody     bool  // HEAD, 204, 304: what the application gives is counted, not sent
	remaining  int64 // what Content-Length promises and has not come yet, -1 when it promised nothing
	broken     bool  // the client is gone, or can no longer tell where this response ends
	ended      bool
	closing    bool // no application code runs between the last byte and the end of the connection
	handedOver bool
	status     int
	headers    int
	headBytes  int64
	bodyBytes  int64
	waited     int64 // ns that the client was waited for, see waitBriefly
	via        string

	rest    []byte         // what the client has sent behind the request
	ws      *threadSocket  // it has become one
	refusal *request.Error // it should have, but was no handshake
}

// log writes a line for the operator about the request in hand.
func (x *Exchange) log(format string, args ...any) { x.eng.house.note(format, args...) }
