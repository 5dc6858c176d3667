// A request in its greenlet, which serve.c has chosen.
#include <string.h>
#include <unistd.h>

#include "environ.h"
#include "events.h"
#include "greenlet.h"
#include "_cgo_export.h"

// A request. The garbage collector need not know of it: the cycle through the greenlet is broken
// when the request is over.
typedef struct {
	uw_driver base;
	PyObject *greenlet;
	PyObject *room; // an Event, on which greenlets wait until the client has caught up; NULL: none waits
	int cancelled;
	// Of a websocket.
	PyObject *inbox;   // an Event, on which greenlets wait for a message; NULL: none waits
	PyObject *message; // one that has arrived
	int asked;         // one will arrive as an event
	int ended;
} driver;

static PyTypeObject *driver_type;
static PyObject *greenlet_room, *greenlet_cancelled;
static PyObject *str_throw, *str_wait, *str_set;

int greenlet_is_driver(PyObject *o) { return Py_TYPE(o) == driver_type; }

// greenlet_tell calls a method of an object. -1: an exception is set.
static int greenlet_tell(PyObject *o, PyObject *method, PyObject *arg)
{
	PyObject *r = PyObject_CallMethodObjArgs(o, method, arg, NULL);
	Py_XDECREF(r);
	return r ? 0 : -1;
}

// driver_wake wakes the greenlets that wait for an Event.
static void driver_wake(PyObject **event)
{
	PyObject *e = *event;
	*event = NULL;
	if (e && greenlet_tell(e, str_set, NULL) < 0)
		uw_report();
	Py_XDECREF(e);
}

// driver_wait waits for an Event, until driver_wake. -1: an exception is set.
static int driver_wait(PyObject **event)
{
	if (!*event && !(*event = PyObject_CallObject(greenlet_room, NULL)))
		return -1;
	PyObject *e = *event;
	Py_INCREF(e);
	int rc = greenlet_tell(e, str_wait, NULL);
	Py_DECREF(e);
	return rc;
}

static void driver_over(driver *d, int outcome)
{
	uw_exchange *x = d->base.x;
	PyObject *greenlet = d->greenlet;
	uw_serial_next(x);
	x->driver = NULL;
	d->base.x = NULL;
	d->greenlet = NULL;
	uwGoDone(x->id, outcome);
	driver_wake(&d->room);
	driver_wake(&d->inbox);
	Py_CLEAR(d->message);
	Py_XDECREF(greenlet);
	uw_after_hook();
	events_soon();
	Py_DECREF(d); // the exchange's
}

static void driver_dealloc(PyObject *self)
{
	PyObject_Free(self);
	Py_DECREF(driver_type);
	events_drivers--;
}

static PyObject *driver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyErr_SetString(PyExc_TypeError, "the server makes these, one for each request");
	return NULL;
}

static PyType_Slot driver_slots[] = {
	{Py_tp_new, driver_new}, {Py_tp_dealloc, driver_dealloc}, {0, NULL},
};
static PyType_Spec driver_spec = {"_uwsgi.request", sizeof(driver), 0, Py_TPFLAGS_DEFAULT, driver_slots};

// greenlet_lost answers a request that reaches no application; an exception may be set.
static void greenlet_lost(const uw_event *ev, int outcome)
{
	if (ev->body_fd >= 0)
		close(ev->body_fd);
	if (PyErr_Occurred())
		uw_report();
	uwGoDone(ev->exchange, outcome);
}

void greenlet_answer(PyObject *me, const uw_event *ev)
{
	uw_exchange *x = uw_exchange_get(ev->exchange);
	PyObject *callable = uw_application(ev->app);
	driver *d = x && callable ? PyObject_New(driver, driver_type) : NULL;
	if (x) {
		uw_exchange_begin(x);
		x->core = uw_core_get(0);
		x->offers_socket = ev->takeable;
	}
	if (!d) {
		greenlet_lost(ev, x && !callable ? UW_NOAPP : UW_FAILED);
		return;
	}
	memset((char *)d + sizeof(PyObject), 0, sizeof *d - sizeof(PyObject));
	events_drivers++;
	d->base.x = x;
	x->driver = d;
	Py_INCREF(callable);
	Py_INCREF(me);
	d->greenlet = me;
	uw_running = x->id;
	PyObject *environ =
		uw_environ(x->id, uw_at(ev->arena), uw_at(ev->vars), ev->nvars, ev->https, uw_at(ev->data), ev->len, ev->body_fd);
	int outcome = environ && uw_enter((PyObject *)d) < 0 ? uw_failed(x) : uw_answer(x, callable, environ);
	if (outcome == UW_FAILED && d->cancelled)
		outcome = UW_CANCELLED;
	Py_DECREF(callable);
	Py_XDECREF(environ);
	if (!uw_forked)
		driver_over(d, outcome);
}

void greenlet_begins(const uw_event *ev)
{
	if (serve_request(ev) < 0)
		greenlet_lost(ev, UW_FAILED);
	uw_running = -1; // what gevent wakes is not known here
}

void greenlet_event(void *o, const uw_event *ev)
{
	driver *d = o;
	Py_INCREF(d);
	switch (ev->kind) {
	case UW_WRITABLE:
		driver_wake(&d->room);
		break;
	case UW_MESSAGE:
		d->asked = 0;
		if (ev->opcode == UW_CLOSE)
			d->ended = 1;
		else if (!(d->message = PyBytes_FromStringAndSize(uw_at(ev->data), (Py_ssize_t)ev->len)))
			uw_report();
		driver_wake(&d->inbox);
		break;
	case UW_GONE:
		d->ended = 1;
		driver_wake(&d->room);
		driver_wake(&d->inbox);
		break;
	case UW_DRAIN:
		if (d->base.x && d->base.x->upgrade_state == UW_UPGRADE_OPEN) {
			d->ended = 1;
			uwGoCloseWS(d->base.x->id, 1012, "", 0); // RFC 6455, registry: service restart
			driver_wake(&d->inbox);
		}
		break;
	case UW_CANCEL:
		d->cancelled = 1;
		if (d->greenlet && greenlet_tell(d->greenlet, str_throw, greenlet_cancelled) < 0)
			uw_report();
		break;
	}
	Py_DECREF(d);
}

int greenlet_write(uw_exchange *x, const char *p, size_t n)
{
	driver *d = x->driver;
	int rc = uwGoTryWrite(x->id, (char *)p, n);
	if (rc != UW_AGAIN)
		return rc;
	return driver_wait(&d->room) < 0 ? -2 : 0;
}

int greenlet_catch_up(uw_exchange *x)
{
	driver *d = x->driver;
	return driver_wait(&d->room);
}

void greenlet_closed(uw_exchange *x)
{
	driver *d = x->driver;
	d->ended = 1;
	driver_wake(&d->inbox);
}

PyObject *greenlet_receive(uw_exchange *x, int wait)
{
	driver *d = x->driver;
	for (;;) {
		PyObject *message = d->message;
		d->message = NULL;
		if (message || d->ended)
			return message;
		if (!d->asked) {
			uw_message m;
			switch (uwGoWSReceive(x->id, wait, &m)) {
			case UW_MESSAGE_TAKEN:
				return PyBytes_FromStringAndSize(m.data, (Py_ssize_t)m.len);
			case UW_MESSAGE_NONE:
				d->asked = wait;
				events_soon(); // more may be there of which nothing tells
				break;
			default:
				d->ended = 1;
				return NULL;
			}
		}
		if (!wait)
			return PyBytes_FromStringAndSize(NULL, 0);
		if (driver_wait(&d->inbox) < 0)
			return NULL;
	}
}

PyObject *greenlet_begin(PyObject *self, PyObject *args)
{
	PyObject *class, *hub, *call_soon, *leave;
	if (!PyArg_ParseTuple(args, "OOOOOO:greenlet_begin", &class, &greenlet_room, &greenlet_cancelled, &hub, &call_soon, &leave) ||
	    serve_begin(class, hub, call_soon) < 0 || events_attach(self, call_soon, leave, greenlet_begins, greenlet_event) < 0)
		return NULL;
	if (!(driver_type = (PyTypeObject *)PyType_FromSpec(&driver_spec)) || !(str_throw = PyUnicode_InternFromString("throw")) ||
	    !(str_wait = PyUnicode_InternFromString("wait")) || !(str_set = PyUnicode_InternFromString("set")))
		return NULL;
	Py_INCREF(greenlet_room);
	Py_INCREF(greenlet_cancelled);
	__atomic_store_n(&uw_core_get(0)->thread, PyThread_get_thread_ident(), __ATOMIC_RELAXED);
	chunks_keep();
	Py_RETURN_NONE;
}
