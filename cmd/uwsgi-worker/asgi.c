// The coroutine that wraps the application's: it takes the steps, and knows which one is running,
// when the application waits and how it ended.
#include <pthread.h>
#include <string.h>

#include "asgi.h"
#include "head.h"

asgi_strings asgi_str;
asgi_driver *asgi_running;
int uw_running = -1;
PyObject *asgi_disconnected;

static PyTypeObject *driver_type, *driver_coroutine_type;
static PyObject *driver_cancelled; // asyncio.CancelledError
static int driver_straight;        // the request that began last ended in its first step
static int driver_leading;         // a task is about to begin that will also serve those that wait
static asgi_driver *driver_first, **driver_last = &driver_first; // requests that wait for a task
static int driver_abandoned;       // the loop is ending
static pthread_t driver_thread;    // the loop's

// Freed drivers are kept, as many as poll() makes in one go.
enum { DRIVERS_KEPT = 64 };
static asgi_driver *driver_pool;
static int driver_pooled;

int asgi_is_driver(PyObject *o) { return Py_TYPE(o) == driver_type; }

#ifdef Py_GIL_DISABLED
int asgi_at_home(void) { return pthread_equal(pthread_self(), driver_thread) != 0; }
#endif

int asgi_foreign(void)
{
	if (pthread_equal(pthread_self(), driver_thread))
		return 0;
	PyErr_SetString(PyExc_RuntimeError, "an ASGI request is its loop's: use asyncio.run_coroutine_threadsafe() in other threads");
	return 1;
}

void asgi_lost(asgi_driver *d)
{
	PyErr_SetString(asgi_disconnected, d->websocket ? "the websocket is closed" : "the client is gone");
}

// driver_ours reports whether an exception stems from ours: the application is not to blame for a
// client that left, whatever it turned that into (Starlette raises its ClientDisconnect, and an
// error of its own when it then tries to answer).
static int driver_ours(PyObject *exc, int depth)
{
	enum { DEEPEST = 32 }; // chains may be circles
	if (!exc || exc == Py_None || depth > DEEPEST)
		return 0;
	if (PyErr_GivenExceptionMatches(exc, asgi_disconnected))
		return 1;
	PyObject *name = PyObject_GetAttr((PyObject *)Py_TYPE(exc), asgi_str.__name__);
	int known = name && PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "ClientDisconnect") == 0;
	Py_XDECREF(name);
	PyErr_Clear();
	if (known) // what Starlette makes of http.disconnect within a body
		return 1;
	PyObject *group = PyObject_GetAttr(exc, asgi_str.exceptions);
	if (!group)
		PyErr_Clear();
	int ours = 0;
	if (group && PyTuple_Check(group) && PyTuple_Size(group) > 0) {
		ours = 1;
		for (Py_ssize_t i = 0; ours && i < PyTuple_Size(group); i++)
			ours = driver_ours(PyTuple_GetItem(group, i), depth + 1);
	}
	Py_XDECREF(group);
	PyObject *const links[] = {asgi_str.__cause__, asgi_str.__context__};
	for (int i = 0; !ours && i < 2; i++) {
		PyObject *next = PyObject_GetAttr(exc, links[i]);
		if (!next)
			PyErr_Clear();
		ours = driver_ours(next, depth + 1);
		Py_XDECREF(next);
	}
	return ours;
}

// driver_silent clears the pending exception if the client is gone and the exception is ours.
static int driver_silent(asgi_driver *d)
{
	PyObject *t, *v, *tb;
	if (!d->gone)
		return 0;
	PyErr_Fetch(&t, &v, &tb);
	PyErr_NormalizeException(&t, &v, &tb);
	if (!driver_ours(v, 0)) {
		PyErr_Restore(t, v, tb);
		return 0;
	}
	Py_XDECREF(t);
	Py_XDECREF(v);
	Py_XDECREF(tb);
	return 1;
}

// driver_raised turns the application's exception into an outcome. It stays set where the task
// needs it too: asyncio regards a task as cancelled if its coroutine ends so.
static int driver_raised(asgi_driver *d)
{
	if (PyErr_ExceptionMatches(PyExc_GeneratorExit) && driver_abandoned)
		return UW_CANCELLED;
	if (PyErr_ExceptionMatches(driver_cancelled)) {
		if (d->cancelled || driver_abandoned)
			return UW_CANCELLED;
		if (d->gone) // it cancelled itself, since nobody waits any more
			return UW_DONE;
		if (d->state == ASGI_ENDED)
			return UW_FAILED;
		PyObject *t, *v, *tb;
		PyErr_Fetch(&t, &v, &tb);
		PyErr_NormalizeException(&t, &v, &tb);
		Py_XINCREF(t);
		Py_XINCREF(v);
		Py_XINCREF(tb);
		PyErr_Restore(t, v, tb);
		uw_report();
		PyErr_Restore(t, v, tb);
		return UW_FAILED;
	}
	if (driver_silent(d)) // that the client left is no failure of the application's
		return UW_DONE;
	int outcome = uw_failed(d->x);
	return outcome == UW_FAILED && d->cancelled ? UW_CANCELLED : outcome;
}

// driver_returned judges what the application left when it returned.
static int driver_returned(asgi_driver *d, PyObject *result)
{
	if (result != Py_None)
		PyErr_Format(PyExc_TypeError, "ASGI callable should return None, but returned %R.", result);
	else if (d->gone || d->state == ASGI_ENDED || d->code)
		return UW_DONE;
	else if (d->state == ASGI_START)
		PyErr_SetString(PyExc_RuntimeError, d->websocket ? "ASGI callable returned without completing handshake." : "ASGI callable returned without starting response.");
	else if (d->state != ASGI_OPEN)
		PyErr_SetString(PyExc_RuntimeError, "ASGI callable returned without completing response.");
	if (!PyErr_Occurred())
		return UW_DONE;
	uw_report();
	return d->cancelled ? UW_CANCELLED : UW_FAILED;
}

// driver_over ends the exchange. An exception that is set stays.
static void driver_over(asgi_driver *d, int outcome)
{
	PyObject *t, *v, *tb;
	uw_exchange *x = d->x;
	PyErr_Fetch(&t, &v, &tb);
	asgi_drop(d);
	if (d->state == ASGI_OPEN && !d->gone) // RFC 6455 §7.4.1: normal, internal error
		UW_HELD(uwGoCloseWS(x->id, outcome == UW_DONE ? 1000 : 1011, "", 0));
	PyObject *held[] = {d->scope, d->iterator == d->coroutine ? NULL : d->coroutine, d->iterator, d->task, d->data, d->reason};
	if (d->coroutine && Py_TYPE(d->coroutine) == driver_coroutine_type)
		held[2] = NULL; // stays, for repr(task): it refers to nothing any more
	else
		d->coroutine = NULL;
	d->scope = d->iterator = d->task = d->data = d->reason = NULL;
	uw_hold();
	d->x = NULL;
	x->driver = NULL;
	uwGoDone(x->id, outcome);
	uw_let_go();
	asgi_wake(&d->receiving);
	asgi_wake(&d->sending);
	for (size_t i = 0; i < sizeof held / sizeof *held; i++)
		Py_XDECREF(held[i]);
	uw_after_hook();
	Py_DECREF(d); // the exchange's
	PyErr_Restore(t, v, tb);
}

// driver_start calls the application. -1: an exception is set.
static int driver_start(asgi_driver *d)
{
	PyObject *scope = d->scope, *receive = NULL, *send = NULL, *o = NULL;
	d->scope = NULL;
	if (uw_enter((PyObject *)d) == 0 && (receive = PyCFunction_NewEx(&asgi_receive_def, (PyObject *)d, NULL)) &&
	    (send = PyCFunction_NewEx(&asgi_send_def, (PyObject *)d, NULL)))
		o = PyObject_CallFunctionObjArgs(d->app->callable, scope, receive, send, NULL);
	Py_XDECREF(scope);
	Py_XDECREF(receive);
	Py_XDECREF(send);
	if (!o)
		return -1;
	d->coroutine = o;
	if (Py_TYPE(o) == driver_coroutine_type) {
		d->iterator = o; // drives itself
		return 0;
	}
	d->iterator = PyObject_CallMethodObjArgs(o, asgi_str.__await__, NULL);
	if (!d->iterator && PyErr_ExceptionMatches(PyExc_AttributeError)) {
		PyErr_Clear();
		PyErr_Format(PyExc_TypeError, "the application returned %R, which cannot be awaited: ASGI 3 takes async def application(scope, receive, send)", o);
	}
	return d->iterator ? 0 : -1;
}

// driver_ended reads the result of calling send() or throw() of a coroutine.
static int driver_ended(PyObject *given, PyObject **result)
{
	*result = given;
	if (given)
		return ASGI_NEXT;
	if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_StopIteration))
		return ASGI_ERROR;
	PyObject *t, *v, *tb, *value = NULL;
	PyErr_Fetch(&t, &v, &tb);
	if (t) {
		PyErr_NormalizeException(&t, &v, &tb);
		value = PyObject_GetAttrString(v, "value");
	}
	if (!value) {
		PyErr_Clear();
		Py_INCREF(Py_None);
		value = Py_None;
	}
	Py_XDECREF(t);
	Py_XDECREF(v);
	Py_XDECREF(tb);
	*result = value;
	return ASGI_RETURN;
}

static int driver_resume(asgi_driver *d, PyObject *value, PyObject *thrown, PyObject **result)
{
	if (thrown) {
		PyObject *throw = PyObject_GetAttr(d->iterator, asgi_str.throw);
		if (!throw) { // an iterator need not have it
			PyErr_Clear();
			asgi_throw(thrown);
			return ASGI_ERROR;
		}
		PyObject *given = PyObject_CallObject(throw, thrown);
		Py_DECREF(throw);
		return driver_ended(given, result);
	}
	if (PyIter_Send)
		return PyIter_Send(d->iterator, value, result);
	if (value == Py_None && PyIter_Check(d->iterator))
		return driver_ended(PyIter_Next(d->iterator), result);
	return driver_ended(PyObject_CallMethodObjArgs(d->iterator, asgi_str.send, value, NULL), result);
}

// driver_take takes a step: with value, or thrown, the arguments of throw().
static int driver_take(asgi_driver *d, PyObject *value, PyObject *thrown, PyObject **result)
{
	int rc = ASGI_ERROR, first = !d->iterator && !thrown;
	*result = NULL;
	if (!d->x) {
		PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
		return rc;
	}
	if (asgi_foreign())
		return rc;
	if (d->running || d->sends) {
		PyErr_SetString(PyExc_ValueError, "coroutine already executing");
		return rc;
	}
	asgi_driver *outer = asgi_running;
	Py_INCREF(d);
	d->running = 1;
	d->last = 0;
	asgi_running = d;
	uw_running = d->x->id;
	if (thrown && !d->iterator)
		asgi_throw(thrown); // it never began
	else if (d->iterator || driver_start(d) == 0)
		rc = driver_resume(d, value, thrown, result);
	if (uw_forked)
		uw_end_child(rc == ASGI_ERROR ? NULL : Py_None);
	asgi_running = outer;
	uw_running = outer && outer->x ? outer->x->id : -1;
	d->running = 0;
	if (first)
		driver_straight = rc != ASGI_NEXT;
	if (rc == ASGI_NEXT) {
		if (asgi_flush(d) < 0)
			asgi_wake(&d->receiving);
		if (!d->suspended) {
			d->suspended = 1;
			uw_hold();
			uwGoSuspended(d->x->id);
			uw_let_go();
		}
	} else {
		int outcome;
		d->running = 1; // until it is over nobody else takes a step
		if (rc == ASGI_RETURN || d->x->head_sent) // else the client gets an error page in its place
			asgi_flush(d);
		outcome = rc == ASGI_RETURN ? driver_returned(d, *result) : driver_raised(d);
		Py_XDECREF(*result);
		*result = NULL;
		driver_over(d, outcome);
		d->running = 0;
		rc = ASGI_ERROR;
		if (!PyErr_Occurred()) {
			rc = ASGI_RETURN;
			Py_INCREF(Py_None);
			*result = Py_None;
		}
	}
	Py_DECREF(d);
	return rc;
}

// driver_current gives the driver of the request that a task is serving.
static asgi_driver *driver_current(PyObject *self)
{
	asgi_driver *d = (asgi_driver *)self;
	return d->served ? d->served : d;
}

// driver_next takes the next request of those that wait for a task.
static asgi_driver *driver_next(void)
{
	asgi_driver *d;
	while ((d = driver_first)) {
		if (!(driver_first = d->next))
			driver_last = &driver_first;
		if (d->x && !d->cancelled)
			return d;
		if (d->x)
			driver_over(d, UW_CANCELLED);
		Py_DECREF(d);
	}
	return NULL;
}

// driver_leads takes the first step of a task that also serves those that wait.
static int driver_leads(asgi_driver *self, PyObject *value, PyObject *thrown, PyObject **result)
{
	asgi_task task;
	asgi_driver *d;
	int fit = !thrown && asgi_task_begin(&task, self->task), alone = !fit;
	driver_leading = 0;
	int rc = driver_take(self, value, thrown, result);
	while (fit && rc == ASGI_RETURN && driver_first && !asgi_task_enough(&task)) {
		if (!asgi_task_same(&task)) {
			alone = 1;
			break;
		}
		if (!(d = driver_next()))
			break;
		Py_DECREF(*result);
		Py_INCREF(task.task);
		d->task = task.task;
		self->served = d;
		rc = driver_take(d, Py_None, NULL, result);
		if (rc != ASGI_NEXT)
			Py_CLEAR(self->served);
	}
	if (fit)
		asgi_task_end(&task);
	if (alone)
		driver_straight = 0; // those that wait get a task each
	if (driver_first)
		uw_again = 1; // poll() has the context that they begin with
	return rc;
}

static int driver_step(asgi_driver *self, PyObject *value, PyObject *thrown, PyObject **result)
{
	int rc;
	Py_INCREF(self);
	if (self->leads) {
		self->leads = 0;
		rc = driver_leads(self, value, thrown, result);
	} else {
		rc = driver_take(driver_current((PyObject *)self), value, thrown, result);
	}
	events_soon();
	Py_DECREF(self);
	return rc;
}

// --- what the loop sees ---

static PyObject *driver_iternext(PyObject *self)
{
	PyObject *result;
	int rc = driver_step((asgi_driver *)self, Py_None, NULL, &result);
	if (rc == ASGI_RETURN) { // StopIteration without a value
		Py_DECREF(result);
		return NULL;
	}
	return result;
}

static int driver_am_send(PyObject *self, PyObject *value, PyObject **result) { return driver_step((asgi_driver *)self, value, NULL, result); }

static PyObject *driver_send(PyObject *self, PyObject *value)
{
	PyObject *result;
	int rc = driver_step((asgi_driver *)self, value, NULL, &result);
	return asgi_method(rc, result);
}

static PyObject *driver_throw(PyObject *self, PyObject *args)
{
	PyObject *result;
	int rc = driver_step((asgi_driver *)self, Py_None, args, &result);
	return asgi_method(rc, result);
}

static PyObject *driver_close(PyObject *self, PyObject *unused)
{
	if (!driver_current(self)->x)
		Py_RETURN_NONE;
	PyObject *args = PyTuple_Pack(1, PyExc_GeneratorExit), *result;
	if (!args)
		return NULL;
	int rc = driver_step((asgi_driver *)self, Py_None, args, &result);
	Py_DECREF(args);
	Py_XDECREF(result);
	if (rc == ASGI_NEXT) {
		PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
		return NULL;
	}
	if (rc == ASGI_ERROR && !PyErr_ExceptionMatches(PyExc_GeneratorExit))
		return NULL;
	PyErr_Clear();
	Py_RETURN_NONE;
}

static PyObject *driver_self(PyObject *self)
{
	Py_INCREF(self);
	return self;
}

// Code that inspects tasks (anyio those it cancels, asyncio for repr() and stacks) finds the
// application; on another thread than the loop's, its name.
static PyObject *driver_get(PyObject *self, void *name)
{
	asgi_driver *d = driver_current(self);
	PyObject *key = *(PyObject **)name, *v = asgi_at_home() && d->coroutine ? PyObject_GetAttr(d->coroutine, key) : NULL;
	if (v)
		return v;
	PyErr_Clear();
	if (d->app && d->app->callable && (key == asgi_str.__name__ || key == asgi_str.__qualname__)) {
		if ((v = PyObject_GetAttr(d->app->callable, key)))
			return v;
		PyErr_Clear();
		return PyUnicode_FromString("application");
	}
	Py_RETURN_NONE;
}

static PyObject *driver_get_running(PyObject *self, void *unused) { return PyBool_FromLong(driver_current(self)->running); }

static PyObject *driver_get_suspended(PyObject *self, void *unused)
{
	asgi_driver *d = driver_current(self);
	return PyBool_FromLong(d->x && d->iterator && !d->running);
}

static void driver_dealloc(PyObject *self)
{
	asgi_driver *d = (asgi_driver *)self;
	PyObject *coroutine = d->coroutine, *served = (PyObject *)d->served;
	events_drivers--;
	if (asgi_at_home() && driver_pooled < DRIVERS_KEPT) {
		driver_pooled++;
		d->task = (PyObject *)driver_pool;
		driver_pool = d;
	} else {
		PyObject_Free(d);
	}
	Py_DECREF(driver_type);
	Py_XDECREF(coroutine);
	Py_XDECREF(served);
}

static asgi_driver *driver_new(void)
{
	asgi_driver *d = driver_pool;
	if (d) {
		driver_pool = (asgi_driver *)d->task;
		driver_pooled--;
	} else if (!(d = PyObject_Malloc(sizeof *d))) {
		PyErr_NoMemory();
		return NULL;
	}
	memset(d, 0, sizeof *d);
	PyObject_Init((PyObject *)d, driver_type);
	events_drivers++;
	return d;
}

// --- events ---

// driver_begins makes the driver of a request. NULL: it could not, and has ended the exchange.
static asgi_driver *driver_begins(const uw_event *ev, const asgi_app *app)
{
	uw_exchange *x = uw_exchange_get(ev->exchange);
	asgi_driver *d = NULL;
	if (x)
		uw_exchange_begin(x);
	if (!x || !app->callable) {
		UW_HELD(uwGoDone(ev->exchange, x ? UW_NOAPP : UW_FAILED));
		return NULL;
	}
	if (!(d = driver_new())) {
		uw_report();
		UW_HELD(uwGoDone(x->id, UW_FAILED));
		return NULL;
	}
	d->x = x;
	x->driver = d; // with the reference that there is
	d->app = app;
	d->websocket = ev->websocket != 0;
	if (!d->websocket)
		asgi_store(d, ev);
	if ((d->scope = asgi_scope(app, ev, &d->head)))
		return d;
	uw_report();
	driver_over(d, UW_FAILED);
	return NULL;
}

// driver_schedule makes a task of a request.
static void driver_schedule(asgi_driver *d, PyObject *create_task)
{
	uw_exchange *x = d->x;
	PyObject *task = PyObject_CallFunctionObjArgs(create_task, (PyObject *)d, NULL);
	if (!task) {
		uw_report();
		if (d->x == x)
			driver_over(d, UW_FAILED);
		return;
	}
	// A task factory may have run it to its end already, and another request have its exchange.
	if (x->driver != d) {
		Py_DECREF(task);
		return;
	}
	d->task = task;
	if (driver_straight && !driver_leading && !d->iterator && asgi_task_able(task, (PyObject *)d))
		d->leads = driver_leading = 1;
}

void asgi_begins(const uw_event *ev, const asgi_app *app, PyObject *create_task)
{
	asgi_driver *d = driver_begins(ev, app);
	if (d && driver_leading) {
		Py_INCREF(d);
		*driver_last = d;
		driver_last = &d->next;
	} else if (d) {
		driver_schedule(d, create_task);
	}
}

void asgi_waiting(PyObject *create_task)
{
	asgi_driver *d;
	while (!driver_leading && (d = driver_next())) {
		driver_schedule(d, create_task);
		Py_DECREF(d);
	}
}

// driver_cancel has the loop cancel the task.
static void driver_cancel(asgi_driver *d)
{
	PyObject *r = d->task ? PyObject_CallMethodObjArgs(d->task, asgi_str.cancel, NULL) : NULL;
	if (PyErr_Occurred())
		uw_report();
	Py_XDECREF(r);
}

// driver_unaware reports whether the application is streaming and would not learn that the client
// has left before it sends the next block.
static int driver_unaware(const asgi_driver *d)
{
	return (d->state == ASGI_HEAD || d->state == ASGI_BODY) && !d->receiving && !d->sending;
}

void asgi_event(asgi_driver *d, const uw_event *ev)
{
	Py_INCREF(d);
	switch (ev->kind) {
	case UW_BODY:
	case UW_MESSAGE:
		asgi_store(d, ev);
		asgi_wake(&d->receiving);
		break;
	case UW_GONE:
		asgi_store(d, ev);
		if (driver_unaware(d)) // a generator might wait for its next event for ever
			driver_cancel(d);
		asgi_wake(&d->receiving);
		asgi_wake(&d->sending);
		break;
	case UW_WRITABLE:
		d->behind = 0;
		asgi_wake(&d->sending);
		break;
	case UW_CANCEL:
		d->cancelled = 1;
		driver_cancel(d);
		break;
	case UW_DRAIN:
		d->leaving = 1;
		if (d->websocket && !d->code) {
			d->code = 1012; // RFC 6455, registry: service restart
			if (d->state == ASGI_OPEN) {
				UW_HELD(uwGoCloseWS(d->x->id, d->code, "", 0));
				d->gone = 1;
			}
		}
		asgi_wake(&d->receiving);
		break;
	}
	Py_DECREF(d);
}

void asgi_abandon(asgi_driver *d)
{
	driver_abandoned = 1;
	Py_INCREF(d);
	PyObject *r = driver_close((PyObject *)d, NULL);
	if (!r)
		uw_report();
	Py_XDECREF(r);
	if (d->x && !d->running)
		driver_over(d, UW_CANCELLED); // it refuses to end
	Py_DECREF(d);
}

static PyMethodDef driver_methods[] = {
	{"send", driver_send, METH_O, "send(value): a step (PEP 492)"},
	{"throw", driver_throw, METH_VARARGS, "throw(exception): a step that begins with that"},
	{"close", driver_close, METH_NOARGS, "close(): ends it"},
	{NULL, NULL, 0, NULL},
};
static PyGetSetDef driver_getters[] = {
	{"__name__", driver_get, NULL, "the application's", &asgi_str.__name__},
	{"__qualname__", driver_get, NULL, "the application's", &asgi_str.__qualname__},
	{"cr_frame", driver_get, NULL, "the application's", &asgi_str.cr_frame},
	{"cr_code", driver_get, NULL, "the application's", &asgi_str.cr_code},
	{"cr_await", driver_get, NULL, "the application's", &asgi_str.cr_await},
	{"cr_origin", driver_get, NULL, "the application's", &asgi_str.cr_origin},
	{"cr_running", driver_get_running, NULL, "whether a step is under way", NULL},
	{"cr_suspended", driver_get_suspended, NULL, "whether it has begun and waits", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot driver_slots[] = {
	{Py_tp_new, asgi_no_new}, {Py_am_await, driver_self}, {Py_tp_iternext, driver_iternext}, {Py_tp_methods, driver_methods},
	{Py_tp_getset, driver_getters}, {Py_tp_dealloc, driver_dealloc}, {ASGI_AM_SEND, driver_am_send}, {0, NULL},
};
static PyType_Spec driver_spec = {"_uwsgi.exchange", sizeof(asgi_driver), 0, Py_TPFLAGS_DEFAULT, driver_slots};

// driver_import gives an attribute of a module, a new reference.
static PyObject *driver_import(const char *module, const char *name)
{
	PyObject *m = PyImport_ImportModule(module), *o = m ? PyObject_GetAttrString(m, name) : NULL;
	Py_XDECREF(m);
	return o;
}

int asgi_init(void)
{
#define S(name) \
	if (!(asgi_str.name = PyUnicode_InternFromString(#name))) \
		return -1;
	ASGI_STRINGS(S)
#undef S
	driver_thread = pthread_self();
	driver_type = (PyTypeObject *)asgi_type(&driver_spec);
	driver_coroutine_type = (PyTypeObject *)driver_import("types", "CoroutineType");
	driver_cancelled = driver_import("asyncio", "CancelledError");
	asgi_disconnected = PyErr_NewExceptionWithDoc("uwsgi.ClientDisconnected", "The client of an ASGI application's response is gone.", PyExc_OSError, NULL);
	if (!driver_type || !driver_coroutine_type || !driver_cancelled || !asgi_disconnected)
		return -1;
	return asgi_await_init() < 0 || asgi_receive_init() < 0 || asgi_task_init() < 0 || asgi_scope_init() < 0 ? -1 : 0;
}
