package main

/*
#include "evented.h"
*/
import "C"

import (
	"unsafe"

	"uwsgi/internal/dataplane"
	"uwsgi/internal/proto/websocket"
)

// What an evented worker calls; evented.h says what each is for. A panic loses the exchange's
// client, no more.

func bytesOf(p *C.char, n C.size_t) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)) }

// event is what Next or Read gave last: it keeps the spans alive that C was given.
var event dataplane.Event

// toldOf makes poll() run again if a call left work of which no descriptor tells.
func toldOf() {
	if engine.Loop().Again() {
		C.uw_again = 1
	}
}

//export uwGoPollFD
func uwGoPollFD() (fd C.int) {
	fd = -1
	defer guard("poll_fd")
	return C.int(engine.PollFD())
}

//export uwGoListenIn
func uwGoListenIn(epfd C.int, tag C.uint64_t) {
	defer guard("listen in")
	engine.ListenIn(int(epfd), uint64(tag))
}

//export uwGoNext
func uwGoNext(ev *C.uw_event) (kind C.int) {
	defer guard("next")
	if engine.Loop().Next(&event) == dataplane.NoEvent {
		toldOf()
	}
	fill(ev, &event)
	return ev.kind
}

//export uwGoRead
func uwGoRead(exchange C.int, ev *C.uw_event) (kind C.int) {
	kind = C.UW_GONE
	defer guard("read")
	engine.Exchange(int(exchange)).Read(&event)
	toldOf()
	fill(ev, &event)
	return ev.kind
}

func fill(ev *C.uw_event, e *dataplane.Event) {
	ev.kind, ev.exchange, ev.app = C.int(e.Kind), C.int(e.Exchange), C.int(e.App)
	ev.data, ev.len = address(unsafe.SliceData(e.Data)), C.size_t(len(e.Data))
	ev.more, ev.websocket, ev.takeable, ev.body_fd = flag(e.More), flag(e.WebSocket), flag(e.Takeable), C.int(e.BodyFD)
	ev.opcode, ev.code = C.int(e.Opcode), C.int(e.Code)
	if r := e.Request; r != nil {
		ev.arena, ev.vars, ev.nvars = address(unsafe.SliceData(r.Arena)),
			address(unsafe.SliceData(r.Vars)), C.int(len(r.Vars))
		ev.socket, ev.socket_len = address(unsafe.StringData(e.Socket)), C.size_t(len(e.Socket))
		ev.https = flag(r.HTTPS)
	}
}

func address[T any](p *T) C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(p))) }

func flag(on bool) C.int {
	if on {
		return 1
	}
	return 0
}

//export uwGoSuspended
func uwGoSuspended(exchange C.int) {
	defer guard("suspended")
	engine.Exchange(int(exchange)).Suspended()
	toldOf()
}

// sent gives the result of a call that sends in evented.h's terms.
func sent(rc int) C.int {
	toldOf()
	if rc == dataplane.WouldBlock {
		return C.UW_BEHIND
	}
	return C.int(rc)
}

//export uwGoSend
func uwGoSend(exchange C.int, p *C.char, n C.size_t, more C.int) (rc C.int) {
	rc = C.UW_LOST
	defer guard("send")
	return sent(engine.Exchange(int(exchange)).Send(bytesOf(p, n), more != 0))
}

//export uwGoSendFile
func uwGoSendFile(exchange, fd C.int, off, length C.int64_t, more C.int) (rc C.int) {
	rc = C.UW_LOST
	defer guard("send file")
	return sent(engine.Exchange(int(exchange)).SendFile(int(fd), int64(off), int64(length), more != 0))
}

//export uwGoInform
func uwGoInform(exchange C.int, lines *C.char, n C.size_t) (rc C.int) {
	rc = C.UW_LOST
	defer guard("inform")
	return sent(engine.Exchange(int(exchange)).Inform(bytesOf(lines, n)))
}

//export uwGoTrailers
func uwGoTrailers(exchange C.int, lines *C.char, n C.size_t) (rc C.int) {
	rc = C.UW_LOST
	defer guard("trailers")
	return sent(engine.Exchange(int(exchange)).Trailers(bytesOf(lines, n)))
}

//export uwGoAccept
func uwGoAccept(exchange C.int) (rc C.int) {
	rc = C.UW_LOST
	defer guard("accept")
	return sent(engine.Exchange(int(exchange)).Accept())
}

//export uwGoMessage
func uwGoMessage(exchange, opcode C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = C.UW_LOST
	defer guard("message")
	return sent(engine.Exchange(int(exchange)).Message(websocket.Opcode(opcode), bytesOf(p, n)))
}

//export uwGoCloseWS
func uwGoCloseWS(exchange, code C.int, reason *C.char, n C.size_t) (rc C.int) {
	rc = C.UW_LOST
	defer guard("close")
	return sent(engine.Exchange(int(exchange)).CloseSocket(int(code), string(bytesOf(reason, n))))
}

//export uwGoDone
func uwGoDone(exchange, outcome C.int) C.int {
	defer guard("done")
	engine.Exchange(int(exchange)).Finished(dataplane.Outcome(outcome))
	toldOf()
	return 0
}
