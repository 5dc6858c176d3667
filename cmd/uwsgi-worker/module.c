// The extension module _uwsgi, and the life of the data plane in a worker: start, run, forked,
// drain.
#include <Python.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "api.h"
#include "environ.h"
#include "events.h"
#include "greenlet.h"
#include "module.h"
#include "own.h"
#include "wsgi.h"
#include "_cgo_export.h"

static int started;

int module_refuse(void)
{
	if (!started) {
		PyErr_SetString(PyExc_RuntimeError, "the worker is not running yet");
		return -1;
	}
	if (uw_forked) {
		PyErr_SetString(PyExc_RuntimeError, "this process was forked by the application: it is no worker");
		return -1;
	}
	return 0;
}

// module_joined gives the texts of a list, a line each, as bytes: a new reference, or NULL with an
// exception set.
static PyObject *module_joined(PyObject *texts)
{
	PyObject *newline = PyUnicode_FromString("\n");
	PyObject *text = newline ? PyUnicode_Join(newline, texts) : NULL;
	PyObject *bytes = text ? PyUnicode_AsUTF8String(text) : NULL;
	Py_XDECREF(newline);
	Py_XDECREF(text);
	return bytes;
}

static PyObject *m_start(PyObject *self, PyObject *args)
{
	int boot_fd, control_fd, slot, row, threads, evented;
	PyObject *apps, *mounts, *report, *wrapper, *base, *bytes_io, *open_fd, *kinds;
	if (!PyArg_ParseTuple(args, "iiiiiOOOOOOOiO:start", &boot_fd, &control_fd, &slot, &row, &threads, &apps, &mounts, &report, &wrapper, &base, &bytes_io, &open_fd,
			      &evented, &kinds))
		return NULL;
	int limit = evented > threads ? evented : threads;
	if (uw_bridge_init(apps, report, wrapper, threads, limit) < 0 || uw_environ_init(base, bytes_io, open_fd, limit) < 0)
		return NULL;
	PyObject *points = module_joined(mounts), *interfaces = points ? module_joined(kinds) : NULL;
	if (!interfaces) {
		Py_XDECREF(points);
		return NULL;
	}
	char *err = NULL, *m = PyBytes_AsString(points), *i = PyBytes_AsString(interfaces);
	int napps = (int)PyList_Size(apps);
	if ((errno = uw_begin()) != 0) {
		PyErr_SetFromErrno(PyExc_OSError);
	} else {
		Py_BEGIN_ALLOW_THREADS
		err = uwGoStart(boot_fd, control_fd, slot, row, m, napps, evented, i);
		Py_END_ALLOW_THREADS
	}
	Py_DECREF(points);
	Py_DECREF(interfaces);
	if (err) {
		PyErr_SetString(PyExc_RuntimeError, err);
		free(err);
	}
	if (PyErr_Occurred())
		return NULL;
	// Go answers a SIGPIPE of its own; a write to a client that left is an error code to us, never
	// a signal.
	signal(SIGPIPE, SIG_IGN);
	uw_take_abort(control_fd);
	started = 1;
	Py_RETURN_NONE;
}

// module_steady_handlers: a handler without SA_ONSTACK would run on a goroutine's small stack.
// CPython sets the flag from 3.10 on, event loops of C do not.
static void module_steady_handlers(void)
{
	int saved = errno; // os.fork of Python before 3.12 looks at it after what runs when it has failed
	for (int s = 1; s < NSIG; s++) {
		struct sigaction sa;
		if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_ONSTACK)) {
			sa.sa_flags |= SA_ONSTACK;
			sigaction(s, &sa, NULL);
		}
	}
	errno = saved;
}

static PyObject *m_run(PyObject *self, PyObject *arg)
{
	long id = PyLong_AsLong(arg);
	uw_core *c = uw_core_get((int)id);
	if (!c) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_ValueError, "no such core");
		return NULL;
	}
	if (uw_own_begin() < 0)
		return NULL;
	__atomic_store_n(&c->thread, PyThread_get_thread_ident(), __ATOMIC_RELAXED);
	c->tstate = PyEval_SaveThread();
	int rc = uwGoCore((int)id);
	PyEval_RestoreThread(c->tstate);
	return PyLong_FromLong(rc);
}

static PyObject *m_ready(PyObject *self, PyObject *unused)
{
	if (module_refuse() < 0)
		return NULL;
	module_steady_handlers();
	uwGoReady();
	Py_RETURN_NONE;
}

static PyObject *m_forked(PyObject *self, PyObject *arg)
{
	int child = PyObject_IsTrue(arg);
	uw_has_forked = 1;
	if (!child)
		module_steady_handlers(); // gevent's handler of SIGCHLD is there from the first child on
	if (child && !uw_forked) {
		uw_forked = 1;
		if ((uw_forker = uw_take()))
			uw_give(uw_forker);
		if (started) {
			uw_close_inherited();
			Py_RETURN_TRUE;
		}
	}
	Py_RETURN_FALSE;
}

static PyObject *m_drain(PyObject *self, PyObject *args)
{
	char *why;
	if (!PyArg_ParseTuple(args, "s:drain", &why) || module_refuse() < 0)
		return NULL;
	uwGoDrain(why);
	Py_RETURN_NONE;
}

static PyObject *m_tell(PyObject *self, PyObject *args)
{
	char *op, *text;
	if (!PyArg_ParseTuple(args, "ss:tell", &op, &text) || module_refuse() < 0)
		return NULL;
	int rc;
	Py_BEGIN_ALLOW_THREADS
	rc = uwGoTell(op, text);
	Py_END_ALLOW_THREADS
	return PyBool_FromLong(rc == 0);
}

static PyObject *m_address_space(PyObject *self, PyObject *arg)
{
	long long n = PyLong_AsLongLong(arg);
	if (PyErr_Occurred() || module_refuse() < 0)
		return NULL;
	uwGoAddressSpace(n);
	Py_RETURN_NONE;
}

static PyObject *m_watch_signals(PyObject *self, PyObject *arg)
{
	long fd = PyLong_AsLong(arg);
	if (PyErr_Occurred() || module_refuse() < 0)
		return NULL;
	uwGoWatchSignals((int)fd);
	Py_RETURN_NONE;
}

static PyObject *m_next_signal(PyObject *self, PyObject *unused)
{
	int number;
	if (module_refuse() < 0)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	number = uwGoNextSignal();
	Py_END_ALLOW_THREADS
	if (number < 0)
		Py_RETURN_NONE;
	return PyLong_FromLong(number);
}

static PyObject *m_descriptors(PyObject *self, PyObject *unused)
{
	int fds[256];
	if (module_refuse() < 0)
		return NULL;
	int n = uwGoDescriptors(fds, 256);
	PyObject *list = PyList_New(0);
	for (int i = 0; list && i < n; i++) {
		PyObject *fd = PyLong_FromLong(fds[i]);
		if (!fd || PyList_Append(list, fd) < 0)
			Py_CLEAR(list);
		Py_XDECREF(fd);
	}
	return list;
}

static PyObject *m_exit_code(PyObject *self, PyObject *unused)
{
	return PyLong_FromLong(uwGoExitCode());
}

static PyObject *m_given_up(PyObject *self, PyObject *unused)
{
	return PyBool_FromLong(uwGoGivenUp());
}

// set_title(text): overwrite the argument area that ps(1) shows.
static PyObject *m_set_title(PyObject *self, PyObject *args)
{
	const char *s;
	Py_ssize_t n;
	if (!PyArg_ParseTuple(args, "s#:set_title", &s, &n))
		return NULL;
	uw_set_title(s, (size_t)n);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{"start", m_start, METH_VARARGS, "start(boot_fd, control_fd, slot, row, threads, apps, mounts, report, file_wrapper, base_environ, BytesIO, open_fd, evented, kinds): bring the data plane up. "
	 "evented: how many exchanges a loop may have in flight, 0 without one; kinds: \"wsgi\", \"asgi\" or \"greenlet\" (WSGI on the loop) for each of apps"},
	{"run", m_run, METH_O, "run(core) -> int: serve on the calling thread until the worker drains; the exit status"},
	{"ready", m_ready, METH_NOARGS, "ready(): tell the supervisor that this worker serves"},
	{"forked", m_forked, METH_O, "forked(child): note a fork of the application's; in the child the bridge refuses from here on"},
	{"drain", m_drain, METH_VARARGS, "drain(why): take no more requests, finish, leave"},
	{"tell", m_tell, METH_VARARGS, "tell(op, text) -> bool: a message to the supervisor"},
	{"address_space", m_address_space, METH_O, "address_space(bytes): what loading the data plane reserved, to be left out of memory reports"},
	{"watch_signals", m_watch_signals, METH_O, "watch_signals(fd): run signal handlers when fd, of signal.set_wakeup_fd, has bytes"},
	{"next_signal", m_next_signal, METH_NOARGS, "next_signal(): wait for a uWSGI signal that is to be handled here; None: the worker ends"},
	{"on_signal", uw_on_signal, METH_O, "on_signal(f): f(number) runs between two requests when the supervisor sends a uWSGI signal"},
	{"descriptors", m_descriptors, METH_NOARGS, "descriptors() -> list: the server's own, which a child of the application has no use for"},
	{"exit_code", m_exit_code, METH_NOARGS, "exit_code() -> int: what the worker shall exit with"},
	API_METHODS
	EVENTS_METHODS
	GREENLET_METHODS
	{"given_up", m_given_up, METH_NOARGS, "given_up() -> bool: only requests past their deadline are left, and they are answered"},
	{"set_title", m_set_title, METH_VARARGS, "set_title(text): the process title"},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_uwsgi", "The data plane of a uwsgi worker.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__uwsgi(void) { return uw_free_threaded(PyModule_Create(&module)); }
