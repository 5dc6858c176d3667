// Which greenlet answers a request. It is switched to as soon as the request is there, from poll()
// and so from the hub, and comes back when the application waits for something; what wakes it then
// is gevent's.
//
// To make a gevent greenlet and to end it costs as much as a small request. So a greenlet serves
// the next request too, provided that the application cannot tell: nobody holds a reference to it,
// it has no link and no attribute, and it starts with an empty context. If its request did not
// wait, it takes the next one from poll()'s events itself. If it did, whatever woke it may still
// refer to it: it rests until control is back in the hub, which then examines it.
#include "events.h"
#include "greenlet.h"

enum { SERVE_IDLE = 512 };

static PyObject *serve_class, *serve_hub, *serve_call_soon;
static PyObject *serve_run_object, *serve_look_object;
static PyObject *str_has_links, *str_context;

// Greenlet's function of its C API (greenlet.h): what its method switch() does.
static PyObject *(*serve_switch)(PyObject *greenlet, PyObject *args, PyObject *kwargs);

// Offsets in a greenlet of its list of weak references and of its attributes.
static Py_ssize_t serve_weakrefs, serve_dict;

// Greenlets that have switched to the hub and wait for a request. The list owns a reference to
// each.
typedef struct {
	PyObject *all[SERVE_IDLE];
	int n;
} serve_list;
static serve_list serve_spare;   // may serve again
static serve_list serve_resting; // to be examined before they may
static int serve_looking;        // … which is scheduled

static PyObject *serve_straight;   // the greenlet that the hub has switched to, until it waits
static const uw_event *serve_next; // the request for it; NULL: it is to end

// How many references and attributes a greenlet has of its own, without the application's. They are
// counted in one that has no request: the first time that it runs, the second time, and while idle.
static int serve_counting, serve_counted;
static int serve_running[2], serve_idle;
static Py_ssize_t serve_attributes;

// serve_enter switches to a greenlet until it waits or is done. -1: an exception is set.
static int serve_enter(PyObject *greenlet)
{
	serve_straight = greenlet;
	PyObject *r = serve_switch(greenlet, NULL, NULL);
	serve_straight = NULL;
	Py_XDECREF(r);
	return r ? 0 : -1;
}

static PyObject *serve_at(PyObject *greenlet, Py_ssize_t offset) { return *(PyObject **)((char *)greenlet + offset); }

static Py_ssize_t serve_named(PyObject *greenlet)
{
	PyObject *names = serve_at(greenlet, serve_dict);
	return names ? PyDict_Size(names) : 0;
}

// serve_unseen reports whether the application cannot tell that a greenlet serves again. references
// is how many there are if all are ours and greenlet's own.
static int serve_unseen(PyObject *greenlet, int references)
{
	if (py_references(greenlet) != references || serve_at(greenlet, serve_weakrefs) || serve_named(greenlet) != serve_attributes)
		return 0;
	PyObject *links = PyObject_CallMethodObjArgs(greenlet, str_has_links, NULL);
	int unseen = links && !PyObject_IsTrue(links);
	Py_XDECREF(links);
	if (!unseen)
		PyErr_Clear();
	return unseen;
}

// serve_forget empties the context of the running greenlet. 0: it could not.
static int serve_forget(PyObject *me)
{
	if (PyObject_SetAttr(me, str_context, Py_None) == 0)
		return 1;
	PyErr_Clear();
	return 0;
}

static int serve_put(serve_list *list, PyObject *greenlet)
{
	if (serve_spare.n + serve_resting.n == SERVE_IDLE)
		return 0;
	Py_INCREF(greenlet);
	list->all[list->n++] = greenlet;
	return 1;
}

// serve_out removes a greenlet from a list. 0: it is not in there.
static int serve_out(serve_list *list, PyObject *greenlet)
{
	for (int i = 0; i < list->n; i++)
		if (list->all[i] == greenlet) {
			list->all[i] = list->all[--list->n];
			Py_DECREF(greenlet);
			return 1;
		}
	return 0;
}

// serve_look examines the greenlets that rest, and ends those that something still refers to. It
// runs in the hub.
static void serve_look(void)
{
	while (serve_resting.n > 0) {
		PyObject *greenlet = serve_resting.all[--serve_resting.n];
		if (serve_unseen(greenlet, serve_idle)) {
			serve_spare.all[serve_spare.n++] = greenlet;
			continue;
		}
		if (serve_enter(greenlet) < 0)
			uw_report();
		Py_DECREF(greenlet);
	}
}

static PyObject *serve_look_called(PyObject *self, PyObject *unused)
{
	serve_looking = 0;
	if (!uw_forked)
		serve_look();
	Py_RETURN_NONE;
}

// serve_rest puts aside a greenlet whose request has waited. 0: it has to end.
static int serve_rest(PyObject *me)
{
	if (!serve_forget(me) || !serve_put(&serve_resting, me))
		return 0;
	if (serve_looking)
		return 1;
	PyObject *r = PyObject_CallFunctionObjArgs(serve_call_soon, serve_look_object, NULL);
	serve_looking = r != NULL;
	Py_XDECREF(r);
	if (!r) {
		PyErr_Clear();
		serve_out(&serve_resting, me);
	}
	return serve_looking;
}

// serve_run is what runs in a greenlet.
static PyObject *serve_run(PyObject *self, PyObject *unused)
{
	PyObject *me = serve_straight; // alive as long as this runs
	const uw_event *ev;
	for (int again = 0; (ev = serve_next) || serve_counting; again = 1) {
		int straight = 1, unseen = 1;
		for (serve_next = NULL; ev; ev = unseen ? events_request() : NULL) {
			greenlet_answer(me, ev);
			straight = serve_straight == me;
			unseen = straight && !uw_forked && serve_unseen(me, serve_running[again]) && serve_forget(me);
		}
		if (serve_counting) {
			serve_running[again] = py_references(me);
			serve_attributes = serve_named(me);
		}
		if (uw_forked || !(straight ? unseen && serve_put(&serve_spare, me) : serve_rest(me)))
			break;
		PyObject *r = serve_switch(serve_hub, NULL, NULL);
		if (serve_straight != me) { // it was not we who woke it
			if (!serve_out(&serve_spare, me))
				serve_out(&serve_resting, me);
			return r;
		}
		if (!r)
			return NULL;
		Py_DECREF(r);
	}
	Py_RETURN_NONE;
}

static PyMethodDef serve_run_def = {"request", serve_run, METH_NOARGS, "what a request's greenlet runs"};
static PyMethodDef serve_look_def = {"look", serve_look_called, METH_NOARGS, "look(): find out which greenlets may serve again"};

// serve_take gives an idle greenlet or a new one, a new reference. NULL: an exception is set.
static PyObject *serve_take(void)
{
	if (serve_spare.n == 0)
		serve_look();
	if (serve_spare.n > 0)
		return serve_spare.all[--serve_spare.n];
	return PyObject_CallFunctionObjArgs(serve_class, serve_run_object, NULL);
}

// serve_count measures a greenlet that nothing else refers to: see serve_counting.
static void serve_count(void)
{
	serve_counting = serve_counted = 1;
	for (int i = 0; i < 2; i++) {
		PyObject *greenlet = serve_take();
		if (!greenlet || serve_enter(greenlet) < 0)
			uw_report();
		Py_XDECREF(greenlet);
	}
	serve_counting = 0;
	if (serve_spare.n > 0)
		serve_idle = py_references(serve_spare.all[0]);
}

int serve_request(const uw_event *ev)
{
	if (!serve_counted)
		serve_count();
	PyObject *greenlet = serve_take();
	if (!greenlet)
		return -1;
	serve_next = ev;
	int rc = serve_enter(greenlet);
	int seen = !serve_next;
	serve_next = NULL;
	Py_DECREF(greenlet);
	if (rc < 0 && seen) // the request was answered all the same
		uw_report();
	return seen ? 0 : -1;
}

PyObject *serve_idle_count(PyObject *self, PyObject *unused) { return PyLong_FromLong(serve_spare.n + serve_resting.n); }

// serve_offset reads an offset that a type tells of its objects. 0: it tells none, or an exception
// is set.
static Py_ssize_t serve_offset(PyObject *class, const char *name)
{
	PyObject *o = PyObject_GetAttrString(class, name);
	Py_ssize_t n = o ? PyLong_AsLong(o) : 0;
	Py_XDECREF(o);
	return n > 0 ? n : 0;
}

int serve_begin(PyObject *class, PyObject *hub, PyObject *call_soon)
{
	enum { SWITCH = 6 }; // its number in greenlet.h
	void **api = PyCapsule_Import("greenlet._C_API", 0);
	if (!api || !(str_has_links = PyUnicode_InternFromString("has_links")) || !(str_context = PyUnicode_InternFromString("gr_context")) ||
	    !(serve_run_object = PyCFunction_NewEx(&serve_run_def, NULL, NULL)) || !(serve_look_object = PyCFunction_NewEx(&serve_look_def, NULL, NULL)))
		return -1;
	*(void **)&serve_switch = api[SWITCH];
	serve_weakrefs = serve_offset(class, "__weakrefoffset__");
	serve_dict = serve_offset(class, "__dictoffset__");
	if (PyErr_Occurred())
		return -1;
	serve_counted = !serve_weakrefs || !serve_dict; // each greenlet has one request
	Py_INCREF(class);
	serve_class = class;
	Py_INCREF(hub);
	serve_hub = hub;
	Py_INCREF(call_soon);
	serve_call_soon = call_soon;
	return 0;
}
