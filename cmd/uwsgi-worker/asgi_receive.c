// receive(): what the client sends, as messages.
#include "asgi.h"

// Messages that are copied, and filled where they differ.
static PyObject *receive_request, *receive_disconnect, *receive_connect, *receive_end;
static PyObject *receive_type, *receive_empty;

int asgi_receive_init(void)
{
	receive_empty = PyBytes_FromStringAndSize("", 0);
	receive_type = PyUnicode_InternFromString("websocket.receive");
	if (!receive_empty || !receive_type)
		return -1;
	receive_request = Py_BuildValue("{sssOsO}", "type", "http.request", "body", receive_empty, "more_body", Py_False);
	receive_disconnect = Py_BuildValue("{ss}", "type", "http.disconnect");
	receive_connect = Py_BuildValue("{ss}", "type", "websocket.connect");
	receive_end = Py_BuildValue("{sssisO}", "type", "websocket.disconnect", "code", 1006, "reason", Py_None);
	return receive_request && receive_disconnect && receive_connect && receive_end ? 0 : -1;
}

// receive_ask asks Go for what comes next. 1: it was there at once.
static int receive_ask(asgi_driver *d)
{
	uw_event ev;
	if (UW_HELD(uwGoRead(d->x->id, &ev)) == UW_NONE) {
		d->asked = 1;
		return 0;
	}
	asgi_store(d, &ev);
	return 1;
}

static PyObject *receive_body(asgi_driver *d)
{
	PyObject *message = PyDict_Copy(receive_request);
	if (message && ((d->data != receive_empty && PyDict_SetItem(message, asgi_str.body, d->data) < 0) ||
	                (d->more && PyDict_SetItem(message, asgi_str.more_body, Py_True) < 0)))
		Py_CLEAR(message);
	if (message)
		Py_CLEAR(d->data);
	return message;
}

static int receive_http(asgi_driver *d, PyObject **message)
{
	int over = !d->x || d->state == ASGI_ENDED;
	if (!over && !d->data && d->more && !d->asked && !d->gone && !d->leaving)
		receive_ask(d);
	if (d->data && !over)
		*message = receive_body(d);
	else if (over || d->gone || d->leaving)
		*message = PyDict_Copy(receive_disconnect);
	else
		return 0;
	return *message ? 1 : -1;
}

static PyObject *receive_message(asgi_driver *d)
{
	PyObject *message = PyDict_New();
	if (message && (PyDict_SetItem(message, asgi_str.type, receive_type) < 0 || PyDict_SetItem(message, d->text ? asgi_str.text : asgi_str.bytes, d->data) < 0))
		Py_CLEAR(message);
	if (message)
		Py_CLEAR(d->data);
	return message;
}

static PyObject *receive_close(asgi_driver *d)
{
	PyObject *message = PyDict_Copy(receive_end), *code = d->code ? PyLong_FromLong(d->code) : NULL;
	if (message && ((code && PyDict_SetItem(message, asgi_str.code, code) < 0) || (d->reason && PyDict_SetItem(message, asgi_str.reason, d->reason) < 0)))
		Py_CLEAR(message);
	Py_XDECREF(code);
	return PyErr_Occurred() ? NULL : message;
}

static int receive_websocket(asgi_driver *d, PyObject **message)
{
	if (!d->connected) {
		d->connected = 1;
		*message = PyDict_Copy(receive_connect);
		return *message ? 1 : -1;
	}
	if (!d->data && d->state == ASGI_OPEN && d->x && !d->code && !d->gone && !d->asked)
		receive_ask(d);
	if (d->data)
		*message = receive_message(d);
	else if (d->code || d->gone || d->state == ASGI_ENDED || !d->x)
		*message = receive_close(d);
	else
		return 0;
	return *message ? 1 : -1;
}

int asgi_take(asgi_driver *d, PyObject **message) { return d->websocket ? receive_websocket(d, message) : receive_http(d, message); }

static PyObject *receive_bytes(const uw_event *ev)
{
	if (ev->len > 0)
		return PyBytes_FromStringAndSize(uw_at(ev->data), (Py_ssize_t)ev->len);
	Py_INCREF(receive_empty);
	return receive_empty;
}

// receive_closed notes the end of a websocket. Nothing that is sent from now on reaches the peer.
static void receive_closed(asgi_driver *d, const uw_event *ev)
{
	d->gone = 1;
	if (d->code) // the application, or the server, was first
		return;
	d->code = ev->code;
	d->reason = ev->len > 0 ? PyUnicode_DecodeUTF8(uw_at(ev->data), (Py_ssize_t)ev->len, "replace") : NULL;
	PyErr_Clear(); // if there is no memory, there is no reason
}

void asgi_store(asgi_driver *d, const uw_event *ev)
{
	PyObject *data, *old = d->data;
	if (ev->kind == UW_GONE) {
		d->gone = 1;
		return;
	}
	d->asked = 0;
	if (ev->kind == UW_BODY || ev->kind == UW_REQUEST) {
		d->more = ev->more != 0;
		data = receive_bytes(ev);
	} else if (ev->opcode == UW_CLOSE) {
		receive_closed(d, ev);
		return;
	} else if (d->state != ASGI_OPEN) {
		return; // the application has closed it
	} else {
		d->text = ev->opcode == UW_TEXT;
		data = d->text ? PyUnicode_DecodeUTF8(uw_at(ev->data), (Py_ssize_t)ev->len, NULL) : receive_bytes(ev);
	}
	if (!data) { // no memory: there is no other way to tell that something was lost
		uw_report();
		d->gone = 1;
		return;
	}
	d->data = data;
	Py_XDECREF(old);
}

static PyObject *receive_call(PyObject *self, PyObject *unused) { return asgi_wait_new((asgi_driver *)self, 0, NULL); }

PyMethodDef asgi_receive_def = {"receive", receive_call, METH_NOARGS, "await receive() -> dict: the next message (ASGI 3.0)"};
