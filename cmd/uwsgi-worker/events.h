// The functions of the module for evented workers.
#ifndef UWSGI_EVENTS_H
#define UWSGI_EVENTS_H

#include <Python.h>

#include "evented.h"

// events_attach makes poll() pass UW_REQUEST to begins, and later events of an exchange that has a
// driver to happens. -1: an exception is set.
int events_attach(PyObject *self, PyObject *call_soon, PyObject *leave, void (*begins)(const uw_event *ev),
	void (*happens)(void *driver, const uw_event *ev));

// events_request gives the next event, for who has just answered a request in poll(), if that is a
// request, and NULL otherwise. It is valid until the next call.
const uw_event *events_request(void);

// How many objects there are for exchanges.
#ifdef Py_GIL_DISABLED
extern _Atomic long events_drivers;
#else
extern long events_drivers;
#endif

// events_soon schedules poll() if there is work of which no descriptor tells.
void events_soon(void);

PyObject *events_poll(PyObject *self, PyObject *unused);
PyObject *events_poll_fd(PyObject *self, PyObject *unused);
PyObject *events_listen_in(PyObject *self, PyObject *args);
PyObject *events_begin(PyObject *self, PyObject *args);
PyObject *events_end(PyObject *self, PyObject *unused);
PyObject *events_live(PyObject *self, PyObject *unused);

#define EVENTS_METHODS \
	{"poll", events_poll, METH_NOARGS, "poll(): work on what has happened; called by the loop when poll_fd() is readable"}, \
	{"poll_fd", events_poll_fd, METH_NOARGS, "poll_fd() -> int: the descriptor that becomes readable when something happens"}, \
	{"listen_in", events_listen_in, METH_VARARGS, \
	 "listen_in(fd, tag): have the listening sockets watched in that epoll set, the loop's own, in which poll_fd() is with that tag (epoll_data)"}, \
	{"asgi_begin", events_begin, METH_VARARGS, \
	 "asgi_begin(create_task, create_future, get_task_factory, call_soon, leave, apps): serve on a loop, by these methods of it. leave() is called when the worker " \
	 "has drained. apps has for each application's number (callable, http, websocket, state): what the scopes of each kind begin with, and the " \
	 "state that lifespan has left or None; or None for an application that is not ASGI's"}, \
	{"asgi_end", events_end, METH_NOARGS, "asgi_end(): the loop is about to be closed: end the exchanges that are left"}, \
	{"live", events_live, METH_NOARGS, "live() -> (exchanges, drivers): how many are at work, and how many objects for that exist"},

#endif
