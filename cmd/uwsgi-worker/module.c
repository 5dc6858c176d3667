// The extension module _uwsgi: how the loader's Python starts the data plane and what
// internal/python/uwsgi.py is made of.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "asgi.h"
#include "environ.h"
#include "events.h"
#include "greenlet.h"
#include "websocket.h"
#include "wsgi.h"
#include "_cgo_export.h"

int uw_bridge_init(PyObject *apps, PyObject *report_fn, PyObject *wrapper, int threads, int limit);
void uw_close_inherited(void);
void uw_set_after(PyObject *hook);

static int started;

static int refuse(void)
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

// need gives the exchange that the caller is part of, or sets an error.
static uw_exchange *need(void)
{
	if (refuse() < 0)
		return NULL;
	uw_exchange *x = uw_current();
	if (!x) {
		PyErr_SetString(PyExc_SystemError, "you can call uwsgi api function only from the main callable");
		return NULL;
	}
	return x;
}

// joined gives the texts of a list, a line each, as bytes: a new reference, or NULL with an exception
// set.
static PyObject *joined(PyObject *texts)
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
	PyObject *points = joined(mounts), *interfaces = points ? joined(kinds) : NULL;
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

// steady_handlers: a handler without SA_ONSTACK would run on a goroutine's small stack. CPython sets
// the flag from 3.10 on, event loops of C do not.
static void steady_handlers(void)
{
	for (int s = 1; s < NSIG; s++) {
		struct sigaction sa;
		if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_ONSTACK)) {
			sa.sa_flags |= SA_ONSTACK;
			sigaction(s, &sa, NULL);
		}
	}
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
	c->thread = PyThread_get_thread_ident();
	c->tstate = PyEval_SaveThread();
	int rc = uwGoCore((int)id);
	PyEval_RestoreThread(c->tstate);
	return PyLong_FromLong(rc);
}

static PyObject *m_ready(PyObject *self, PyObject *unused)
{
	if (refuse() < 0)
		return NULL;
	steady_handlers();
	uwGoReady();
	Py_RETURN_NONE;
}

static PyObject *m_forked(PyObject *self, PyObject *arg)
{
	int child = PyObject_IsTrue(arg);
	uw_has_forked = 1;
	if (!child)
		steady_handlers(); // gevent's handler of SIGCHLD is there from the first child on
	if (child && !uw_forked) {
		uw_forked = 1;
		uw_forker = uw_current();
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
	if (!PyArg_ParseTuple(args, "s:drain", &why) || refuse() < 0)
		return NULL;
	uwGoDrain(why);
	Py_RETURN_NONE;
}

static PyObject *m_tell(PyObject *self, PyObject *args)
{
	char *op, *text;
	if (!PyArg_ParseTuple(args, "ss:tell", &op, &text) || refuse() < 0)
		return NULL;
	int rc;
	Py_BEGIN_ALLOW_THREADS
	rc = uwGoTell(op, text);
	Py_END_ALLOW_THREADS
	return PyBool_FromLong(rc == 0);
}

static PyObject *m_workers(PyObject *self, PyObject *unused)
{
	if (refuse() < 0)
		return NULL;
	size_t n = 0;
	char *json = uwGoWorkers(&n);
	PyObject *r = PyUnicode_DecodeUTF8(json, (Py_ssize_t)n, "replace");
	free(json);
	return r;
}

static PyObject *m_doing(PyObject *self, PyObject *unused)
{
	if (refuse() < 0)
		return NULL;
	size_t n = 0;
	char *json = uwGoDoing(&n);
	PyObject *r = PyUnicode_DecodeUTF8(json, (Py_ssize_t)n, "replace");
	free(json);
	return r;
}

static PyObject *m_total_requests(PyObject *self, PyObject *unused)
{
	return refuse() < 0 ? NULL : PyLong_FromLongLong(uwGoTotal());
}

static PyObject *m_request_id(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	return x ? PyLong_FromLongLong(uwGoRequestID(x->id)) : NULL;
}

static PyObject *m_fd(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	return x ? PyLong_FromLong(x->fd) : NULL;
}

static PyObject *m_disconnect(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	if (!x)
		return NULL;
	shutdown(x->fd, SHUT_RDWR);
	Py_RETURN_NONE;
}

static PyObject *m_set_logvar(PyObject *self, PyObject *args)
{
	const char *k, *v;
	Py_ssize_t kl, vl;
	if (!PyArg_ParseTuple(args, "s#s#:set_logvar", &k, &kl, &v, &vl))
		return NULL;
	uw_exchange *x = need();
	if (!x)
		return NULL;
	uwGoSetLogvar(x->id, (char *)k, (int)kl, (char *)v, (int)vl);
	Py_RETURN_NONE;
}

static PyObject *m_get_logvar(PyObject *self, PyObject *args)
{
	const char *k;
	Py_ssize_t kl;
	if (!PyArg_ParseTuple(args, "s#:get_logvar", &k, &kl))
		return NULL;
	uw_exchange *x = need();
	if (!x)
		return NULL;
	size_t n = 0;
	char *v = uwGoGetLogvar(x->id, (char *)k, (int)kl, &n);
	if (!v)
		Py_RETURN_NONE;
	PyObject *r = PyBytes_FromStringAndSize(v, (Py_ssize_t)n);
	free(v);
	return r;
}

static PyObject *m_log_this_request(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	if (!x)
		return NULL;
	uwGoForceLog(x->id);
	Py_RETURN_NONE;
}

static PyObject *m_set_user_harakiri(PyObject *self, PyObject *args)
{
	long secs;
	if (!PyArg_ParseTuple(args, "l:set_user_harakiri", &secs))
		return NULL;
	uw_exchange *x = need();
	if (!x)
		return NULL;
	uwGoUserHarakiri(x->id, secs);
	Py_RETURN_NONE;
}

static PyObject *of_request(void *o)
{
	if (!o) {
		PyErr_SetString(PyExc_SystemError, "you can call uwsgi api function only from the main callable");
		return NULL;
	}
	Py_INCREF((PyObject *)o);
	return o;
}

static PyObject *m_environ(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	return x ? of_request(x->environ) : NULL;
}

static PyObject *m_start_response(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	return x ? of_request(x->start_response) : NULL;
}

static PyObject *m_write(PyObject *self, PyObject *data)
{
	uw_exchange *x = need();
	if (x && x->driver && asgi_is_driver(x->driver)) {
		PyErr_SetString(PyExc_RuntimeError, "an ASGI application answers with send()");
		return NULL;
	}
	if (!x || uw_send_object(x, data, "a block of the body is") < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *m_add_var(PyObject *self, PyObject *args)
{
	const char *k, *v;
	Py_ssize_t kl, vl;
	if (!PyArg_ParseTuple(args, "s#s#:add_var", &k, &kl, &v, &vl))
		return NULL;
	uw_exchange *x = need();
	return x ? PyBool_FromLong(uwGoAddVar(x->id, (char *)k, (int)kl, (char *)v, (int)vl)) : NULL;
}

static PyObject *m_websocket_handshake(PyObject *self, PyObject *args)
{
	const char *key = "", *origin, *protocol = "";
	Py_ssize_t kn = 0, on, pn = 0;
	if (!PyArg_ParseTuple(args, "|s#s#s#:websocket_handshake", &key, &kn, &origin, &on, &protocol, &pn))
		return NULL;
	uw_exchange *x = need();
	return x ? uw_websocket_handshake(x, key, kn, protocol, pn) : NULL;
}

static PyObject *m_websocket_recv(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	return x ? uw_websocket_receive(x, 1) : NULL;
}

static PyObject *m_websocket_recv_nb(PyObject *self, PyObject *unused)
{
	uw_exchange *x = need();
	return x ? uw_websocket_receive(x, 0) : NULL;
}

static PyObject *m_websocket_send(PyObject *self, PyObject *data)
{
	uw_exchange *x = need();
	return x ? uw_websocket_send(x, 1, data) : NULL;
}

static PyObject *m_websocket_send_binary(PyObject *self, PyObject *data)
{
	uw_exchange *x = need();
	return x ? uw_websocket_send(x, 0, data) : NULL;
}

static PyObject *m_offer_sockets(PyObject *self, PyObject *f)
{
	uw_set_offer(f);
	Py_RETURN_NONE;
}

static PyObject *m_take_socket(PyObject *self, PyObject *args)
{
	int exchange;
	unsigned long long serial;
	if (!PyArg_ParseTuple(args, "iK:take_socket", &exchange, &serial) || refuse() < 0)
		return NULL;
	return uw_take_socket(exchange, serial);
}

static PyObject *m_after_request(PyObject *self, PyObject *hook)
{
	if (refuse() < 0)
		return NULL;
	uw_set_after(hook);
	Py_RETURN_NONE;
}

static PyObject *m_accepting(PyObject *self, PyObject *args)
{
	int on = 1;
	if (!PyArg_ParseTuple(args, "|i:accepting", &on) || refuse() < 0)
		return NULL;
	uwGoAccepting(on);
	Py_RETURN_NONE;
}

static PyObject *m_address_space(PyObject *self, PyObject *arg)
{
	long long n = PyLong_AsLongLong(arg);
	if (PyErr_Occurred() || refuse() < 0)
		return NULL;
	uwGoAddressSpace(n);
	Py_RETURN_NONE;
}

static PyObject *m_watch_signals(PyObject *self, PyObject *arg)
{
	long fd = PyLong_AsLong(arg);
	if (PyErr_Occurred() || refuse() < 0)
		return NULL;
	uwGoWatchSignals((int)fd);
	Py_RETURN_NONE;
}

static PyObject *m_descriptors(PyObject *self, PyObject *unused)
{
	int fds[256];
	if (refuse() < 0)
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
	{"workers", m_workers, METH_NOARGS, "workers() -> str: the scoreboard as JSON"},
	{"doing", m_doing, METH_NOARGS, "doing() -> str: the requests in hand as JSON, [\"IP METHOD URI\", epoch] each"},
	{"total_requests", m_total_requests, METH_NOARGS, "total_requests() -> int: of the whole instance"},
	{"request_id", m_request_id, METH_NOARGS, "request_id() -> int: requests finished on this core"},
	{"connection_fd", m_fd, METH_NOARGS, "connection_fd() -> int: the client's descriptor"},
	{"disconnect", m_disconnect, METH_NOARGS, "disconnect(): end the client's connection, the application goes on"},
	{"set_logvar", m_set_logvar, METH_VARARGS, "set_logvar(name, value): a variable for log-format"},
	{"get_logvar", m_get_logvar, METH_VARARGS, "get_logvar(name) -> bytes or None"},
	{"environ", m_environ, METH_NOARGS, "environ() -> dict: of the request in hand"},
	{"start_response", m_start_response, METH_NOARGS, "start_response() -> callable: of the request in hand"},
	{"write", m_write, METH_O, "write(data): a block of the body of the request in hand"},
	{"add_var", m_add_var, METH_VARARGS, "add_var(name, value) -> bool: a variable of the request in hand"},
	{"websocket_handshake", m_websocket_handshake, METH_VARARGS, "websocket_handshake(key='', origin='', protocol=''): answer 101"},
	{"websocket_recv", m_websocket_recv, METH_NOARGS, "websocket_recv() -> bytes: the next message, waited for"},
	{"websocket_recv_nb", m_websocket_recv_nb, METH_NOARGS, "websocket_recv_nb() -> bytes: the next message, b'' if there is none"},
	{"websocket_send", m_websocket_send, METH_O, "websocket_send(data): a text message"},
	{"websocket_send_binary", m_websocket_send_binary, METH_O, "websocket_send_binary(data): a binary message"},
	{"offer_sockets", m_offer_sockets, METH_O, "offer_sockets(f): call f(environ, exchange, serial) for requests whose connection may be taken"},
	{"take_socket", m_take_socket, METH_VARARGS, "take_socket(exchange, serial) -> int: a descriptor of that request's connection, which is the caller's from here on"},
	{"after_request", m_after_request, METH_O, "after_request(hook): call hook() when a request is over"},
	{"log_this_request", m_log_this_request, METH_NOARGS, "log_this_request(): log it whatever the options say"},
	{"set_user_harakiri", m_set_user_harakiri, METH_VARARGS, "set_user_harakiri(seconds): a deadline for this request, 0 clears it"},
	{"accepting", m_accepting, METH_VARARGS, "accepting(on=1): the worker's accepting flag"},
	{"address_space", m_address_space, METH_O, "address_space(bytes): what loading the data plane reserved, to be left out of memory reports"},
	{"watch_signals", m_watch_signals, METH_O, "watch_signals(fd): run signal handlers when fd, of signal.set_wakeup_fd, has bytes"},
	{"descriptors", m_descriptors, METH_NOARGS, "descriptors() -> list: the server's own, which a child of the application has no use for"},
	{"exit_code", m_exit_code, METH_NOARGS, "exit_code() -> int: what the worker shall exit with"},
	EVENTS_METHODS
	GREENLET_METHODS
	{"given_up", m_given_up, METH_NOARGS, "given_up() -> bool: only requests past their deadline are left, and they are answered"},
	{"set_title", m_set_title, METH_VARARGS, "set_title(text): the process title"},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_uwsgi", "The data plane of a uwsgi worker.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__uwsgi(void)
{ return PyModule_Create(&module); }
