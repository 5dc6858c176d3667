// The narrow waist between the data plane (Go) and the application (Python): C integers and byte
// spans, no Go pointer is kept.
#ifndef UWSGI_BRIDGE_H
#define UWSGI_BRIDGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// One CGI variable, as offsets into the arena (request.Var in Go).
typedef struct {
	uint32_t key_off, key_len, val_off, val_len;
} uw_var;

// How uw_call ended.
enum {
	UW_DONE = 0,     // everything the application gave was written through uwGoWrite
	UW_BUFFERED = 1, // head and body wait in the exchange's buffers
	UW_FILE = 2,     // head waits; the body is file_fd from file_off, file_len bytes (-1: to its end)
	UW_FAILED = 3,   // the application raised; the traceback is printed
	UW_EXIT = 4,     // the application raised SystemExit: answer, then leave with exit_code
	UW_NOAPP = 5,    // there is no application
};

// How bridge.c may write the blocks that follow the first by itself.
enum {
	UW_NO_STREAM = 0, // not at all: Go frames, counts or drops them
	UW_RAW = 1,
	UW_CHUNKED = 2,
};

// uwGoTryWrite: the client takes no more now, uwGoFlush writes the rest.
enum { UW_AGAIN = 2 };

// What uwGoWSReceive, uwGoWSSend and uwGoWSFlush give beside UW_AGAIN.
enum {
	UW_MESSAGE_TAKEN = 0,
	UW_MESSAGE_NONE = 1,  // nothing now
	UW_INTERRUPTED = 2,   // signals are to be looked at before the next call
	UW_NOT_TEXT = 3,      // a text message is not UTF-8
	UW_MESSAGE_LOST = -1, // the client is gone
};

// A message of a WebSocket, valid until the next call for the exchange.
typedef struct {
	const char *data;
	size_t len;
} uw_message;

// What has become of a request that asks for a WebSocket.
enum {
	UW_UPGRADE_NONE = 0,
	UW_UPGRADE_REFUSED = 1, // it was no handshake, and the application was told
	UW_UPGRADE_OPEN = 2,    // it is one: what the application returns is not sent
	UW_UPGRADE_OVER = 3,    // … and the application was told that it has ended
	UW_UPGRADE_TAKEN = 4,   // the application has taken the connection
};

// A Python thread that serves.
typedef struct {
	int id;
	void *tstate; // its PyThreadState while Go runs
	unsigned long thread;
	struct uw_exchange *current; // the one whose application it runs, NULL: none
} uw_core;

// One request and its response, as Python sees them; Go's half is dataplane.Exchange. Go reads the
// response after uw_call and in uwGoWrite.
typedef struct uw_exchange {
	int id;             // its number, by which Go knows it too
	uw_core *core;      // the thread that runs it
	uint64_t serial;    // counts the beginnings and ends of requests; a start_response that outlives its request is refused by it

	// Connection.
	int fd;             // the client's, -1 when none

	// Request.
	void *environ, *start_response; // uw_call's
	void *driver;                   // what runs it on a loop (asgi.c, greenlet.c), NULL: a thread does
	int offers_socket;              // the connection may be taken: see uw_take_socket
	int upgrade_state;              // UW_UPGRADE_NONE …

	// Response: the head.
	int has_head;       // start_response was called
	int head_sent;      // the head went out (set by Go): start_response can no longer replace it
	int status;         // 200
	const char *reason; // the status line after its version: "200 OK"
	size_t reason_len;
	const char *head;   // "Name: value\r\n"…
	size_t head_len;
	int headers;        // how many
	int64_t length;     // Content-Length the application gave, -1 when none
	int conn_close;     // it asks for Connection: close
	int upgrade;        // it asks for Connection: upgrade
	int has_te;         // it frames by its own Transfer-Encoding
	int has_date, has_server;

	// Response: the body.
	const char *body;   // UW_BUFFERED
	size_t body_len;
	void *pinned;       // a Python object whose bytes `body` points into
	int file_fd;        // UW_FILE; Go closes it
	int64_t file_off, file_len;
	int stream;         // UW_NO_STREAM …, set by Go when the head went out
	int64_t streamed;   // bytes of the body that Go has not seen
	int over;           // the response has ended: a close() that still writes is refused
	int write_failed;

	// Account.
	int switches;       // iterator steps
	int exit_code;

	// Memory, private to the files that speak Python.
	char *head_buf;
	size_t head_cap;
	char *reason_buf;
	size_t reason_cap;
	char *body_buf;
	size_t body_cap;
} uw_exchange;

// NULL: there is none of that number. An exchange is made when it is first asked for, in a threaded
// worker as the one of the thread of its number.
uw_core *uw_core_get(int id);
uw_exchange *uw_exchange_get(int id);
uw_exchange *uw_exchange_known(int id); // NULL also where it was not asked for yet

// uw_call takes the GIL, builds the environ and runs application number app. body_fd >= 0: the body
// is that file (owned by Python from here on); else body_len bytes at body.
int uw_call(uw_exchange *x, int app, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd);

// uw_bury drops an object that kept a body alive, at the next uw_call of any thread: the caller
// need not hold the GIL.
void uw_bury(void *pinned);

// uw_after runs the application's after_req_hook, where uw_has_after says that there is one.
void uw_after(uw_exchange *x);

// uw_signals runs pending Python signal handlers on the calling thread; 0 = go on, 1 = leave: a
// handler raised SystemExit or KeyboardInterrupt. Other exceptions are reported, since there is no
// application code that they could end.
int uw_signals(uw_core *c);

// uw_deliver runs the handler of a uWSGI signal on the calling thread, uw_deliver_here where the
// GIL is held.
void uw_deliver(uw_core *c, int number);
void uw_deliver_here(int number);

// uw_save_abort notes who handles SIGABRT, before the Go runtime takes it; uw_take_abort takes it
// back. The descriptor is one that lives as long as the worker.
void uw_save_abort(void);
void uw_take_abort(int descriptor);

// uw_begin starts the Go runtime, once, before the first call of Go; an errno(3) where its thread
// cannot be made.
int uw_begin(void);

// uw_set_title overwrites the process's argument area.
void uw_set_title(const char *text, size_t len);

extern int uw_forked;        // this process is a child that the application forked: the bridge refuses all calls
extern uw_exchange *uw_forker; // the exchange that forked it; NULL: none, or this is no such child
extern int uw_has_after;
extern int uw_has_forked;    // this process has forked children that may hold its connections

#endif
