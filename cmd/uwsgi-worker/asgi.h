// ASGI 3 on an evented worker: what its files share. All of it runs with the GIL held.
#ifndef UWSGI_ASGI_H
#define UWSGI_ASGI_H

#include <Python.h>

#include "evented.h"
#include "events.h"
#include "wsgi.h"

// Interned strings, asgi_str.body being "body".
#define ASGI_STRINGS(S) \
	S(type) S(body) S(more_body) S(status) S(headers) S(trailers) S(more_trailers) S(path) S(file) S(offset) S(count) \
	S(links) S(text) S(bytes) S(code) S(reason) S(subprotocol) S(cancel) S(done) S(set_result) S(fileno) S(throw) S(close) S(send) \
	S(exceptions) S(_asyncio_future_blocking) S(__await__) S(__cause__) S(__context__) S(__name__) S(__qualname__) \
	S(cr_frame) S(cr_code) S(cr_await) S(cr_origin)
typedef struct {
#define S(name) PyObject *name;
	ASGI_STRINGS(S)
#undef S
} asgi_strings;
extern asgi_strings asgi_str;

// One application and what its scopes begin with.
typedef struct {
	PyObject *callable; // NULL: the application of this number is not an ASGI one
	PyObject *http, *websocket; // templates of scopes
	PyObject *state; // what lifespan has left, NULL: none
} asgi_app;

// How far the response is, or the websocket.
enum {
	ASGI_START,    // nothing is said (websocket: neither accepted nor denied)
	ASGI_HEAD,     // the head is known; it goes out with the first of the body
	ASGI_BODY,     // the body is under way
	ASGI_TRAILERS, // the body is whole, trailers are to come
	ASGI_OPEN,     // the websocket is accepted
	ASGI_ENDED,
};

// A step of a coroutine, as PySendResult.
enum { ASGI_RETURN = 0, ASGI_ERROR = -1, ASGI_NEXT = 1 };

// What 3.10 and later have besides; in 3.9 the function is NULL and the slot unknown.
extern int PyIter_Send(PyObject *iterator, PyObject *value, PyObject **result) __attribute__((weak));
enum { ASGI_AM_SEND = 81 };
// asgi_type is PyType_FromSpec for slots that end with ASGI_AM_SEND.
PyObject *asgi_type(PyType_Spec *spec);
PyObject *asgi_no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs); // for its tp_new

// One exchange: the coroutine that loop.create_task() gets, which wraps that of the application,
// and the self of receive and send. It is kept out of the garbage collector, which would walk all
// of its objects: what it refers to is released when the exchange is over, and asgi.c makes sure
// that each one ends.
typedef struct asgi_driver {
	PyObject_HEAD
	uw_exchange *x; // NULL: over
	const asgi_app *app;
	PyObject *scope;               // until the first step
	PyObject *coroutine;           // the application's
	PyObject *iterator;            // what drives it: itself, mostly
	PyObject *task;
	struct asgi_wait *receiving, *sending; // who waits

	// Request.
	PyObject *data; // a piece of the body, or a message, not received yet; NULL: none
	PyObject *reason;
	int code;       // of a websocket's disconnect, 0: none
	char websocket, head;
	char text;      // data is of a text message
	char more;      // of the body is to come
	char asked;     // … and was asked for
	char connected; // websocket.connect was received

	// Response.
	char state;
	char trailers;  // they follow the body
	char bodiless;  // of HEAD, 204, 304: what the application gives is not sent
	char behind;    // the client is to catch up before the next send
	char gone;      // the client is
	int64_t given;  // bytes of the body
	int64_t last;   // monotonic ns: the last send of this step; 0: none

	// Life.
	char running;   // a step of it is running
	char sends;     // a send() is under way, which may run application code
	char suspended; // it has waited at least once: Go watches the connection
	char cancelled; // by the server
	char leaving;   // the worker leaves and wants it to end
	char leads;     // its task goes on with requests that wait, see asgi_task.c
	struct asgi_driver *served; // … and is serving this one
	struct asgi_driver *next;   // of those that wait for a task
} asgi_driver;

// Something to await: for a message, or for the client to catch up.
typedef struct asgi_wait {
	PyObject_HEAD
	asgi_driver *driver;
	PyObject *future;  // while it waits
	PyObject *message; // to be sent first; NULL: none
	struct asgi_wait *next, **back;
	char sending;
	char over;
} asgi_wait;

// asgi.c
extern asgi_driver *asgi_running;  // the one whose step is running
extern PyObject *asgi_disconnected; // the exception's class
int asgi_init(void);
// asgi_foreign reports, and raises, that the caller is on another thread than the loop. An exchange
// belongs to its loop's thread alone: while application code makes a message, another thread may
// get its turn.
int asgi_foreign(void);

// asgi_at_home reports whether the caller is on the loop's thread and may use its pools: without
// the GIL the last reference to an object may go on another thread, at the same time.
#ifdef Py_GIL_DISABLED
int asgi_at_home(void);
#else
static inline int asgi_at_home(void) { return 1; }
#endif
// asgi_event takes one event of an exchange; asgi_begins takes UW_REQUEST.
void asgi_event(asgi_driver *d, const uw_event *ev);
void asgi_begins(const uw_event *ev, const asgi_app *app, PyObject *create_task);
// asgi_waiting makes a task for each request that another one's task was to serve and did not.
void asgi_waiting(PyObject *create_task);
// asgi_abandon ends an exchange whose loop ends.
void asgi_abandon(asgi_driver *d);
// asgi_lost raises asgi_disconnected.
void asgi_lost(asgi_driver *d);
int asgi_is_driver(PyObject *o);

// asgi_task.c: whether the running task may serve another request.
enum { ASGI_TASK_BYTES = 512 };
typedef struct {
	PyObject *task;      // it is held
	PyObject *context;   // a copy of its context before it served
	PyObject *lent;      // its context itself, which get_context() gives away; NULL: before 3.12
	PyObject *variables; // those in context; NULL: none
	Py_ssize_t count;    // how many
	Py_ssize_t lent_references;
	Py_ssize_t references, elsewhere; // to the task; see task_elsewhere
	int requests;  // how many it has served
	int64_t until; // monotonic ns: no request begins later
	char bytes[ASGI_TASK_BYTES]; // of the object, behind its head
} asgi_task;
int asgi_task_init(void);
// asgi_task_factory gives loop.get_task_factory.
void asgi_task_factory(PyObject *get);
// asgi_task_able reports whether a task may serve several requests: it is asyncio's own, it runs
// the driver itself, and no task factory expects one for each.
int asgi_task_able(PyObject *task, PyObject *driver);
// asgi_task_begin notes what the task is like before it serves. 0: it may not serve others.
int asgi_task_begin(asgi_task *t, PyObject *task);
int asgi_task_same(const asgi_task *t); // whether it is like that again
int asgi_task_enough(asgi_task *t);     // counts a request: whether it may begin no other
void asgi_task_end(asgi_task *t);

// asgi_await.c
int asgi_await_init(void);
PyObject *asgi_done(void); // an awaitable that is done
// asgi_wait_new makes an awaitable; with a message, it sends that when it is awaited.
PyObject *asgi_wait_new(asgi_driver *d, int sending, PyObject *message);
void asgi_wake(asgi_wait **list);
// asgi_throw raises what the arguments of a coroutine's throw() name.
void asgi_throw(PyObject *args);
// asgi_method returns the end of a step as send() and throw() of a coroutine do.
PyObject *asgi_method(int rc, PyObject *result);
extern PyObject *asgi_create_future;

// asgi_receive.c
extern PyMethodDef asgi_receive_def;
int asgi_receive_init(void);
// asgi_take gives the next message. 1: there is one; 0: the caller has to wait; -1: an exception is
// set.
int asgi_take(asgi_driver *d, PyObject **message);
// asgi_store keeps what an event brought for the application.
void asgi_store(asgi_driver *d, const uw_event *ev);

// asgi_send.c
extern PyMethodDef asgi_send_def;
// asgi_send sends a message. 1: done; 0: done, but the client has to catch up first; -1: an
// exception is set.
int asgi_send(asgi_driver *d, PyObject *message);
// asgi_flush sends what has been collected. -1: the client is gone.
int asgi_flush(asgi_driver *d);
void asgi_drop(asgi_driver *d); // … or forgets it

// asgi_message.c: what stands in a message.
// The text of a message's type, and the object that had it last: programs send the same constants
// over and over, which Python does not intern, for there are dots in them.
typedef struct {
	const char *text;
	PyObject *seen;
} asgi_kind;
int asgi_is(asgi_kind *kind, PyObject *name);
// asgi_get gives the value under key, a new reference. NULL: it is missing or None, or an exception
// is set.
PyObject *asgi_get(PyObject *message, PyObject *key);
// asgi_flag: 0, 1; -1: an exception is set.
int asgi_flag(PyObject *message, PyObject *key);
// asgi_integer gives missing where the key is; -1 with an exception set on an error.
int64_t asgi_integer(PyObject *message, PyObject *key, int64_t missing);
// The bytes of an object, which owner keeps.
typedef struct {
	char *p;
	Py_ssize_t n;
	PyObject *owner;
} asgi_span;
// asgi_bytes: the span is empty and without an owner where there is nothing. -1: an exception is
// set.
int asgi_bytes(PyObject *message, PyObject *key, asgi_span *s);
// asgi_fields calls add for each pair of name and value of an iterable; names must be tokens.
int asgi_fields(PyObject *message, PyObject *key, int (*add)(void *to, const char *name, Py_ssize_t nl, const char *value, Py_ssize_t vl), void *to);

// asgi_websocket.c
int asgi_websocket_send(asgi_driver *d, PyObject *type, PyObject *message); // -1: an exception is set
int asgi_talks(const asgi_driver *d); // whether it is a websocket that is open
// asgi_goodbye closes that, with 1000, and gives None.
PyObject *asgi_goodbye(asgi_driver *d);

// asgi_scope.c
int asgi_scope_init(void);
// asgi_scope_template completes what Python knows of a scope. NULL: an exception is set.
PyObject *asgi_scope_template(PyObject *dict, int websocket);
// asgi_scope gives the scope of a request; *head is set if the method is HEAD.
PyObject *asgi_scope(const asgi_app *app, const uw_event *ev, char *head);

#endif
