// Command uwsgi-worker is the data plane as a CPython extension module: go build
// -buildmode=c-shared. bridge.c speaks Python, the functions here are what it calls; nothing else
// in the program uses cgo.
package main

/*
#cgo CFLAGS: -I${SRCDIR}
#cgo CFLAGS: -DPy_LIMITED_API=0x03090000 -O2 -Wall -Werror=implicit-function-declaration -fvisibility=hidden
#cgo LDFLAGS: -Wl,--wrap=pthread_create
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"unicode/utf8"
	"unsafe"

	"uwsgi/internal/dataplane"
	"uwsgi/internal/proto/websocket"
	"uwsgi/internal/sys"
)

func main() {}

// engine is the worker's data plane: made once by uwGoStart, in the process that serves.
var engine *dataplane.Engine

// guard turns a panic into a log entry, so that no request can take the worker's other threads
// down. The caller's result stays what it was set to before.
func guard(where string) {
	if r := recover(); r != nil {
		fmt.Fprintf(os.Stderr, "uwsgi: internal error in %s: %v\n%s", where, r, debug.Stack())
	}
}

//export uwGoStart
func uwGoStart(bootFD, control, slot, row C.int, mounts *C.char, apps, exchanges C.int,
	interfaces *C.char) (errText *C.char) {
	errText = C.CString("internal error while the data plane started")
	defer guard("start")
	debug.SetGCPercent(50)
	var points []string
	if apps > 0 {
		points = strings.Split(C.GoString(mounts), "\n")
	}
	e, err := dataplane.New(newBridge(int(exchanges)), int(bootFD), int(control), int(slot), int(row), points,
		serving(int(exchanges), C.GoString(interfaces)))
	C.free(unsafe.Pointer(errText))
	if err != nil {
		return C.CString(err.Error())
	}
	engine = e
	// One for each core, the housekeeper and one more: while one is free, nobody wakes a thread to
	// look for work when a core is in a call.
	runtime.GOMAXPROCS(e.Cores() + 2)
	sys.ReserveThreads(e.Cores() + 2)
	return nil
}

// serving reads what uwGoStart is told of the applications' interfaces, a line each.
func serving(exchanges int, interfaces string) (s dataplane.Serving) {
	s.Exchanges = exchanges
	for i := range strings.Lines(interfaces) {
		i = strings.TrimSpace(i)
		s.Async = append(s.Async, i == "asgi")
		s.Greenlets = s.Greenlets || i == "greenlet"
	}
	return s
}

//export uwGoReady
func uwGoReady() {
	defer guard("ready")
	engine.Ready()
}

//export uwGoCore
func uwGoCore(id C.int) (code C.int) {
	code = 70 // EX_SOFTWARE: what a panic in the core's loop ends with
	defer guard("core")
	return C.int(engine.Core(int(id)).Run())
}

// The functions of one exchange take its number.

//export uwGoWrite
func uwGoWrite(exchange C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = -1
	defer guard("write")
	return C.int(engine.Exchange(int(exchange)).Write(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))))
}

//export uwGoTryWrite
func uwGoTryWrite(exchange C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = -1
	defer guard("write")
	return C.int(engine.Exchange(int(exchange)).TryWrite(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))))
}

//export uwGoFlush
func uwGoFlush(exchange C.int) (rc C.int) {
	rc = -1
	defer guard("flush")
	return C.int(engine.Exchange(int(exchange)).Flush())
}

//export uwGoRest
func uwGoRest(exchange C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = -1
	defer guard("rest")
	return C.int(engine.Exchange(int(exchange)).Rest(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))))
}

//export uwGoFile
func uwGoFile(exchange C.int) {
	defer guard("file")
	engine.Exchange(int(exchange)).File()
}

//export uwGoFinish
func uwGoFinish(exchange C.int) {
	defer guard("finish")
	engine.Exchange(int(exchange)).Finish()
}

// onLoop is toldOf for what may be called of a thread's exchange, too.
func onLoop(x *dataplane.Exchange) {
	if x.OnLoop() {
		toldOf()
	}
}

//export uwGoWSHandshake
func uwGoWSHandshake(exchange C.int, key *C.char, kn C.size_t, protocol *C.char, pn C.size_t) (ok C.int) {
	defer guard("handshake")
	x := engine.Exchange(int(exchange))
	defer onLoop(x)
	if x.Handshake(string(span(key, kn)), string(span(protocol, pn))) {
		return 1
	}
	return 0
}

//export uwGoWSReceive
func uwGoWSReceive(exchange, wait C.int, m *C.uw_message) (rc C.int) {
	rc = C.UW_MESSAGE_LOST
	defer guard("receive")
	x := engine.Exchange(int(exchange))
	defer onLoop(x)
	p, got := x.Receive(wait != 0)
	m.data, m.len = (*C.char)(unsafe.Pointer(unsafe.SliceData(p))), C.size_t(len(p))
	return C.int(got)
}

//export uwGoWSSend
func uwGoWSSend(exchange, text C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = C.UW_MESSAGE_LOST
	defer guard("message")
	op := websocket.Binary
	if text != 0 {
		if op = websocket.Text; !utf8.Valid(span(p, n)) {
			return C.UW_NOT_TEXT
		}
	}
	x := engine.Exchange(int(exchange))
	defer onLoop(x)
	return C.int(x.SendMessage(op, span(p, n)))
}

//export uwGoWSFlush
func uwGoWSFlush(exchange C.int) (rc C.int) {
	rc = C.UW_MESSAGE_LOST
	defer guard("flush message")
	return C.int(engine.Exchange(int(exchange)).FlushMessage())
}

//export uwGoWSDisconnect
func uwGoWSDisconnect(exchange C.int) {
	defer guard("disconnect")
	x := engine.Exchange(int(exchange))
	defer onLoop(x)
	x.Disconnect()
}

//export uwGoWSTake
func uwGoWSTake(exchange C.int) (fd C.int) {
	fd = -1
	defer guard("take")
	return C.int(engine.Exchange(int(exchange)).Take())
}

//export uwGoDrain
func uwGoDrain(why *C.char) {
	defer guard("drain")
	engine.Drain(C.GoString(why), true)
}

//export uwGoTell
func uwGoTell(op, text *C.char) (rc C.int) {
	rc = -1
	defer guard("tell")
	if engine.Say(C.GoString(op), C.GoString(text)) != nil {
		return -1
	}
	return 0
}

//export uwGoWorkers
func uwGoWorkers(n *C.size_t) (text *C.char) {
	text = C.CString("[]")
	*n = 2
	defer guard("workers")
	b, err := json.Marshal(engine.Workers())
	if err != nil {
		return text
	}
	C.free(unsafe.Pointer(text))
	*n = C.size_t(len(b))
	return (*C.char)(C.CBytes(b))
}

//export uwGoDoing
func uwGoDoing(n *C.size_t) (text *C.char) {
	text = C.CString("[]")
	*n = 2
	defer guard("doing")
	b, err := json.Marshal(engine.Doing())
	if err != nil {
		return text
	}
	C.free(unsafe.Pointer(text))
	*n = C.size_t(len(b))
	return (*C.char)(C.CBytes(b))
}

//export uwGoTotal
func uwGoTotal() (n C.longlong) {
	defer guard("total_requests")
	return C.longlong(engine.Board().TotalRequests())
}

//export uwGoRequestID
func uwGoRequestID(exchange C.int) (n C.longlong) {
	defer guard("request_id")
	return C.longlong(engine.Exchange(int(exchange)).Requests())
}

//export uwGoSetLogvar
func uwGoSetLogvar(exchange C.int, k *C.char, kn C.int, v *C.char, vn C.int) {
	defer guard("set_logvar")
	engine.Exchange(int(exchange)).SetLogVar(C.GoStringN(k, kn), C.GoStringN(v, vn))
}

//export uwGoGetLogvar
func uwGoGetLogvar(exchange C.int, k *C.char, kn C.int, n *C.size_t) *C.char {
	defer guard("get_logvar")
	v, ok := engine.Exchange(int(exchange)).LogVar(C.GoStringN(k, kn))
	if !ok {
		return nil
	}
	*n = C.size_t(len(v))
	return C.CString(v)
}

//export uwGoAddVar
func uwGoAddVar(exchange C.int, k *C.char, kn C.int, v *C.char, vn C.int) (ok C.int) {
	defer guard("add_var")
	if engine.Exchange(int(exchange)).AddVar(C.GoStringN(k, kn), C.GoStringN(v, vn)) {
		return 1
	}
	return 0
}

//export uwGoForceLog
func uwGoForceLog(exchange C.int) {
	defer guard("log_this_request")
	engine.Exchange(int(exchange)).ForceLog()
}

//export uwGoUserHarakiri
func uwGoUserHarakiri(exchange C.int, secs C.long) {
	defer guard("set_user_harakiri")
	engine.Exchange(int(exchange)).SetDeadline(int64(secs))
}

//export uwGoAccepting
func uwGoAccepting(on C.int) {
	defer guard("accepting")
	engine.Row().Accepting.Store(min(int32(on), 1))
}

//export uwGoAddressSpace
func uwGoAddressSpace(n C.longlong) {
	defer guard("address_space")
	engine.Row().ASOverhead.Store(int64(n))
}

//export uwGoWatchSignals
func uwGoWatchSignals(fd C.int) {
	defer guard("watch_signals")
	engine.WatchSignals(int(fd))
}

//export uwGoNextSignal
func uwGoNextSignal() (number C.int) {
	number = -1
	defer guard("next_signal")
	if n, ok := engine.NextSignal(); ok {
		number = C.int(n)
	}
	return number
}

//export uwGoDescriptors
func uwGoDescriptors(out *C.int, most C.int) (count C.int) {
	defer guard("descriptors")
	fds := engine.Descriptors()
	dst := unsafe.Slice(out, int(most))
	n := min(len(fds), len(dst))
	for i := range n {
		dst[i] = C.int(fds[i])
	}
	return C.int(n)
}

//export uwGoExitCode
func uwGoExitCode() (code C.int) {
	defer guard("exit_code")
	if engine == nil {
		return 0
	}
	return C.int(engine.ExitCode())
}

//export uwGoGivenUp
func uwGoGivenUp() (yes C.int) {
	defer guard("given_up")
	if engine != nil && engine.GivenUp() {
		return 1
	}
	return 0
}

// bridge is dataplane.App on top of bridge.c. The threads and the exchanges live in C memory, where
// their fields are read without a call.
type bridge struct {
	cores     []*C.uw_core
	exchanges []*C.uw_exchange
}

// newBridge is for as many exchanges as a loop may have, 0: there is none.
func newBridge(exchanges int) *bridge {
	b := &bridge{}
	for c := C.uw_core_get(0); c != nil; c = C.uw_core_get(C.int(len(b.cores))) {
		b.cores = append(b.cores, c)
	}
	b.exchanges = make([]*C.uw_exchange, max(exchanges, len(b.cores)))
	for i := range b.cores { // now, before there are threads that ask
		b.exchange(i)
	}
	return b
}

// exchange gives the exchange of that number, which is made when it is first asked for.
func (b *bridge) exchange(i int) *C.uw_exchange {
	if b.exchanges[i] == nil {
		b.exchanges[i] = C.uw_exchange_get(C.int(i))
	}
	return b.exchanges[i]
}

// Call implements dataplane.App.
func (b *bridge) Call(exchange int, c *dataplane.Call) dataplane.Outcome {
	r := c.Request
	var vars *C.uw_var
	if len(r.Vars) > 0 {
		vars = (*C.uw_var)(unsafe.Pointer(unsafe.SliceData(r.Vars)))
	}
	https := C.int(0)
	if r.HTTPS {
		https = 1
	}
	b.exchanges[exchange].offers_socket = 0
	if c.Socket {
		b.exchanges[exchange].offers_socket = 1
	}
	return dataplane.Outcome(C.uw_call(b.exchange(exchange), C.int(c.App),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(r.Arena))), vars, C.int(len(r.Vars)),
		https, (*C.char)(unsafe.Pointer(unsafe.SliceData(c.Body))), C.size_t(len(c.Body)), C.int(c.BodyFD)))
}

// Response implements dataplane.App.
func (b *bridge) Response(exchange int, r *dataplane.Response) {
	x := b.exchange(exchange)
	r.HasHead, r.Status, r.Reason, r.Head = x.has_head != 0, int(x.status), span(x.reason, x.reason_len),
		span(x.head, x.head_len)
	r.Headers, r.Length, r.Close, r.Upgrade, r.TE = int(x.headers), int64(x.length), x.conn_close != 0,
		x.upgrade != 0, x.has_te != 0
	r.HasDate, r.HasServer, r.Body, r.Pinned = x.has_date != 0, x.has_server != 0, span(x.body, x.body_len), x.pinned
	r.Streamed = int64(x.streamed)
	r.FileFD, r.FileOff, r.FileLen, r.Switches, r.ExitCode = int(x.file_fd), int64(x.file_off), int64(x.file_len),
		int(x.switches), int(x.exit_code)
	x.pinned = nil
}

func span(p *C.char, n C.size_t) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)) }

// Sent implements dataplane.App.
func (b *bridge) Sent(exchange int) { b.exchange(exchange).head_sent = 1 }

// Streaming implements dataplane.App.
func (b *bridge) Streaming(exchange int, chunked bool) {
	b.exchange(exchange).stream = C.UW_RAW
	if chunked {
		b.exchange(exchange).stream = C.UW_CHUNKED
	}
}

// StopStreaming implements dataplane.App.
func (b *bridge) StopStreaming(exchange int) { b.exchange(exchange).stream = C.UW_NO_STREAM }

// Serving implements dataplane.App.
func (b *bridge) Serving(exchange, fd int) { b.exchange(exchange).fd = C.int(fd) }

// Release implements dataplane.App. The object goes at the next call, when the interpreter's lock
// is held anyway.
func (b *bridge) Release(pinned unsafe.Pointer) { C.uw_bury(pinned) }

// HasAfter implements dataplane.App.
func (b *bridge) HasAfter() bool { return C.uw_has_after != 0 }

// AfterRequest implements dataplane.App.
func (b *bridge) AfterRequest(exchange int) { C.uw_after(b.exchange(exchange)) }

// Deliver implements dataplane.App.
func (b *bridge) Deliver(core, number int) { C.uw_deliver(b.cores[core], C.int(number)) }

// Signals implements dataplane.App.
func (b *bridge) Signals(core int) bool { return C.uw_signals(b.cores[core]) == 0 }

// HasForked implements dataplane.App.
func (b *bridge) HasForked() bool { return C.uw_has_forked != 0 }
