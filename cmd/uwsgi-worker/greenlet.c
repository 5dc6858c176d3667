// The greenlet of a request. It is switched to as soon as the request is there, from poll() and so
// from the hub, and comes back whenever the application waits for something; what wakes it then is
// gevent's.
#include <string.h>
#include <unistd.h>

#include "environ.h"
#include "events.h"
#include "greenlet.h"
#include "_cgo_export.h"

// A request. It is kept out of the garbage collector: the circle through the greenlet is open once
// the request is over.
typedef struct {
	uw_driver base;
	PyObject *callable, *environ; // until it is called
	PyObject *greenlet;
	PyObject *room; // an Event: greenlets wait until the client has caught up; NULL: none does
	int cancelled;
	// Of a websocket.
	PyObject *inbox;   // an Event: greenlets wait for a message; NULL: none does
	PyObject *message; // that has come
	int asked;         // one will come as an event
	int ended;
} driver;

static PyTypeObject *driver_type;
static PyObject *greenlet_class, *greenlet_room, *greenlet_cancelled;
static PyObject *str_switch, *str_throw, *str_wait, *str_set, *str_has_links, *str_dict, *str_context;

// A greenlet of gevent's costs a seventh of a small request. One whose request never waited serves
// the next one too, if nobody can tell: no reference to it is left, no link, no attribute, and it
// begins with an empty context. The check needs to know how many references there are of ours: they
// are counted in a greenlet that has no request, the first time that it is switched to and the
// second time.
static PyObject *greenlet_hub, *greenlet_weakrefs, *greenlet_refcount;
static PyObject *greenlet_serve_object;
static PyObject *greenlet_spare;    // waits for a request; NULL: none does
static PyObject *greenlet_straight; // the one that the hub has switched to and that has not waited
static driver *greenlet_next;       // the request for it
static int greenlet_counting, greenlet_counted;
static Py_ssize_t greenlet_refs[2], greenlet_attributes;

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
	x->serial++;
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

// driver_answer has the application answer the request.
static void driver_answer(driver *d)
{
	PyObject *callable = d->callable, *environ = d->environ;
	int outcome;
	d->callable = d->environ = NULL;
	Py_INCREF(d);
	outcome = uw_enter((PyObject *)d) < 0 ? uw_failed(d->base.x) : uw_answer(d->base.x, callable, environ);
	if (outcome == UW_FAILED && d->cancelled)
		outcome = UW_CANCELLED;
	Py_DECREF(callable);
	Py_DECREF(environ);
	if (!uw_forked)
		driver_over(d, outcome);
	Py_DECREF(d);
}

// greenlet_number takes the reference to a number, 0 or more. -1: it is none.
static Py_ssize_t greenlet_number(PyObject *o)
{
	Py_ssize_t n = o ? PyLong_AsLong(o) : -1;
	Py_XDECREF(o);
	return n;
}

// greenlet_references gives how many there are, ours included.
static Py_ssize_t greenlet_references(PyObject *me) { return greenlet_number(PyObject_CallFunctionObjArgs(greenlet_refcount, me, NULL)); }

static Py_ssize_t greenlet_named(PyObject *me)
{
	PyObject *names = PyObject_GetAttr(me, str_dict);
	Py_ssize_t n = names ? PyDict_Size(names) : -1;
	Py_XDECREF(names);
	return n;
}

// greenlet_fit reports whether the greenlet that runs may serve another request. again: it has
// served one already.
static int greenlet_fit(PyObject *me, int again)
{
	if (greenlet_straight != me || greenlet_spare || uw_forked)
		return 0;
	if (greenlet_counting) {
		greenlet_refs[again] = greenlet_references(me);
		greenlet_attributes = greenlet_named(me);
		return greenlet_refs[again] >= 0 && greenlet_attributes >= 0;
	}
	return greenlet_references(me) == greenlet_refs[again] && greenlet_number(PyObject_CallMethodObjArgs(me, str_has_links, NULL)) == 0 &&
	       greenlet_number(PyObject_CallFunctionObjArgs(greenlet_weakrefs, me, NULL)) == 0 && greenlet_named(me) == greenlet_attributes &&
	       PyObject_SetAttr(me, str_context, Py_None) == 0;
}

// greenlet_serve is what runs in a greenlet.
static PyObject *greenlet_serve(PyObject *self, PyObject *unused)
{
	PyObject *me = greenlet_straight, *r; // alive as long as this runs
	for (int again = 0;; again = 1) {
		driver *d = greenlet_next;
		greenlet_next = NULL;
		if (d)
			driver_answer(d);
		if ((!d && !greenlet_counting) || !greenlet_fit(me, again))
			break;
		Py_INCREF(me);
		greenlet_spare = me;
		r = PyObject_CallMethodObjArgs(greenlet_hub, str_switch, NULL);
		if (greenlet_spare == me) { // it was not we who woke it
			greenlet_spare = NULL;
			Py_DECREF(me);
		}
		if (!r)
			return NULL;
		Py_DECREF(r);
	}
	PyErr_Clear(); // of greenlet_fit
	Py_RETURN_NONE;
}

static PyMethodDef greenlet_serve_def = {"request", greenlet_serve, METH_NOARGS, "what a request's greenlet runs"};

static void driver_dealloc(PyObject *self)
{
	driver *d = (driver *)self;
	Py_XDECREF(d->callable);
	Py_XDECREF(d->environ);
	PyObject_Free(d);
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

// greenlet_enter switches to a greenlet until it waits or is done. -1: an exception is set.
static int greenlet_enter(PyObject *greenlet)
{
	greenlet_straight = greenlet;
	int rc = greenlet_tell(greenlet, str_switch, NULL);
	greenlet_straight = NULL;
	return rc;
}

// greenlet_take gives the spare greenlet, or a new one. NULL: an exception is set.
static PyObject *greenlet_take(void)
{
	PyObject *greenlet = greenlet_spare;
	greenlet_spare = NULL;
	return greenlet ? greenlet : PyObject_CallFunctionObjArgs(greenlet_class, greenlet_serve_object, NULL);
}

// greenlet_count counts the references that there are to a greenlet.
static void greenlet_count(void)
{
	greenlet_counting = greenlet_counted = 1;
	for (int i = 0; i < 2; i++) {
		PyObject *greenlet = greenlet_take();
		if (!greenlet || greenlet_enter(greenlet) < 0)
			uw_report();
		Py_XDECREF(greenlet);
	}
	greenlet_counting = 0;
}

// driver_run switches to a greenlet that answers the request. -1: an exception is set, and it has
// not run.
static int driver_run(driver *d)
{
	if (!greenlet_counted)
		greenlet_count();
	PyObject *greenlet = d->environ ? greenlet_take() : NULL;
	if (!greenlet)
		return -1;
	d->greenlet = greenlet;
	Py_INCREF(greenlet);
	uw_running = d->base.x->id;
	greenlet_next = d;
	int rc = greenlet_enter(greenlet);
	greenlet_next = NULL;
	uw_running = -1; // what gevent wakes is not known here
	Py_DECREF(greenlet);
	if (rc < 0 && !d->environ) { // it has run: the exchange is seen to
		uw_report();
		rc = 0;
	}
	return rc;
}

void greenlet_begins(const uw_event *ev)
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
		if (ev->body_fd >= 0)
			close(ev->body_fd);
		if (PyErr_Occurred())
			uw_report();
		uwGoDone(ev->exchange, x && !callable ? UW_NOAPP : UW_FAILED);
		return;
	}
	memset((char *)d + sizeof(PyObject), 0, sizeof *d - sizeof(PyObject));
	events_drivers++;
	d->base.x = x;
	x->driver = d;
	Py_INCREF(callable);
	d->callable = callable;
	Py_INCREF(d);
	d->environ = uw_environ(x->id, uw_at(ev->arena), uw_at(ev->vars), ev->nvars, ev->https, uw_at(ev->data), ev->len, ev->body_fd);
	if (driver_run(d) < 0)
		driver_over(d, uw_failed(x));
	Py_DECREF(d);
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
	PyObject *call_soon, *leave;
	if (!PyArg_ParseTuple(args, "OOOOOOOO:greenlet_begin", &greenlet_class, &greenlet_room, &greenlet_cancelled, &greenlet_hub, &greenlet_refcount, &greenlet_weakrefs,
	                      &call_soon, &leave) ||
	    events_attach(self, call_soon, leave, greenlet_begins, greenlet_event) < 0)
		return NULL;
	if (!(driver_type = (PyTypeObject *)PyType_FromSpec(&driver_spec)) || !(str_switch = PyUnicode_InternFromString("switch")) ||
	    !(str_throw = PyUnicode_InternFromString("throw")) || !(str_wait = PyUnicode_InternFromString("wait")) ||
	    !(str_set = PyUnicode_InternFromString("set")) || !(str_has_links = PyUnicode_InternFromString("has_links")) ||
	    !(str_dict = PyUnicode_InternFromString("__dict__")) || !(str_context = PyUnicode_InternFromString("gr_context")) ||
	    !(greenlet_serve_object = PyCFunction_NewEx(&greenlet_serve_def, NULL, NULL)))
		return NULL;
	Py_INCREF(greenlet_class);
	Py_INCREF(greenlet_room);
	Py_INCREF(greenlet_cancelled);
	Py_INCREF(greenlet_hub);
	Py_INCREF(greenlet_weakrefs);
	Py_INCREF(greenlet_refcount);
	__atomic_store_n(&uw_core_get(0)->thread, PyThread_get_thread_ident(), __ATOMIC_RELAXED);
	chunks_keep();
	Py_RETURN_NONE;
}
