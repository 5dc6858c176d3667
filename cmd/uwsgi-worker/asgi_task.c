// The task of a request, which serves further requests where the application cannot tell.
//
// An asyncio task costs a fifth of a small request. As long as requests end in the first step of
// their tasks, one task serves, in that step, all requests that arrived together. Before each
// further one the task must be what it was before it served: nothing new refers to it, weakly or
// not; it has no new callback, attribute, cancellation or name; its context has the same variables
// as before, and nobody else has got hold of that context (get_context(), 3.12), for a task begun
// in it would share it with the next request. Most of that stands in the object's own bytes, which
// are compared whole, whatever their layout; its dictionary, its weak references (3.13) and its
// context may be elsewhere and are looked at one by one.
#include <string.h>
#include <time.h>

#include "asgi.h"

// Exported by every CPython 3.7.1+, not in the limited API.
extern PyObject *PyContext_CopyCurrent(void);
extern int PyContextVar_Get(PyObject *var, PyObject *fallback, PyObject **value);
extern PyObject *PyObject_GenericGetDict(PyObject *o, void *unused);
extern PyObject *PySequence_List(PyObject *o);
extern Py_ssize_t PyObject_Size(PyObject *o);

// A task serves at most so many requests, and begins none after so long (ns): the loop's other
// callbacks get their turn, and a slow callback that asyncio reports stands for few requests.
enum { TASK_REQUESTS = 64, TASK_AT_MOST = 10000000 };
// A context of more variables than that is not compared: its task serves one request.
enum { TASK_VARIABLES = 8 };

static PyObject *task_type; // asyncio.Task if it is the one written in C, else NULL
static Py_ssize_t task_size;
static PyObject *task_weakrefs;  // weakref.getweakrefcount; NULL: the object's own bytes show them
static int task_dictionary;      // its dictionary does not stand in the object
static PyObject *task_get_factory;
static PyObject *task_get_context, *task_get_coro; // names of its methods
static int task_lends_context;                     // the first exists (3.12)

#ifdef Py_GIL_DISABLED
enum { TASK_COUNTED = 0 }; // each thread counts its own references
static Py_ssize_t task_references(const PyObject *task) { return task ? -1 : 0; }
#else
enum { TASK_COUNTED = 1 };
static Py_ssize_t task_references(const PyObject *task) { return task->ob_refcnt; }
#endif

static int64_t task_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// task_number gives the value of an int, whose reference it takes over. -1: o is NULL, or no int.
static Py_ssize_t task_number(PyObject *o)
{
	Py_ssize_t n = o ? PyLong_AsLong(o) : -1;
	Py_XDECREF(o);
	return n;
}

int asgi_task_init(void)
{
	PyObject *tasks = PyImport_ImportModule("_asyncio"), *weak = NULL;
	PyObject *type = tasks ? PyObject_GetAttrString(tasks, "Task") : NULL;
	Py_XDECREF(tasks);
	PyErr_Clear(); // an interpreter without it has a Task written in Python
	if (!type)
		return 0;
	Py_ssize_t size = task_number(PyObject_GetAttrString(type, "__basicsize__"));
	Py_ssize_t dict = task_number(PyObject_GetAttrString(type, "__dictoffset__"));
	Py_ssize_t weakrefs = task_number(PyObject_GetAttrString(type, "__weakrefoffset__"));
	if (weakrefs < 0 && !PyErr_Occurred()) {
		weak = PyImport_ImportModule("_weakref");
		task_weakrefs = weak ? PyObject_GetAttrString(weak, "getweakrefcount") : NULL;
		Py_XDECREF(weak);
	}
	if (PyErr_Occurred() || !(task_get_context = PyUnicode_InternFromString("get_context")) ||
	    !(task_get_coro = PyUnicode_InternFromString("get_coro")))
		return -1;
	PyObject *lends = PyObject_GetAttr(type, task_get_context);
	PyErr_Clear();
	task_lends_context = lends != NULL;
	Py_XDECREF(lends);
	task_dictionary = dict < 0;
	task_size = size - (Py_ssize_t)sizeof(PyObject);
	if (TASK_COUNTED && task_size > 0 && task_size <= ASGI_TASK_BYTES)
		task_type = type;
	return 0;
}

void asgi_task_factory(PyObject *get)
{
	Py_INCREF(get);
	task_get_factory = get;
}

// task_elsewhere counts the weak references and attributes that the object's bytes do not show.
static Py_ssize_t task_elsewhere(PyObject *task)
{
	Py_ssize_t n = task_weakrefs ? task_number(PyObject_CallFunctionObjArgs(task_weakrefs, task, NULL)) : 0;
	if (task_dictionary) {
		PyObject *dict = PyObject_GenericGetDict(task, NULL);
		n += dict ? PyDict_Size(dict) : 1;
		Py_XDECREF(dict);
	}
	return n;
}

int asgi_task_able(PyObject *task, PyObject *driver)
{
	if ((PyObject *)Py_TYPE(task) != task_type)
		return 0;
	PyObject *factory = PyObject_CallFunctionObjArgs(task_get_factory, NULL);
	PyObject *coroutine = factory == Py_None ? PyObject_CallMethodObjArgs(task, task_get_coro, NULL) : NULL;
	PyErr_Clear();
	Py_XDECREF(factory); // any but None expects a task for each request
	Py_XDECREF(coroutine);
	return coroutine == driver; // else the application's own create_task() has wrapped it
}

int asgi_task_begin(asgi_task *t, PyObject *task)
{
	if (!task)
		return 0;
	t->elsewhere = task_elsewhere(task);
	t->variables = NULL;
	t->lent = task_lends_context ? PyObject_CallMethodObjArgs(task, task_get_context, NULL) : NULL;
	t->lent_references = t->lent ? task_references(t->lent) : 0;
	if ((task_lends_context && !t->lent) || !(t->context = PyContext_CopyCurrent()))
		goto unfit;
	t->count = PyObject_Size(t->context);
	if (t->count > TASK_VARIABLES || (t->count > 0 && !(t->variables = PySequence_List(t->context)))) {
		Py_DECREF(t->context);
		goto unfit;
	}
	Py_INCREF(task);
	t->task = task;
	t->references = task_references(task) - 1; // without its driver's
	memcpy(t->bytes, (char *)task + sizeof(PyObject), (size_t)task_size);
	t->until = task_now() + TASK_AT_MOST;
	t->requests = 0;
	return 1;
unfit:
	Py_XDECREF(t->lent);
	PyErr_Clear();
	return 0;
}

// task_context reports whether the context has the same variables as before, beside our own.
static int task_context(const asgi_task *t)
{
	PyObject *now = PyContext_CopyCurrent();
	int same = now && PyObject_Size(now) == t->count + 1;
	Py_XDECREF(now);
	for (Py_ssize_t i = 0; same && i < t->count; i++) {
		PyObject *var = PyList_GetItem(t->variables, i), *was = PyObject_GetItem(t->context, var), *is = NULL;
		same = was && PyContextVar_Get(var, NULL, &is) == 0 && is == was;
		Py_XDECREF(was);
		Py_XDECREF(is);
	}
	return same;
}

int asgi_task_same(const asgi_task *t)
{
	int same = task_references(t->task) == t->references && (!t->lent || task_references(t->lent) == t->lent_references) &&
	           memcmp(t->bytes, (char *)t->task + sizeof(PyObject), (size_t)task_size) == 0 &&
	           (!(task_weakrefs || task_dictionary) || task_elsewhere(t->task) == t->elsewhere) && task_context(t);
	PyErr_Clear();
	return same;
}

int asgi_task_enough(asgi_task *t) { return ++t->requests == TASK_REQUESTS || task_now() >= t->until; }

void asgi_task_end(asgi_task *t)
{
	Py_DECREF(t->context);
	Py_XDECREF(t->variables);
	Py_XDECREF(t->lent);
	Py_DECREF(t->task);
}
