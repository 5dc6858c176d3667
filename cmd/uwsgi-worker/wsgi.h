// What the files that speak Python share.
#ifndef UWSGI_WSGI_H
#define UWSGI_WSGI_H

#include <Python.h>

#include "bridge.h"

// Small bodies are copied, so that the GIL need not be taken again to drop them; small blocks are
// written without letting go of it.
enum { UW_COPY_LIMIT = 65536 };

// uw_grow makes room for need bytes; -1: MemoryError is set.
int uw_grow(char **buf, size_t *cap, size_t need);

// uw_send_block writes one block of the body, the head before it if it has not gone out. 0: done;
// 1: the client is gone and the options say not to tell the application; -1: an exception is set.
int uw_send_block(uw_exchange *x, const char *p, Py_ssize_t n);

// uw_send_object is uw_send_block for what the application gave as a block; TypeError "WHAT TYPE,
// not bytes" for what is none.
int uw_send_object(uw_exchange *x, PyObject *o, const char *what);

// uw_start_response_new gives the start_response of the request of x, a new reference, or NULL with
// an exception set.
PyObject *uw_start_response_new(uw_exchange *x);
int uw_start_response_init(void);

// uw_report prints the pending exception.
void uw_report(void);

// uw_failed turns the pending exception into an outcome.
int uw_failed(uw_exchange *x);

// uw_end_child ends a child of the application that came back here; result is what it returned.
// There is no request of its own to answer and no Go below to return to. It does nothing elsewhere.
void uw_end_child(PyObject *result);

// uw_application gives the callable of that number, a borrowed reference; NULL: there is none.
PyObject *uw_application(int app);

// uw_answer runs a WSGI application for x, and gives the outcome. An environ of NULL is one that
// could not be made, of which the exception is set.
int uw_answer(uw_exchange *x, PyObject *callable, PyObject *environ);

// uw_serial_next counts a beginning or an end of a request. Other threads look at that number,
// which a start_response has that the application has given them.
static inline void uw_serial_next(uw_exchange *x) { __atomic_store_n(&x->serial, x->serial + 1, __ATOMIC_RELAXED); }

// uw_exchange_begin makes x ready for a request.
void uw_exchange_begin(uw_exchange *x);

// uw_bury_all drops what uw_bury was given.
void uw_bury_all(void);

// uw_after_hook runs the application's after_req_hook, if there is one.
void uw_after_hook(void);

// uw_take finds the exchange that the calling code is part of; NULL: it is part of none. Nothing
// else asks who that is. A thread that an ASGI request has started (asyncio.to_thread, a view that
// is no coroutine) is part of it, too: without the GIL its loop is kept from Go until uw_give,
// before which nothing that runs Python is called.
uw_exchange *uw_take(void);
void uw_give(uw_exchange *x);

// What runs an exchange on a loop, a coroutine's driver or a greenlet's, begins like this.
typedef struct {
	PyObject_HEAD
	uw_exchange *x; // NULL: over
} uw_driver;

// uw_enter makes who, a driver, the one that uw_take finds in this context and its copies, after
// uw_enter_init. -1: an exception is set.
int uw_enter(PyObject *who);
int uw_enter_init(void);

// uw_on_signal keeps what handles uWSGI signals.
PyObject *uw_on_signal(PyObject *self, PyObject *handler);

// uw_bridge_init keeps what Python gave for the applications' calls: threads that serve, and as
// many exchanges as limit says. -1: an exception is set.
int uw_bridge_init(PyObject *apps, PyObject *report_fn, PyObject *wrapper, int threads, int limit);

// uw_close_inherited closes a forked child's copies of the clients' connections.
void uw_close_inherited(void);

// uw_set_after sets the application's after_req_hook.
void uw_set_after(PyObject *hook);

// uw_reason is the standard reason of a status, "" if there is none.
const char *uw_reason(int status);

#endif
