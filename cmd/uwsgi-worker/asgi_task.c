// The task of a request, which serves the next one too where nobody can tell.
//
// A task of asyncio's costs a fifth of a small request. While requests end in the first step of
// their tasks, one task serves in that step all that have come with it. Before the next one it is
// looked at whether the task is as it was before it served: no reference to it is left, no weak
// one, no callback, attribute, cancellation or other name, and its context has the variables that
// it had and nobody else who has got it (get_context(), 3.12): a child in it would be in the next
// one's. All of that is the object's own bytes, wherever a version of Python has it, but for what
// it keeps elsewhere of a dictionary, of weak references (3.13) and of its context.
#include <string.h>
#include <time.h>

#include "asgi.h"

// Exported by every CPython 3.7.1+, not in the limited API.
extern PyObject *PyContext_CopyCurrent(void);
extern int PyContextVar_Get(PyObject *var, PyObject *fallback, PyObject **value);
extern PyObject *PyObject_GenericGetDict(PyObject *o, void *unused);
extern PyObject *PySequence_List(PyObject *o);
extern Py_ssize_t PyObject_Size(PyObject *o);

// So many requests, and begun within so long (ns), are a task's: the loop's other callbacks get
// their turn, and a slow callback that asyncio reports is of few requests.
enum { TASK_REQUESTS = 64, TASK_AT_MOST = 10000000 };
// Of more variables than that a context is not compared.
enum { TASK_VARIABLES = 8 };

static PyObject *task_type; // asyncio.Task where it is C's; NULL: it is not
static Py_ssize_t task_size;
static PyObject *task_weakrefs;  // weakref.getweakrefcount, where the object does not show it; NULL: it does
static int task_dictionary;      // its dictionary is elsewhere
static PyObject *task_get_factory;
static PyObject *task_get_context, *task_get_coro; // names of its methods
static int task_lends_context;                     // it has the first of them (3.12)

#ifdef Py_GIL_DISABLED
enum { TASK_COUNTED = 0 }; // other threads count apart
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

// task_number takes the reference to a number. -1: it is none.
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
	PyErr_Clear(); // an interpreter without it has a class of Python's
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

// task_elsewhere counts what the object does not show.
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
	Py_XDECREF(factory); // another than None wants to see a task for each
	Py_XDECREF(coroutine);
	return coroutine == driver; // else a create_task() of the application's has wrapped it
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

// task_context reports whether the context has no other variables than it had, but for ours.
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
