// send() of websockets.
#include <string.h>

#include "asgi.h"
#include "head.h"

// What a close frame has room for besides its code (RFC 6455 §5.5).
enum { WS_REASON = 123 };

static int ws_result(asgi_driver *d, int rc)
{
	if (rc == UW_LOST) {
		d->gone = 1;
		asgi_lost(d);
		return -1;
	}
	if (rc == UW_BEHIND)
		d->behind = 1;
	return 0;
}

// ws_field leaves out what makes the handshake: the server writes that.
static int ws_field(void *to, const char *name, Py_ssize_t nl, const char *value, Py_ssize_t vl)
{
	if (UW_IS(name, nl, "connection") || UW_IS(name, nl, "upgrade") || UW_IS(name, nl, "sec-websocket-accept") || UW_IS(name, nl, "content-length") ||
	    UW_IS(name, nl, "transfer-encoding"))
		return 0;
	return uw_head_field(to, name, nl, value, vl);
}

static int ws_accept(asgi_driver *d, PyObject *message)
{
	uw_exchange *x = d->x;
	PyObject *subprotocol = asgi_get(message, asgi_str.subprotocol);
	int rc = PyErr_Occurred() ? -1 : 0;
	uw_head_reset(x);
	if (rc == 0)
		rc = uw_head_status(x, 101);
	if (rc == 0 && subprotocol) {
		Py_ssize_t n;
		const char *s = PyUnicode_Check(subprotocol) ? PyUnicode_AsUTF8AndSize(subprotocol, &n) : NULL;
		if (s && uw_token(s, n)) {
			rc = uw_head_field(x, "Sec-WebSocket-Protocol", 22, s, n);
		} else {
			PyErr_Clear();
			PyErr_Format(PyUnicode_Check(subprotocol) ? PyExc_ValueError : PyExc_TypeError, "'subprotocol' of 'websocket.accept' must name one, not %R", subprotocol);
			rc = -1;
		}
	}
	Py_XDECREF(subprotocol);
	if (rc < 0 || asgi_fields(message, asgi_str.headers, ws_field, x) < 0) {
		uw_head_reset(x);
		return -1;
	}
	uw_head_done(x);
	if (ws_result(d, UW_HELD(uwGoAccept(x->id))) < 0)
		return -1;
	d->state = ASGI_OPEN;
	asgi_wake(&d->receiving);
	return 0;
}

static int ws_send(asgi_driver *d, PyObject *message)
{
	asgi_span s;
	if (asgi_bytes(message, asgi_str.bytes, &s) < 0)
		return -1;
	if (s.owner) {
		int rc = ws_result(d, UW_HELD(uwGoMessage(d->x->id, UW_BINARY, s.p, (size_t)s.n)));
		Py_DECREF(s.owner);
		return rc;
	}
	PyObject *text = asgi_get(message, asgi_str.text);
	if (!text) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "'websocket.send' must have 'text' or 'bytes'");
		return -1;
	}
	Py_ssize_t n;
	const char *p = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &n) : NULL;
	int rc = -1;
	if (p)
		rc = ws_result(d, UW_HELD(uwGoMessage(d->x->id, UW_TEXT, (char *)p, (size_t)n)));
	else if (!PyErr_Occurred())
		PyErr_Format(PyExc_TypeError, "'text' of 'websocket.send' must be a str, not %R", (PyObject *)Py_TYPE(text));
	Py_DECREF(text);
	return rc;
}

// ws_code_sendable: RFC 6455 §7.4 and its registry.
static int ws_code_sendable(int64_t code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

// ws_end closes it; reason, which may be NULL, is what receive() tells.
static int ws_end(asgi_driver *d, int code, const char *text, Py_ssize_t n, PyObject *reason)
{
	if (ws_result(d, UW_HELD(uwGoCloseWS(d->x->id, code, (char *)text, (size_t)n))) < 0)
		return -1;
	d->state = ASGI_ENDED;
	if (!d->code) {
		d->code = code;
		Py_XINCREF(reason);
		d->reason = reason;
	}
	asgi_wake(&d->receiving);
	return 0;
}

int asgi_talks(const asgi_driver *d) { return d->websocket && d->state == ASGI_OPEN; }

PyObject *asgi_goodbye(asgi_driver *d)
{
	if (ws_end(d, 1000, "", 0, NULL) < 0)
		PyErr_Clear(); // the client has gone: there is nobody to say it to
	Py_RETURN_NONE;
}

static int ws_close(asgi_driver *d, PyObject *message)
{
	int64_t code = asgi_integer(message, asgi_str.code, 1000);
	if (code < 0)
		return -1;
	if (code == 1005) // "none was given", which applications pass on
		code = 1000;
	if (!ws_code_sendable(code)) {
		PyErr_Format(PyExc_ValueError, "%lld is no code that closes a websocket", (long long)code);
		return -1;
	}
	PyObject *reason = asgi_get(message, asgi_str.reason);
	Py_ssize_t n = 0;
	const char *p = reason && PyUnicode_Check(reason) ? PyUnicode_AsUTF8AndSize(reason, &n) : "";
	int rc = -1;
	if (reason && !PyUnicode_Check(reason))
		PyErr_Format(PyExc_TypeError, "'reason' of 'websocket.close' must be a str, not %R", (PyObject *)Py_TYPE(reason));
	else if (n > WS_REASON)
		PyErr_Format(PyExc_ValueError, "'reason' of 'websocket.close' takes %zd bytes, %d are allowed", n, WS_REASON);
	else if (p && !PyErr_Occurred())
		rc = ws_end(d, (int)code, p, n, reason);
	Py_XDECREF(reason);
	return rc;
}

// ws_deny answers a handshake with 403.
static int ws_deny(asgi_driver *d)
{
	uw_head_reset(d->x);
	if (uw_head_status(d->x, 403) < 0)
		return -1;
	uw_head_done(d->x);
	if (ws_result(d, UW_HELD(uwGoSend(d->x->id, "", 0, 0))) < 0)
		return -1;
	d->state = ASGI_ENDED;
	d->code = 1006; // there was never a connection
	asgi_wake(&d->receiving);
	return 0;
}

static asgi_kind ws_kind_accept = {"websocket.accept", NULL}, ws_kind_send = {"websocket.send", NULL}, ws_kind_close = {"websocket.close", NULL};

int asgi_websocket_send(asgi_driver *d, PyObject *name, PyObject *message)
{
	switch (d->state) {
	case ASGI_START:
		if (asgi_is(&ws_kind_accept, name))
			return ws_accept(d, message);
		if (asgi_is(&ws_kind_close, name))
			return ws_deny(d);
		PyErr_Format(PyExc_RuntimeError, "Expected ASGI message 'websocket.accept', 'websocket.close' or 'websocket.http.response.start' but got '%U'.", name);
		return -1;
	case ASGI_OPEN:
		if (asgi_is(&ws_kind_send, name))
			return ws_send(d, message);
		if (asgi_is(&ws_kind_close, name))
			return ws_close(d, message);
		PyErr_Format(PyExc_RuntimeError, "Expected ASGI message 'websocket.send' or 'websocket.close', but got '%U'.", name);
		return -1;
	}
	PyErr_Format(PyExc_RuntimeError, "Unexpected ASGI message '%U', after sending 'websocket.close' or response already completed.", name);
	return -1;
}
