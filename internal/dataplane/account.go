package dataplane

import (
	"time"

	"uwsgi/internal/wire"
)

// failed counts an exception of the application with that index, -1 where there was none to ask.
func (x *Exchange) failed(app int) {
	x.cell.Exceptions.Add(1)
	x.eng.row.Exceptions.Add(1)
	if a := x.eng.row.App(app); a != nil {
		a.Exceptions.Add(1)
	}
}

// account counts the request and logs it.
func (x *Exchange) account(app int, end int64) {
	e, row := x.eng, x.eng.row
	x.recovered()
	x.cell.Requests.Add(1)
	n := row.Requests.Add(1)
	if a := row.App(app); a != nil {
		a.Requests.Add(1)
	}
	x.core.lastSlow = end-x.started > int64(slowFrom)
	if x.waited > 0 && !x.handedOver && !x.broken { // it was worth the wait
		x.core.noWait /= 2
	}
	micros := (end - x.started) / int64(time.Microsecond)
	row.TX.Add(x.headBytes + x.bodyBytes)
	row.Running.Add(micros)
	row.AvgRT.Store((row.AvgRT.Load() + micros) / 2)
	row.LastUse.Store(end)
	if e.maxRequests > 0 && n >= e.maxRequests {
		e.askRecycle("max-requests")
	}
	if x.by() != answerElsewhere { // else it was logged with its answer
		e.log.write(x, app, end)
	}
}

// askRecycle asks the supervisor, once, for a replacement; this worker serves until it has one.
func (e *Engine) askRecycle(reason string) {
	if e.recycle.CompareAndSwap(false, true) {
		e.Tell(wire.Report{Op: wire.OpRecycle, Reason: reason})
	}
}
