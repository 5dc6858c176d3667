// Events of an evented worker, pulled from Go when Python's loop says that there are any.
#include "asgi.h"
#include "own.h"
#include "_cgo_export.h"

int uw_again;
#ifdef Py_GIL_DISABLED
_Atomic long events_drivers;
#else
long events_drivers;
#endif

// What one call of poll() works on at most, so that the loop's other callbacks get their turn.
enum { EVENTS_AT_ONCE = 64 };

static void (*events_begins)(const uw_event *ev); // NULL: there is no loop
static void (*events_happens)(void *driver, const uw_event *ev);
static PyObject *events_call_soon, *events_leave;
static PyObject *events_poll_self; // poll itself
static int events_polling, events_scheduled;

static uw_event events_now;
static int events_count, events_kept; // how many this call of poll() took; events_now is still to be handled

// Of an ASGI loop alone.
static PyObject *events_create_task;
static asgi_app *events_apps;
static Py_ssize_t events_napps;

static PyObject *events_soon_called(void)
{
	events_scheduled = 1;
	return PyObject_CallFunctionObjArgs(events_call_soon, events_poll_self, NULL);
}

void events_soon(void)
{
	if (!uw_again || events_polling || events_scheduled || !events_poll_self)
		return;
	// The caller may have an exception set.
	PyObject *t, *v, *tb;
	PyErr_Fetch(&t, &v, &tb);
	PyObject *r = events_soon_called();
	if (!r)
		uw_report(); // the loop is closed
	Py_XDECREF(r);
	PyErr_Restore(t, v, tb);
}

static void events_asgi_begins(const uw_event *ev)
{
	static const asgi_app none;
	asgi_begins(ev, ev->app >= 0 && ev->app < events_napps ? &events_apps[ev->app] : &none, events_create_task);
}

static void events_asgi_happens(void *driver, const uw_event *ev) { asgi_event(driver, ev); }

static void events_handle(const uw_event *ev)
{
	if (ev->kind == UW_REQUEST) {
		events_begins(ev);
		return;
	}
	if (ev->kind == UW_LEAVE) {
		PyObject *r = PyObject_CallObject(events_leave, NULL);
		if (!r)
			uw_report();
		Py_XDECREF(r);
		return;
	}
	if (ev->kind == UW_SIGNAL) {
		uw_deliver_here(ev->code);
		return;
	}
	uw_exchange *x = uw_exchange_get(ev->exchange);
	if (x && x->driver)
		events_happens(x->driver, ev);
}

// events_next gives the next event; NULL: there is none, or poll() has handled enough.
static const uw_event *events_next(void)
{
	if (!events_kept) {
		if (events_count == EVENTS_AT_ONCE || uw_forked || UW_HELD(uwGoNext(&events_now)) == UW_NONE)
			return NULL;
		events_count++;
	}
	events_kept = 0;
	return &events_now;
}

const uw_event *events_request(void)
{
	const uw_event *ev = events_next();
	events_kept = ev && ev->kind != UW_REQUEST;
	return events_kept ? NULL : ev;
}

PyObject *events_poll(PyObject *self, PyObject *unused)
{
	const uw_event *ev;
	if (uw_forked && events_create_task) { // a copy of the loop, in a child that did not leave
		uw_end_child(Py_None);
		return NULL;
	}
	if (events_polling || !events_begins || uw_forked) // re-entered by a nested run of the loop
		Py_RETURN_NONE;
	events_polling = 1;
	events_scheduled = 0;
	uw_again = 0;
	uw_bury_all();
	if (events_create_task)
		asgi_waiting(events_create_task);
	events_count = 0;
	while ((ev = events_next()))
		events_handle(ev);
	events_polling = 0;
	if (events_count == EVENTS_AT_ONCE)
		uw_again = 1;
	events_soon();
	Py_RETURN_NONE;
}

PyObject *events_listen_in(PyObject *self, PyObject *args)
{
	int fd;
	unsigned long long tag;
	if (!PyArg_ParseTuple(args, "iK:listen_in", &fd, &tag))
		return NULL;
	uwGoListenIn(fd, tag);
	Py_RETURN_NONE;
}

PyObject *events_poll_fd(PyObject *self, PyObject *unused) { return PyLong_FromLong(uwGoPollFD()); }

// events_app reads what Python says of one application.
static int events_app(asgi_app *app, PyObject *o)
{
	PyObject *callable, *http, *websocket, *state;
	if (o == Py_None)
		return 0;
	if (!PyArg_ParseTuple(o, "OO!O!O;an application is (callable, http, websocket, state)", &callable, &PyDict_Type, &http, &PyDict_Type, &websocket, &state))
		return -1;
	if (state != Py_None && !PyDict_Check(state)) {
		PyErr_SetString(PyExc_TypeError, "the state of an application is a dict or None");
		return -1;
	}
	app->http = asgi_scope_template(http, 0);
	app->websocket = asgi_scope_template(websocket, 1);
	if (!app->http || !app->websocket)
		return -1;
	Py_INCREF(callable);
	app->callable = callable;
	if (state != Py_None) {
		Py_INCREF(state);
		app->state = state;
	}
	return 0;
}

// events_keep_memory makes the C library keep some of what is freed. The bodies of the requests
// that one poll() takes come and go together: without this their pages would go back to the kernel
// and be asked for again each time. glibc sets its limits to twice the size freed here.
static void events_keep_memory(void)
{
	void *volatile block = malloc(1 << 20);
	free(block);
}

int events_attach(PyObject *self, PyObject *call_soon, PyObject *leave, void (*begins)(const uw_event *ev),
	void (*happens)(void *driver, const uw_event *ev))
{
	if (events_call_soon) {
		PyErr_SetString(PyExc_RuntimeError, "a worker has one loop");
		return -1;
	}
	if (uw_own_begin() < 0 || uw_enter_init() < 0 || !(events_poll_self = PyObject_GetAttrString(self, "poll")))
		return -1;
	Py_INCREF(call_soon);
	events_call_soon = call_soon;
	Py_INCREF(leave);
	events_leave = leave;
	events_begins = begins;
	events_happens = happens;
	events_keep_memory();
	return 0;
}

PyObject *events_begin(PyObject *self, PyObject *args)
{
	PyObject *create_task, *create_future, *get_task_factory, *call_soon, *leave, *apps;
	if (!PyArg_ParseTuple(args, "OOOOOO!:asgi_begin", &create_task, &create_future, &get_task_factory, &call_soon, &leave, &PyList_Type, &apps))
		return NULL;
	if (asgi_init() < 0 || PyObject_SetAttrString(self, "ClientDisconnected", asgi_disconnected) < 0 ||
	    events_attach(self, call_soon, leave, events_asgi_begins, events_asgi_happens) < 0)
		return NULL;
	events_napps = PyList_Size(apps);
	events_apps = calloc(events_napps > 0 ? (size_t)events_napps : 1, sizeof *events_apps);
	if (!events_apps)
		return PyErr_NoMemory();
	for (Py_ssize_t i = 0; i < events_napps; i++)
		if (events_app(&events_apps[i], PyList_GetItem(apps, i)) < 0)
			return NULL;
	Py_INCREF(create_future);
	asgi_create_future = create_future;
	asgi_task_factory(get_task_factory);
	Py_INCREF(create_task);
	events_create_task = create_task;
	Py_RETURN_NONE;
}

PyObject *events_end(PyObject *self, PyObject *unused)
{
	uw_exchange *x;
	PyObject *soon = events_poll_self;
	events_poll_self = NULL; // the loop takes nothing more
	Py_XDECREF(soon);
	for (int i = 0; (x = uw_exchange_known(i)); i++)
		if (x->driver)
			asgi_abandon(x->driver);
	events_begins = NULL;
	Py_CLEAR(events_create_task);
	Py_RETURN_NONE;
}

PyObject *events_live(PyObject *self, PyObject *unused)
{
	uw_exchange *x;
	long n = 0;
	for (int i = 0; (x = uw_exchange_known(i)); i++)
		n += x->driver != NULL;
	return Py_BuildValue("(ll)", n, (long)events_drivers);
}
