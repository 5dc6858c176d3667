// WebSockets of WSGI applications: uwsgi.websocket_…, and the connection itself for those that do
// their own framing.
#include <Python.h>

#include "greenlet.h"
#include "websocket.h"
#include "wsgi.h"
#include "_cgo_export.h"

// websocket_over raises OSError, which from here on counts as the end of the websocket.
static PyObject *websocket_over(uw_exchange *x, const char *what)
{
	x->upgrade_state = UW_UPGRADE_OVER;
	PyErr_SetString(PyExc_OSError, what);
	return NULL;
}

// websocket_unlock lets go of the GIL, but not on a loop, whose calls are made with it: see
// evented.h.
static PyThreadState *websocket_unlock(const uw_exchange *x) { return x->driver ? NULL : PyEval_SaveThread(); }

static void websocket_lock(PyThreadState *t)
{
	if (t)
		PyEval_RestoreThread(t);
}

PyObject *uw_websocket_handshake(uw_exchange *x, const char *key, Py_ssize_t key_len, const char *protocol, Py_ssize_t protocol_len)
{
	if (x->upgrade_state != UW_UPGRADE_NONE) {
		PyErr_SetString(PyExc_RuntimeError, "the handshake was made before");
		return NULL;
	}
	for (Py_ssize_t i = 0; i < key_len + protocol_len; i++) { // they go into the head
		unsigned char ch = (unsigned char)(i < key_len ? key[i] : protocol[i - key_len]);
		if (ch <= 32 || ch >= 127) {
			PyErr_SetString(PyExc_ValueError, "a key or a subprotocol of a WebSocket holds no such byte");
			return NULL;
		}
	}
	int ok;
	PyThreadState *t = websocket_unlock(x);
	ok = uwGoWSHandshake(x->id, (char *)key, (size_t)key_len, (char *)protocol, (size_t)protocol_len);
	websocket_lock(t);
	if (!ok) {
		x->upgrade_state = x->head_sent ? UW_UPGRADE_OVER : UW_UPGRADE_REFUSED;
		PyErr_SetString(PyExc_OSError, "unable to complete websocket handshake");
		return NULL;
	}
	x->upgrade_state = UW_UPGRADE_OPEN;
	x->has_head = 1;
	Py_RETURN_NONE;
}

PyObject *uw_websocket_receive(uw_exchange *x, int wait)
{
	uw_message m;
	if (x->driver) {
		PyObject *message = greenlet_receive(x, wait);
		return message || PyErr_Occurred() ? message : websocket_over(x, "unable to receive websocket message");
	}
	for (;;) {
		int rc;
		Py_BEGIN_ALLOW_THREADS
		rc = uwGoWSReceive(x->id, wait, &m);
		Py_END_ALLOW_THREADS
		switch (rc) {
		case UW_MESSAGE_TAKEN:
			return PyBytes_FromStringAndSize(m.data, (Py_ssize_t)m.len);
		case UW_MESSAGE_NONE:
			return PyBytes_FromStringAndSize(NULL, 0);
		case UW_INTERRUPTED:
			if (PyErr_CheckSignals() < 0)
				return NULL;
			break;
		default:
			return websocket_over(x, "unable to receive websocket message");
		}
	}
}

PyObject *uw_websocket_send(uw_exchange *x, int text, PyObject *data)
{
	const char *p;
	char *bytes;
	Py_ssize_t n;
	PyObject *tmp = NULL;
	if (PyUnicode_Check(data)) {
		p = PyUnicode_AsUTF8AndSize(data, &n);
		if (!p)
			return NULL;
	} else {
		if (!PyBytes_Check(data)) {
			PyObject *view = PyMemoryView_FromObject(data);
			tmp = view ? PyBytes_FromObject(view) : NULL;
			Py_XDECREF(view);
			if (!tmp)
				return NULL;
			data = tmp;
		}
		if (PyBytes_AsStringAndSize(data, &bytes, &n) < 0)
			return NULL;
		p = bytes;
	}
	int rc;
	// As for blocks of a body: what the socket takes at once needs no other thread to run.
	if (n < UW_COPY_LIMIT || x->driver) {
		rc = uwGoWSSend(x->id, text, (char *)p, (size_t)n);
	} else {
		Py_BEGIN_ALLOW_THREADS
		rc = uwGoWSSend(x->id, text, (char *)p, (size_t)n);
		Py_END_ALLOW_THREADS
	}
	if (rc == UW_AGAIN && x->driver) {
		rc = UW_MESSAGE_TAKEN;
		if (greenlet_catch_up(x) < 0) {
			Py_XDECREF(tmp);
			return NULL;
		}
	} else if (rc == UW_AGAIN) {
		Py_BEGIN_ALLOW_THREADS
		rc = uwGoWSFlush(x->id);
		Py_END_ALLOW_THREADS
	}
	Py_XDECREF(tmp);
	if (rc == UW_MESSAGE_TAKEN)
		Py_RETURN_NONE;
	if (rc == UW_NOT_TEXT) {
		PyErr_SetString(PyExc_ValueError, "a text message is UTF-8: use websocket_send_binary");
		return NULL;
	}
	return websocket_over(x, text ? "unable to send websocket message" : "unable to send websocket binary message");
}

void uw_websocket_disconnect(uw_exchange *x)
{
	uwGoWSDisconnect(x->id);
	if (x->driver)
		greenlet_closed(x);
}

static PyObject *offer; // f(environ, exchange, serial), NULL: there is none

void uw_set_offer(PyObject *f)
{
	Py_INCREF(f);
	offer = f;
}

int uw_offer_socket(uw_exchange *x, PyObject *environ)
{
	if (!offer)
		return 0;
	PyObject *r = PyObject_CallFunction(offer, "OiK", environ, x->id, (unsigned long long)x->serial);
	Py_XDECREF(r);
	return r ? 0 : -1;
}

PyObject *uw_take_socket(int exchange, unsigned long long serial)
{
	uw_exchange *x = uw_exchange_get(exchange);
	int fd = -1;
	int mine = x && x->core->thread == PyThread_get_thread_ident();
#ifdef Py_GIL_DISABLED
	int ours = mine; // another thread's request may end meanwhile
#else
	int ours = x && (x->driver ? mine : x->core->current == x);
#endif
	if (ours && x->serial == serial && x->upgrade_state == UW_UPGRADE_NONE)
		fd = uwGoWSTake(exchange);
	if (fd < 0) {
		PyErr_SetString(PyExc_OSError, "the connection is not to be had: the response has begun, or the request is over");
		return NULL;
	}
	x->upgrade_state = UW_UPGRADE_TAKEN;
	x->has_head = 1;
	return PyLong_FromLong(fd);
}
