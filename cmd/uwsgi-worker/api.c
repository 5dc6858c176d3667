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

// api_exchange gives the exchange that the caller is part of, or sets an error.
static uw_exchange *api_exchange(void)
{
	if (module_refuse() < 0)
		return NULL;
	uw_exchange *x = uw_current();
	if (!x) {
		PyErr_SetString(PyExc_SystemError, "you can call uwsgi api function only from the main callable");
		return NULL;
	}
	return x;
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
	uw_exchange *x = api_exchange();
	return x ? PyLong_FromLongLong(uwGoRequestID(x->id)) : NULL;
}

PyObject *api_fd(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	return x ? PyLong_FromLong(x->fd) : NULL;
}

PyObject *api_disconnect(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	if (!x)
		return NULL;
	int closed = x->driver && asgi_is_driver(x->driver) ? asgi_goodbye(x->driver) : 0;
	if (closed < 0)
		return NULL;
	if (x->upgrade_state == UW_UPGRADE_OPEN)
		uw_websocket_disconnect(x);
	else if (!closed)
		shutdown(x->fd, SHUT_RDWR);
	Py_RETURN_NONE;
}

PyObject *api_set_logvar(PyObject *self, PyObject *args)
{
	const char *k, *v;
	Py_ssize_t kl, vl;
	if (!PyArg_ParseTuple(args, "s#s#:set_logvar", &k, &kl, &v, &vl))
		return NULL;
	uw_exchange *x = api_exchange();
	if (!x)
		return NULL;
	uwGoSetLogvar(x->id, (char *)k, (int)kl, (char *)v, (int)vl);
	Py_RETURN_NONE;
}

PyObject *api_get_logvar(PyObject *self, PyObject *args)
{
	const char *k;
	Py_ssize_t kl;
	if (!PyArg_ParseTuple(args, "s#:get_logvar", &k, &kl))
		return NULL;
	uw_exchange *x = api_exchange();
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

PyObject *api_log_this_request(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	if (!x)
		return NULL;
	uwGoForceLog(x->id);
	Py_RETURN_NONE;
}

PyObject *api_set_user_harakiri(PyObject *self, PyObject *args)
{
	long secs;
	if (!PyArg_ParseTuple(args, "l:set_user_harakiri", &secs))
		return NULL;
	uw_exchange *x = api_exchange();
	if (!x)
		return NULL;
	uwGoUserHarakiri(x->id, secs);
	Py_RETURN_NONE;
}

static PyObject *api_of_request(void *o)
{
	if (!o) {
		PyErr_SetString(PyExc_SystemError, "you can call uwsgi api function only from the main callable");
		return NULL;
	}
	Py_INCREF((PyObject *)o);
	return o;
}

PyObject *api_environ(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	return x ? api_of_request(x->environ) : NULL;
}

PyObject *api_start_response(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	return x ? api_of_request(x->start_response) : NULL;
}

PyObject *api_write(PyObject *self, PyObject *data)
{
	uw_exchange *x = api_exchange();
	if (x && x->driver && asgi_is_driver(x->driver)) {
		PyErr_SetString(PyExc_RuntimeError, "an ASGI application answers with send()");
		return NULL;
	}
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
	uw_exchange *x = api_exchange();
	return x ? PyBool_FromLong(uwGoAddVar(x->id, (char *)k, (int)kl, (char *)v, (int)vl)) : NULL;
}

PyObject *api_websocket_handshake(PyObject *self, PyObject *args)
{
	const char *key = "", *origin, *protocol = "";
	Py_ssize_t kn = 0, on, pn = 0;
	if (!PyArg_ParseTuple(args, "|s#s#s#:websocket_handshake", &key, &kn, &origin, &on, &protocol, &pn))
		return NULL;
	uw_exchange *x = api_exchange();
	return x ? uw_websocket_handshake(x, key, kn, protocol, pn) : NULL;
}

PyObject *api_websocket_recv(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	return x ? uw_websocket_receive(x, 1) : NULL;
}

PyObject *api_websocket_recv_nb(PyObject *self, PyObject *unused)
{
	uw_exchange *x = api_exchange();
	return x ? uw_websocket_receive(x, 0) : NULL;
}

PyObject *api_websocket_send(PyObject *self, PyObject *data)
{
	uw_exchange *x = api_exchange();
	return x ? uw_websocket_send(x, 1, data) : NULL;
}

PyObject *api_websocket_send_binary(PyObject *self, PyObject *data)
{
	uw_exchange *x = api_exchange();
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
