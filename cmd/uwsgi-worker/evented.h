// The waist of an evented worker: one thread, one loop of Python's, many exchanges. Python's loop
// watches uwGoPollFD, and events.c pulls what happened, one event at a time; what the application
// does with an exchange goes to Go by the calls below. All of them are made with the GIL held, or
// what there is in its place (UW_HELD), and none of them waits, calls Python or keeps a pointer
// that it was given.
#ifndef UWSGI_EVENTED_H
#define UWSGI_EVENTED_H

#include "bridge.h"

// What happened.
enum {
	UW_NONE = 0,     // nothing now; the descriptor is readable when there is something
	UW_REQUEST = 1,  // an exchange begins; it is answered by exactly one uwGoDone, whatever happens
	UW_BODY = 2,     // more of a request's body
	UW_MESSAGE = 3,  // a websocket's message, or its end
	UW_WRITABLE = 4, // the client has caught up: uwGoSend had given 1
	UW_GONE = 5,     // the client is gone; nothing follows for this exchange
	UW_CANCEL = 6,   // the exchange is past its deadline: its task is cancelled
	UW_DRAIN = 7,    // the worker leaves and this exchange shall end: a websocket is closed with 1012, receive() of http tells of a disconnect. Go says when: websockets at once, streams later
	UW_LEAVE = 8,    // all are done: the loop stops. Of no exchange
	UW_SIGNAL = 9,   // a uWSGI signal, whose number is the code. Of no exchange
};

// More of uw_call's outcomes: how a coroutine or greenlet ended. UW_DONE, UW_BUFFERED, UW_FAILED
// and UW_EXIT are as there.
enum { UW_CANCELLED = 6 };

// Opcodes of messages (RFC 6455 §5.2).
enum { UW_TEXT = 1, UW_BINARY = 2, UW_CLOSE = 8 };

// One event. Its spans are valid until the next uwGoNext or uwGoRead; they are addresses, since
// memory of C's may hold no pointer into Go's. uw_at makes pointers of them.
typedef struct {
	int kind;     // UW_NONE …
	int exchange; // its number

	// UW_REQUEST. The variables are as uw_call's.
	int app; // number of the application
	uintptr_t arena, vars;
	int nvars;
	int https;
	uintptr_t socket; // the path of the unix socket that a client itself came on, not a web server; socket_len is 0 otherwise
	size_t socket_len;
	int websocket; // a handshake (RFC 6455 §4.1) that the application is to accept or deny
	int takeable;  // … and the connection may be taken: see uw_take_socket

	// UW_REQUEST: the body as far as it has come; UW_BODY, UW_MESSAGE. UW_CLOSE: the reason.
	uintptr_t data;
	size_t len;
	int more;    // of the body is to come: ask for it with uwGoRead
	int body_fd; // UW_REQUEST: the whole body in a file, which the receiver of the event owns; -1: none. Never for kind asgi

	int opcode; // UW_MESSAGE: UW_TEXT (valid UTF-8), UW_BINARY, UW_CLOSE
	int code;   // UW_CLOSE: the peer's; 1005: it gave none, 1006: the connection was lost
} uw_event;

static inline const void *uw_at(uintptr_t address) { return (const void *)address; }

// Set by any of the calls that leaves work which no descriptor tells of (a pipelined request, a
// connection to look at again): events.c has poll() called soon, and resets it.
extern int uw_again;

// The number of the exchange whose application runs this moment on the loop's thread, -1: none. For
// other threads, which look why the loop does not come back.
extern int uw_running;

// What the calls for sending return.
enum {
	UW_TAKEN = 0,
	UW_BEHIND = 1, // taken, but more waits for the client than it should: before the next, UW_WRITABLE or UW_GONE is awaited
	UW_LOST = -1,  // the client is gone
};

// Without the GIL a lock keeps the loop's calls and those of other threads about its exchanges
// (uw_take) apart.
#ifdef Py_GIL_DISABLED
void uw_hold(void);
void uw_let_go(void);
#else
static inline void uw_hold(void) {}
static inline void uw_let_go(void) {}
#endif
#define UW_HELD(call) \
	({ \
		uw_hold(); \
		int uw_given = call; \
		uw_let_go(); \
		uw_given; \
	})

// The descriptor that Python's loop watches: readable when uwGoNext has an event.
int uwGoPollFD(void);

// Watches the listening sockets in the epoll set of Python's loop, where uwGoPollFD has that tag.
void uwGoListenIn(int epfd, uint64_t tag);

// The next event: its kind.
int uwGoNext(uw_event *ev);

// Asks for the next piece of the body, or the next message: UW_BODY, UW_MESSAGE or UW_GONE at once,
// or UW_NONE: it comes once, as an event of uwGoNext. Not called again before it has come, nor
// after a piece with more=0 or UW_CLOSE. Sends 100 Continue where that is due.
int uwGoRead(int exchange, uw_event *ev);

// The application waits for something, for the first time in this exchange: the connection is to be
// watched for its end.
void uwGoSuspended(int exchange);

// Sends the head of the exchange, the first time, and n bytes of the body, which Go frames. more=0
// ends the response; has the head not gone out before, the length is known and given. Go may keep
// the exchange's `pinned`, an object that keeps p's bytes alive, in place of a copy: it then sets
// it to NULL, and gives it to uw_bury when it is done.
int uwGoSend(int exchange, char *p, size_t n, int more);

// As uwGoSend: len bytes of a regular file from off. Go owns fd.
int uwGoSendFile(int exchange, int fd, int64_t off, int64_t len, int more);

// 103 Early Hints (RFC 8297): header lines, each with its CRLF. Left out where the client or the
// protocol does not know it. UW_TAKEN or UW_LOST.
int uwGoInform(int exchange, char *lines, size_t n);

// Ends a response with trailer lines, each with its CRLF; they are left out where it is not
// chunked.
int uwGoTrailers(int exchange, char *lines, size_t n);

// Accepts a websocket: 101 with the head of the exchange, whose status is not used. UW_TAKEN or
// UW_LOST.
int uwGoAccept(int exchange);

// Sends a whole message: UW_TEXT or UW_BINARY.
int uwGoMessage(int exchange, int opcode, char *p, size_t n);

// Closes a websocket. The peer's answer is awaited by Go alone: no event tells of it.
int uwGoCloseWS(int exchange, int code, char *reason, size_t n);

// The exchange is over: its coroutine or greenlet has ended. Go answers 500 or 504 where nothing
// went out, breaks a response that is not whole, counts, logs, and may give the number to another
// request from here on.
int uwGoDone(int exchange, int outcome);

#endif
