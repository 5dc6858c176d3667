// The awaitables that receive() and send() return. They have send(), throw() and close(), so that
// they pass for coroutines: applications make tasks of them.
#include "asgi.h"

PyObject *asgi_create_future;
static PyTypeObject *await_wait_type;
static PyObject *await_done;

// Freed awaitables are kept, since each receive() makes one: as many as poll() handles events at
// once.
enum { AWAIT_KEPT = 64 };
static asgi_wait *await_pool;
static int await_pooled;

void asgi_throw(PyObject *args)
{
	PyObject *type, *value = NULL, *tb = NULL;
	if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &tb))
		return;
	if (PyExceptionInstance_Check(type)) {
		PyErr_SetObject((PyObject *)Py_TYPE(type), type);
		return;
	}
	if (!PyExceptionClass_Check(type)) {
		PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %R", (PyObject *)Py_TYPE(type));
		return;
	}
	if (tb == Py_None)
		tb = NULL;
	Py_INCREF(type);
	Py_XINCREF(value);
	Py_XINCREF(tb);
	PyErr_Restore(type, value, tb);
}

PyObject *asgi_method(int rc, PyObject *result)
{
	if (rc == ASGI_NEXT)
		return result;
	if (rc == ASGI_RETURN) {
		if (result == Py_None)
			PyErr_SetObject(PyExc_StopIteration, NULL);
		else
			PyErr_SetObject(PyExc_StopIteration, result);
		Py_DECREF(result);
	}
	return NULL;
}

PyObject *asgi_done(void)
{
	Py_INCREF(await_done);
	return await_done;
}

void asgi_wake(asgi_wait **list)
{
	// set_result() only puts the wake-up on the loop's list; still, whatever it runs may change
	// this one.
	while (*list) {
		asgi_wait *w = *list;
		PyObject *future = w->future;
		*list = w->next;
		if (w->next)
			w->next->back = list;
		w->next = NULL;
		w->back = NULL;
		Py_INCREF(future);
		PyObject *done = PyObject_CallMethodObjArgs(future, asgi_str.done, NULL), *r = NULL;
		if (done && PyObject_IsTrue(done) == 0)
			r = PyObject_CallMethodObjArgs(future, asgi_str.set_result, Py_None, NULL);
		if (PyErr_Occurred())
			uw_report(); // the loop is closed
		Py_XDECREF(done);
		Py_XDECREF(r);
		Py_DECREF(future);
	}
}

static void await_unlink(asgi_wait *w)
{
	if (w->back) {
		*w->back = w->next;
		if (w->next)
			w->next->back = w->back;
		w->next = NULL;
		w->back = NULL;
	}
	Py_CLEAR(w->future);
}

// await_ready gives the result, a new reference. 0: not yet there; -1: an exception is set.
static int await_ready(asgi_wait *w, PyObject **result)
{
	asgi_driver *d = w->driver;
	if (!w->sending)
		return asgi_take(d, result);
	if (w->message) {
		PyObject *message = w->message;
		w->message = NULL;
		int rc = asgi_send(d, message);
		Py_DECREF(message);
		if (rc > 0) {
			Py_INCREF(Py_None);
			*result = Py_None;
		}
		return rc;
	}
	if (d->gone) {
		asgi_lost(d);
		return -1;
	}
	if (d->behind && d->x)
		return 0;
	Py_INCREF(Py_None);
	*result = Py_None;
	return 1;
}

static int await_pending(PyObject *future)
{
	PyObject *done = PyObject_CallMethodObjArgs(future, asgi_str.done, NULL);
	int pending = done && PyObject_IsTrue(done) == 0;
	Py_XDECREF(done);
	PyErr_Clear();
	return pending;
}

static int await_step(asgi_wait *w, PyObject **result)
{
	asgi_driver *d = w->driver;
	*result = NULL;
	if (w->over) {
		PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
		return ASGI_ERROR;
	}
	if (uw_forked) {
		w->over = 1;
		PyErr_SetString(PyExc_OSError, "this process was forked by the application and cannot serve the request of its parent");
		return ASGI_ERROR;
	}
	if (asgi_foreign())
		return ASGI_ERROR;
	if (w->back && await_pending(w->future)) { // by another task
		PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
		return ASGI_ERROR;
	}
	await_unlink(w);
	int rc = await_ready(w, result);
	events_soon();
	if (rc != 0) {
		w->over = 1;
		return rc > 0 ? ASGI_RETURN : ASGI_ERROR;
	}
	PyObject *future = PyObject_CallObject(asgi_create_future, NULL);
	if (!future || PyObject_SetAttr(future, asgi_str._asyncio_future_blocking, Py_True) < 0) { // as Future.__await__ says to the task
		Py_XDECREF(future);
		w->over = 1;
		return ASGI_ERROR;
	}
	asgi_wait **list = w->sending ? &d->sending : &d->receiving;
	while (*list) // the one that waits longest is woken first
		list = &(*list)->next;
	w->future = future;
	w->back = list;
	*list = w;
	Py_INCREF(future);
	*result = future;
	return ASGI_NEXT;
}

static PyObject *await_iternext(PyObject *self)
{
	PyObject *result;
	int rc = await_step((asgi_wait *)self, &result);
	if (rc == ASGI_RETURN && result == Py_None) { // StopIteration without a value is no exception at all
		Py_DECREF(result);
		return NULL;
	}
	return asgi_method(rc, result);
}

static int await_am_send(PyObject *self, PyObject *value, PyObject **result) { return await_step((asgi_wait *)self, result); }

static PyObject *await_send(PyObject *self, PyObject *value)
{
	PyObject *result;
	int rc = await_step((asgi_wait *)self, &result);
	return asgi_method(rc, result);
}

static PyObject *await_throw(PyObject *self, PyObject *args)
{
	asgi_wait *w = (asgi_wait *)self;
	await_unlink(w);
	w->over = 1;
	asgi_throw(args);
	return NULL;
}

static PyObject *await_close(PyObject *self, PyObject *unused)
{
	asgi_wait *w = (asgi_wait *)self;
	await_unlink(w);
	w->over = 1;
	Py_RETURN_NONE;
}

static PyObject *await_self(PyObject *self)
{
	Py_INCREF(self);
	return self;
}

static void await_dealloc(PyObject *self)
{
	asgi_wait *w = (asgi_wait *)self;
	await_unlink(w);
	Py_CLEAR(w->message);
	asgi_driver *d = w->driver;
	if (asgi_at_home() && await_pooled < AWAIT_KEPT) {
		await_pooled++;
		w->next = await_pool;
		await_pool = w;
	} else {
		PyObject_Free(w);
	}
	Py_DECREF(await_wait_type);
	Py_DECREF(d);
}

PyObject *asgi_wait_new(asgi_driver *d, int sending, PyObject *message)
{
	asgi_wait *w = asgi_at_home() ? await_pool : NULL;
	if (w) {
		await_pool = w->next;
		await_pooled--;
	} else if (!(w = PyObject_Malloc(sizeof *w))) {
		return PyErr_NoMemory();
	}
	PyObject_Init((PyObject *)w, await_wait_type);
	Py_INCREF(d);
	w->driver = d;
	w->future = NULL;
	Py_XINCREF(message);
	w->message = message;
	w->next = NULL;
	w->back = NULL;
	w->sending = (char)sending;
	w->over = 0;
	return (PyObject *)w;
}

PyObject *asgi_no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyErr_SetString(PyExc_TypeError, "the server makes these");
	return NULL;
}

static PyObject *await_done_next(PyObject *self) { return NULL; }

static int await_done_am_send(PyObject *self, PyObject *value, PyObject **result)
{
	Py_INCREF(Py_None);
	*result = Py_None;
	return ASGI_RETURN;
}

static PyObject *await_done_send(PyObject *self, PyObject *value)
{
	PyErr_SetObject(PyExc_StopIteration, NULL);
	return NULL;
}

static PyObject *await_done_throw(PyObject *self, PyObject *args)
{
	asgi_throw(args);
	return NULL;
}

static PyObject *await_done_close(PyObject *self, PyObject *unused) { Py_RETURN_NONE; }

static void await_done_dealloc(PyObject *self)
{
	PyTypeObject *t = Py_TYPE(self);
	PyObject_Free(self);
	Py_DECREF(t);
}

static PyMethodDef await_methods[] = {
	{"send", await_send, METH_O, "send(None): a step (PEP 492)"},
	{"throw", await_throw, METH_VARARGS, "throw(exception): ends it with that"},
	{"close", await_close, METH_NOARGS, "close(): ends it"},
	{NULL, NULL, 0, NULL},
};
static PyMethodDef await_done_methods[] = {
	{"send", await_done_send, METH_O, "send(None): a step (PEP 492)"},
	{"throw", await_done_throw, METH_VARARGS, "throw(exception): ends it with that"},
	{"close", await_done_close, METH_NOARGS, "close(): ends it"},
	{NULL, NULL, 0, NULL},
};

// The slot of 3.10 and later, the last of each list: 3.9 knows it neither by name nor by number.
static PyType_Slot await_slots[] = {
	{Py_tp_new, asgi_no_new}, {Py_am_await, await_self}, {Py_tp_iternext, await_iternext}, {Py_tp_methods, await_methods}, {Py_tp_dealloc, await_dealloc},
	{ASGI_AM_SEND, await_am_send}, {0, NULL},
};
static PyType_Slot await_done_slots[] = {
	{Py_tp_new, asgi_no_new}, {Py_am_await, await_self}, {Py_tp_iternext, await_done_next}, {Py_tp_methods, await_done_methods}, {Py_tp_dealloc, await_done_dealloc},
	{ASGI_AM_SEND, await_done_am_send}, {0, NULL},
};
static PyType_Spec await_spec = {"_uwsgi.awaitable", sizeof(asgi_wait), 0, Py_TPFLAGS_DEFAULT, await_slots};
static PyType_Spec await_done_spec = {"_uwsgi.done", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, await_done_slots};

PyObject *asgi_type(PyType_Spec *spec)
{
	if (!PyIter_Send)
		for (PyType_Slot *s = spec->slots; s->slot; s++)
			if (s->slot == ASGI_AM_SEND)
				s->slot = 0;
	return PyType_FromSpec(spec);
}

int asgi_await_init(void)
{
	await_wait_type = (PyTypeObject *)asgi_type(&await_spec);
	PyObject *done = asgi_type(&await_done_spec);
	if (!await_wait_type || !done)
		return -1;
	await_done = PyType_GenericAlloc((PyTypeObject *)done, 0);
	Py_DECREF(done);
	return await_done ? 0 : -1;
}
