// WSGI on gevent's hub: a greenlet for each request. All of it runs with the GIL held, on the
// thread of the hub.
#ifndef UWSGI_GREENLET_H
#define UWSGI_GREENLET_H

#include <Python.h>

#include "evented.h"
#include "wsgi.h"

// greenlet_begins takes UW_REQUEST: the application runs until it waits for the first time.
void greenlet_begins(const uw_event *ev);
// greenlet_event takes any other event of an exchange.
void greenlet_event(void *driver, const uw_event *ev);
int greenlet_is_driver(PyObject *o);

// greenlet_write writes a block of the body. If the client is behind, the calling greenlet waits
// until it has caught up. Returns what uwGoTryWrite does; -2: an exception is set.
int greenlet_write(uw_exchange *x, const char *p, size_t n);

// greenlet_catch_up waits until the client has caught up. -1: an exception is set.
int greenlet_catch_up(uw_exchange *x);

// greenlet_receive gives the next message of a websocket, or b"" without waiting. NULL without an
// exception: it has ended.
PyObject *greenlet_receive(uw_exchange *x, int wait);

// greenlet_closed tells greenlets that wait for a message that the websocket has ended.
void greenlet_closed(uw_exchange *x);

// greenlet_answer has the application answer UW_REQUEST in the running greenlet, me. It has no use
// for the event any more once it calls the application.
void greenlet_answer(PyObject *me, const uw_event *ev);

// serve_request switches to a greenlet that answers UW_REQUEST, until it waits or is done. -1: an
// exception is set, and nobody has seen the request.
int serve_request(const uw_event *ev);
// serve_begin makes serve_request use greenlets of that class, under that hub. -1: an exception is
// set.
int serve_begin(PyObject *class, PyObject *hub, PyObject *call_soon);

// chunks_keep makes the interpreter reuse the blocks that hold the frames of greenlets.
void chunks_keep(void);

PyObject *greenlet_begin(PyObject *self, PyObject *args);

PyObject *serve_idle_count(PyObject *self, PyObject *unused);

#define GREENLET_METHODS \
	{"idle", serve_idle_count, METH_NOARGS, "idle() -> int: how many greenlets wait for a request"}, \
	{"greenlet_begin", greenlet_begin, METH_VARARGS, \
	 "greenlet_begin(Greenlet, Event, Cancelled, hub, call_soon, leave): serve on gevent's hub, which calls poll(). " \
	 "leave() is called when the worker has drained. Cancelled is thrown into a greenlet that is over its time"},

#endif
