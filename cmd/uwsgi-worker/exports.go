// Command uwsgi-worker is the data plane as a CPython extension module: go build -buildmode=c-shared. bridge.c speaks Python, the
// functions here are what it calls; nothing else in the program uses cgo.
package main

/*
#cgo pkg-config: python3
#cgo CFLAGS: -DPy_LIMITED_API=0x03090000 -O2 -Wall -fvisibility=hidden
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
	"unsafe"

	"uwsgi/internal/dataplane"
	"uwsgi/internal/threads"
)

func main() {}

// engine is the worker's data plane: made once by uwGoStart, in the process that serves.
var engine *dataplane.Engine

// guard turns a panic into a log entry, so that no request can take the worker's other threads down. The caller's result stays what it
// was set to before.
func guard(where string) {
	if r := recover(); r != nil {
		fmt.Fprintf(os.Stderr, "uwsgi: internal error in %s: %v\n%s", where, r, debug.Stack())
	}
}

//export uwGoStart
func uwGoStart(bootFD, control, slot, row C.int, mounts *C.char, apps C.int) (errText *C.char) {
	errText = C.CString("internal error while the data plane started")
	defer guard("start")
	debug.SetGCPercent(50)
	var points []string
	if apps > 0 {
		points = strings.Split(C.GoString(mounts), "\n")
	}
	e, err := dataplane.New(newBridge(), int(bootFD), int(control), int(slot), int(row), points)
	C.free(unsafe.Pointer(errText))
	if err != nil {
		return C.CString(err.Error())
	}
	engine = e
	// One for each core, the housekeeper and one more: while one is free, nobody wakes a thread to look for work when a core is in a call.
	runtime.GOMAXPROCS(e.Cores() + 2)
	threads.Reserve(e.Cores() + 2)
	return nil
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

//export uwGoWrite
func uwGoWrite(id C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = -1
	defer guard("write")
	return C.int(engine.Exchange(int(id)).Write(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))))
}

//export uwGoTryWrite
func uwGoTryWrite(id C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = -1
	defer guard("write")
	return C.int(engine.Exchange(int(id)).TryWrite(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))))
}

//export uwGoFlush
func uwGoFlush(id C.int) (rc C.int) {
	rc = -1
	defer guard("flush")
	return C.int(engine.Exchange(int(id)).Flush())
}

//export uwGoRest
func uwGoRest(id C.int, p *C.char, n C.size_t) (rc C.int) {
	rc = -1
	defer guard("rest")
	return C.int(engine.Exchange(int(id)).Rest(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))))
}

//export uwGoFile
func uwGoFile(id C.int) {
	defer guard("file")
	engine.Exchange(int(id)).File()
}

//export uwGoFinish
func uwGoFinish(id C.int) {
	defer guard("finish")
	engine.Exchange(int(id)).Finish()
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

//export uwGoCoreRequests
func uwGoCoreRequests(id C.int) (n C.longlong) {
	defer guard("request_id")
	return C.longlong(engine.Exchange(int(id)).Requests())
}

//export uwGoSetLogvar
func uwGoSetLogvar(id C.int, k *C.char, kn C.int, v *C.char, vn C.int) {
	defer guard("set_logvar")
	engine.Exchange(int(id)).SetLogVar(C.GoStringN(k, kn), C.GoStringN(v, vn))
}

//export uwGoGetLogvar
func uwGoGetLogvar(id C.int, k *C.char, kn C.int, n *C.size_t) *C.char {
	defer guard("get_logvar")
	v, ok := engine.Exchange(int(id)).LogVar(C.GoStringN(k, kn))
	if !ok {
		return nil
	}
	*n = C.size_t(len(v))
	return C.CString(v)
}

//export uwGoAddVar
func uwGoAddVar(id C.int, k *C.char, kn C.int, v *C.char, vn C.int) (ok C.int) {
	defer guard("add_var")
	if engine.Exchange(int(id)).AddVar(C.GoStringN(k, kn), C.GoStringN(v, vn)) {
		return 1
	}
	return 0
}

//export uwGoForceLog
func uwGoForceLog(id C.int) {
	defer guard("log_this_request")
	engine.Exchange(int(id)).ForceLog()
}

//export uwGoUserHarakiri
func uwGoUserHarakiri(id C.int, secs C.long) {
	defer guard("set_user_harakiri")
	engine.Exchange(int(id)).SetDeadline(int64(secs))
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

// bridge is dataplane.App on top of bridge.c. The cores live in C memory, where their fields are read without a call.
type bridge struct{ cores []*C.uw_core }

func newBridge() *bridge {
	b := &bridge{}
	for c := C.uw_core_get(0); c != nil; c = C.uw_core_get(C.int(len(b.cores))) {
		b.cores = append(b.cores, c)
	}
	return b
}

// Call implements dataplane.App.
func (b *bridge) Call(core int, c *dataplane.Call) dataplane.Outcome {
	r := c.Request
	var vars *C.uw_var
	if len(r.Vars) > 0 {
		vars = (*C.uw_var)(unsafe.Pointer(unsafe.SliceData(r.Vars)))
	}
	https := C.int(0)
	if r.HTTPS {
		https = 1
	}
	return dataplane.Outcome(C.uw_call(b.cores[core], C.int(c.App), (*C.char)(unsafe.Pointer(unsafe.SliceData(r.Arena))), vars, C.int(len(r.Vars)),
		https, (*C.char)(unsafe.Pointer(unsafe.SliceData(c.Body))), C.size_t(len(c.Body)), C.int(c.BodyFD)))
}

// Response implements dataplane.App.
func (b *bridge) Response(core int, r *dataplane.Response) {
	c := b.cores[core]
	r.HasHead, r.Status, r.Reason, r.Head = c.has_head != 0, int(c.status), span(c.reason, c.reason_len), span(c.head, c.head_len)
	r.Headers, r.Length, r.Close, r.Upgrade, r.TE = int(c.headers), int64(c.length), c.conn_close != 0, c.upgrade != 0, c.has_te != 0
	r.HasDate, r.HasServer, r.Body, r.Pinned = c.has_date != 0, c.has_server != 0, span(c.body, c.body_len), c.pinned
	r.Streamed = int64(c.streamed)
	r.FileFD, r.FileOff, r.FileLen, r.Switches, r.ExitCode = int(c.file_fd), int64(c.file_off), int64(c.file_len), int(c.switches), int(c.exit_code)
	c.pinned = nil
}

func span(p *C.char, n C.size_t) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)) }

// Sent implements dataplane.App.
func (b *bridge) Sent(core int) { b.cores[core].head_sent = 1 }

// Streaming implements dataplane.App.
func (b *bridge) Streaming(core int, chunked bool) {
	b.cores[core].stream = C.UW_RAW
	if chunked {
		b.cores[core].stream = C.UW_CHUNKED
	}
}

// Diverted implements dataplane.App.
func (b *bridge) Diverted(core int) { b.cores[core].stream = C.UW_NO_STREAM }

// Serving implements dataplane.App.
func (b *bridge) Serving(core, fd int) { b.cores[core].fd = C.int(fd) }

// Release implements dataplane.App. The object goes at the next call, when the interpreter's lock is held anyway.
func (b *bridge) Release(pinned unsafe.Pointer) { C.uw_bury(pinned) }

// HasAfter implements dataplane.App.
func (b *bridge) HasAfter() bool { return C.uw_has_after != 0 }

// AfterRequest implements dataplane.App.
func (b *bridge) AfterRequest(core int) { C.uw_after(b.cores[core]) }

// Signals implements dataplane.App.
func (b *bridge) Signals(core int) bool { return C.uw_signals(b.cores[core]) == 0 }

// HasForked implements dataplane.App.
func (b *bridge) HasForked() bool { return C.uw_has_forked != 0 }
