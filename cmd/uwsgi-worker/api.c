// The functions of the uwsgi module that need the data plane. Most are about the request that the
// calling code is part of.
#include <Python.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api.h"
#include "asgi.h"
#include "module.h"
#include "websocket.h"
#include "wsgi.h"
#include "_cgo_export.h"

static void api_nobody(void) { PyErr_SetString(PyExc_SystemError, "you can call uwsgi api function only from the main callable"); }

// api_take gives the exchange that the caller is part of, until uw_give, or sets an error.
static uw_exchange *api_take(void)
{
	if (module_refuse() < 0)
		return NULL;
	uw_exchange *x = uw_take();
	if (!x)
		api_nobody();
	return x;
}

// api_wsgi is api_take for what an ASGI application has other means for. A WSGI application's is
// its thread's, or its greenlet's.
static uw_exchange *api_wsgi(const char *otherwise)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	int asgi = x->driver && asgi_is_driver(x->driver);
	uw_give(x);
	if (!asgi)
		return x;
	PyErr_SetString(PyExc_RuntimeError, otherwise);
	return NULL;
}

PyObject *api_workers(PyObject *self, PyObject *unused)
{
	if (module_refuse() < 0)
		return NULL;
	size_t n = 0;
	char *json = uwGoWorkers(&n);
	PyObject *r = PyUnicode_DecodeUTF8(json, (Py_ssize_t)n, "replace");
	free(json);
	return r;
}

PyObject *api_doing(PyObject *self, PyObject *unused)
{
	if (module_refuse() < 0)
		return NULL;
	size_t n = 0;
	char *json = uwGoDoing(&n);
	PyObject *r = PyUnicode_DecodeUTF8(json, (Py_ssize_t)n, "replace");
	free(json);
	return r;
}

PyObject *api_total_requests(PyObject *self, PyObject *unused)
{
	return module_refuse() < 0 ? NULL : PyLong_FromLongLong(uwGoTotal());
}

PyObject *api_request_id(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	long long n = uwGoRequestID(x->id);
	uw_give(x);
	return PyLong_FromLongLong(n);
}

PyObject *api_fd(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	int fd = x->fd;
	uw_give(x);
	return PyLong_FromLong(fd);
}

PyObject *api_disconnect(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	asgi_driver *d = x->driver && asgi_is_driver(x->driver) ? x->driver : NULL;
	if (d && asgi_talks(d)) {
		uw_give(x);
		return asgi_foreign() ? NULL : asgi_goodbye(d);
	}
	if (x->upgrade_state == UW_UPGRADE_OPEN)
		uw_websocket_disconnect(x);
	else
		shutdown(x->fd, SHUT_RDWR);
	uw_give(x);
	Py_RETURN_NONE;
}

PyObject *api_set_logvar(PyObject *self, PyObject *args)
{
	const char *k, *v;
	Py_ssize_t kl, vl;
	if (!PyArg_ParseTuple(args, "s#s#:set_logvar", &k, &kl, &v, &vl))
		return NULL;
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	uwGoSetLogvar(x->id, (char *)k, (int)kl, (char *)v, (int)vl);
	uw_give(x);
	Py_RETURN_NONE;
}

PyObject *api_get_logvar(PyObject *self, PyObject *args)
{
	const char *k;
	Py_ssize_t kl;
	if (!PyArg_ParseTuple(args, "s#:get_logvar", &k, &kl))
		return NULL;
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	size_t n = 0;
	char *v = uwGoGetLogvar(x->id, (char *)k, (int)kl, &n);
	uw_give(x);
	if (!v)
		Py_RETURN_NONE;
	PyObject *r = PyBytes_FromStringAndSize(v, (Py_ssize_t)n);
	free(v);
	return r;
}

PyObject *api_log_this_request(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	uwGoForceLog(x->id);
	uw_give(x);
	Py_RETURN_NONE;
}

PyObject *api_set_user_harakiri(PyObject *self, PyObject *args)
{
	long secs;
	if (!PyArg_ParseTuple(args, "l:set_user_harakiri", &secs))
		return NULL;
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	uwGoUserHarakiri(x->id, secs);
	uw_give(x);
	Py_RETURN_NONE;
}

// api_of_request gives an object that belongs to a WSGI request.
static PyObject *api_of_request(void *o)
{
	if (o)
		Py_INCREF((PyObject *)o);
	else
		api_nobody();
	return o;
}

PyObject *api_environ(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	void *o = x->environ;
	uw_give(x);
	return api_of_request(o);
}

PyObject *api_start_response(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	void *o = x->start_response;
	uw_give(x);
	return api_of_request(o);
}

PyObject *api_write(PyObject *self, PyObject *data)
{
	uw_exchange *x = api_wsgi("an ASGI application answers with send()");
	if (!x || uw_send_object(x, data, "a block of the body is") < 0)
		return NULL;
	Py_RETURN_NONE;
}

PyObject *api_add_var(PyObject *self, PyObject *args)
{
	const char *k, *v;
	Py_ssize_t kl, vl;
	if (!PyArg_ParseTuple(args, "s#s#:add_var", &k, &kl, &v, &vl))
		return NULL;
	uw_exchange *x = api_take();
	if (!x)
		return NULL;
	int added = uwGoAddVar(x->id, (char *)k, (int)kl, (char *)v, (int)vl);
	uw_give(x);
	return PyBool_FromLong(added);
}

static uw_exchange *api_websocket(void) { return api_wsgi("an ASGI application has receive() and send() for its websockets"); }

PyObject *api_websocket_handshake(PyObject *self, PyObject *args)
{
	const char *key = "", *origin, *protocol = "";
	Py_ssize_t kn = 0, on, pn = 0;
	if (!PyArg_ParseTuple(args, "|s#s#s#:websocket_handshake", &key, &kn, &origin, &on, &protocol, &pn))
		return NULL;
	uw_exchange *x = api_websocket();
	return x ? uw_websocket_handshake(x, key, kn, protocol, pn) : NULL;
}

PyObject *api_websocket_recv(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_websocket();
	return x ? uw_websocket_receive(x, 1) : NULL;
}

PyObject *api_websocket_recv_nb(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_websocket();
	return x ? uw_websocket_receive(x, 0) : NULL;
}

PyObject *api_websocket_send(PyObject *self, PyObject *data)
{
	uw_exchange *x = api_websocket();
	return x ? uw_websocket_send(x, 1, data) : NULL;
}

PyObject *api_websocket_send_binary(PyObject *self, PyObject *data)
{
	uw_exchange *x = api_websocket();
	return x ? uw_websocket_send(x, 0, data) : NULL;
}

PyObject *api_offer_sockets(PyObject *self, PyObject *f)
{
	uw_set_offer(f);
	Py_RETURN_NONE;
}

PyObject *api_take_socket(PyObject *self, PyObject *args)
{
	int exchange;
	unsigned long long serial;
	if (!PyArg_ParseTuple(args, "iK:take_socket", &exchange, &serial) || module_refuse() < 0)
		return NULL;
	return uw_take_socket(exchange, serial);
}

PyObject *api_after_request(PyObject *self, PyObject *hook)
{
	if (module_refuse() < 0)
		return NULL;
	uw_set_after(hook);
	Py_RETURN_NONE;
}

PyObject *api_accepting(PyObject *self, PyObject *args)
{
	int on = 1;
	if (!PyArg_ParseTuple(args, "|i:accepting", &on) || module_refuse() < 0)
		return NULL;
	uwGoAccepting(on);
	Py_RETURN_NONE;
}
