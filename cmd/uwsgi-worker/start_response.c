// start_response and write (PEP 3333): what the application says of its response is checked here
// and kept as bytes for the data plane.
#include <Python.h>
#include <string.h>

#include "head.h"
#include "own.h"
#include "wsgi.h"

static PyObject *responder_type;

typedef struct {
	PyObject_HEAD
	uw_exchange *exchange;
	uint64_t serial;
} responder;

static int responder_stale(responder *self)
{
	if (uw_forked) {
		PyErr_SetString(PyExc_OSError, "this process was forked by the application and cannot answer the request of its parent");
		return 1;
	}
	if (self->serial != __atomic_load_n(&self->exchange->serial, __ATOMIC_RELAXED)) {
		PyErr_SetString(PyExc_RuntimeError, "the request this start_response belongs to is over");
		return 1;
	}
	// The core's thread releases the GIL while it writes: another thread would find the response
	// half made.
	if (PyThread_get_thread_ident() != __atomic_load_n(&self->exchange->core->thread, __ATOMIC_RELAXED)) {
		PyErr_SetString(PyExc_RuntimeError, "start_response and write belong to the thread that the application was called on");
		return 1;
	}
	return 0;
}

// wsgi_latin1 gives the ISO-8859-1 bytes of a str (PEP 3333, "Unicode Issues"). *tmp is a new
// reference to drop afterwards, or NULL.
static const char *wsgi_latin1(PyObject *o, Py_ssize_t *len, PyObject **tmp, const char *what)
{
	*tmp = NULL;
	const char *s = PyUnicode_AsUTF8AndSize(o, len);
	if (s && *len == PyUnicode_GetLength(o))
		return s; // pure ASCII: the object's own bytes
	if (!s)
		PyErr_Clear();
	*tmp = PyUnicode_AsLatin1String(o);
	if (!*tmp) {
		PyErr_Clear();
		PyErr_Format(PyExc_TypeError, "%s must be encodable in latin1", what);
		return NULL;
	}
	char *b;
	if (PyBytes_AsStringAndSize(*tmp, &b, len) < 0)
		return NULL;
	return b;
}

// Frameworks name headers and statuses by the same str objects again and again. Those that were
// found good are kept, so that the object alone tells: a str never changes, and one that is kept is
// not freed, so its address is no other's.
typedef struct {
	PyObject *str;
	const char *bytes;
	Py_ssize_t len;
} text;
enum { KNOWN = 64, KEPT = 64 };
typedef struct {
	text names[KNOWN], statuses[KNOWN];
} wsgi_tables;
UW_TABLE(wsgi_tables, wsgi_own, uw_start_response_begin)

static text *wsgi_known(text *table, PyObject *str) { return &table[((uintptr_t)str >> 4) % KNOWN]; }

static void wsgi_remember(text *slot, PyObject *str, const char *bytes, Py_ssize_t len)
{
	PyObject *old = slot->str;
	if (len > KEPT)
		return;
	Py_INCREF(str);
	*slot = (text){str, bytes, len};
	Py_XDECREF(old);
}

// wsgi_header_name gives the bytes of a header's name, NULL with an exception set.
static const char *wsgi_header_name(PyObject *k, Py_ssize_t *len)
{
	text *t = wsgi_known(wsgi_own->names, k);
	if (t->str == k) {
		*len = t->len;
		return t->bytes;
	}
	if (!PyUnicode_Check(k)) {
		PyErr_SetString(PyExc_TypeError, "http header name must be a string");
		return NULL;
	}
	PyObject *tmp;
	const char *s = wsgi_latin1(k, len, &tmp, "http header");
	if (!s)
		return NULL;
	if (tmp || !uw_token(s, *len)) {
		Py_XDECREF(tmp);
		PyErr_Format(PyExc_ValueError, "invalid http header name %R", k);
		return NULL;
	}
	wsgi_remember(t, k, s, *len);
	return s;
}

static int wsgi_add_header(uw_exchange *x, PyObject *k, PyObject *v)
{
	PyObject *vt;
	Py_ssize_t kl, vl;
	const char *ks = wsgi_header_name(k, &kl);
	if (!ks)
		return -1;
	if (!PyUnicode_Check(v)) {
		PyErr_SetString(PyExc_TypeError, "http header value must be a string");
		return -1;
	}
	const char *vs = wsgi_latin1(v, &vl, &vt, "http header");
	if (!vs)
		return -1;
	int rc = uw_head_field(x, ks, kl, vs, vl);
	Py_XDECREF(vt);
	return rc;
}

static int wsgi_set_status(uw_exchange *x, PyObject *status)
{
	PyObject *tmp = NULL;
	text *t = wsgi_known(wsgi_own->statuses, status);
	Py_ssize_t n = t->len;
	const char *s = t->bytes;
	int rc = -1;
	if (t->str != status) {
		if (!PyUnicode_Check(status)) {
			PyErr_SetString(PyExc_TypeError, "http status must be a string");
			return -1;
		}
		s = wsgi_latin1(status, &n, &tmp, "http status string");
		if (!s)
			return -1;
		if (n < 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' || (n > 3 && s[3] != ' ')) {
			PyErr_Format(PyExc_ValueError, "invalid http status %R: write it as '200 OK'", status);
			goto done;
		}
		if (uw_head_clean(s, n, "http status") < 0)
			goto done;
		if (!tmp)
			wsgi_remember(t, status, s, n);
	}
	x->status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	const char *reason = n <= 4 ? uw_reason(x->status) : ""; // "200" or "200 "
	size_t len = strlen(reason);
	if (uw_grow(&x->reason_buf, &x->reason_cap, (size_t)n + 1 + len) < 0)
		goto done;
	memcpy(x->reason_buf, s, (size_t)n);
	x->reason_len = (size_t)n;
	if (n == 3)
		x->reason_buf[x->reason_len++] = ' '; // RFC 9112 §4: the blank stays, also without a reason
	memcpy(x->reason_buf + x->reason_len, reason, len);
	x->reason_len += len;
	x->reason = x->reason_buf;
	rc = 0;
done:
	Py_XDECREF(tmp);
	return rc;
}

// wsgi_raise_again raises what sys.exc_info() gave. Anything else, such as (None, None, None), the
// interpreter would take for an exception and write into.
static void wsgi_raise_again(PyObject *exc_info)
{
	PyObject *v = NULL, *tb = Py_None;
	if (PyTuple_Check(exc_info) && PyTuple_Size(exc_info) == 3) {
		v = PyTuple_GetItem(exc_info, 1);
		tb = PyTuple_GetItem(exc_info, 2);
	}
	if (!v || !PyExceptionInstance_Check(v))
		PyErr_SetString(PyExc_TypeError, "exc_info must be the tuple of sys.exc_info() while an exception is handled");
	else if (tb == Py_None || PyException_SetTraceback(v, tb) == 0)
		PyErr_SetObject((PyObject *)Py_TYPE(v), v);
}

static PyObject *responder_write(PyObject *o, PyObject *data);
static PyMethodDef wsgi_write_def = {"write", responder_write, METH_O, "write(data): send a block of the body at once (PEP 3333)"};

static PyObject *responder_call(PyObject *o, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"status", "response_headers", "exc_info", NULL};
	responder *self = (responder *)o;
	uw_exchange *x = self->exchange;
	PyObject *status, *headers, *exc_info = NULL;
	if (kwargs) {
		if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:start_response", names, &status, &headers, &exc_info))
			return NULL;
	} else {
		Py_ssize_t n = PyTuple_Size(args);
		if (n < 2 || n > 3) {
			PyErr_Format(PyExc_TypeError, "start_response takes 2 or 3 arguments (%zd given)", n);
			return NULL;
		}
		status = PyTuple_GetItem(args, 0);
		headers = PyTuple_GetItem(args, 1);
		if (n == 3)
			exc_info = PyTuple_GetItem(args, 2);
	}
	if (responder_stale(self))
		return NULL;
	if (x->upgrade_state >= UW_UPGRADE_OPEN) // the answer was given: this one goes nowhere
		return PyCFunction_NewEx(&wsgi_write_def, o, NULL);
	if (exc_info == Py_None)
		exc_info = NULL;
	if (exc_info) {
		if (x->head_sent) {
			wsgi_raise_again(exc_info); // PEP 3333: the head is on its way, so the error goes back to where it came from
			return NULL;
		}
	} else if (x->has_head) {
		PyErr_SetString(PyExc_AssertionError, "start_response was called twice without exc_info (PEP 3333)");
		return NULL;
	}
	if (!PyList_Check(headers)) {
		PyErr_SetString(PyExc_TypeError, "http headers must be in a python list");
		return NULL;
	}
	uw_head_reset(x);
	if (wsgi_set_status(x, status) < 0)
		return NULL;
	// A finalizer may run application code in between, and change the list.
	for (Py_ssize_t i = 0; i < PyList_Size(headers); i++) {
		PyObject *h = uw_list_item(headers, i);
		int rc = -1;
		if (!h)
			;
		else if (!PyTuple_Check(h) || PyTuple_Size(h) != 2)
			PyErr_SetString(PyExc_TypeError, "http header must be defined in a tuple of name and value");
		else
			rc = wsgi_add_header(x, PyTuple_GetItem(h, 0), PyTuple_GetItem(h, 1));
		Py_XDECREF(h);
		if (rc < 0) {
			uw_head_reset(x);
			return NULL;
		}
	}
	// Any other 1xx announces a response that is still to come (RFC 9110 §15.2): the client would
	// take the response to its next request for that.
	if (x->status < 200 && !(x->status == 101 && x->upgrade)) {
		PyErr_Format(PyExc_ValueError, "%R is no final http status", status);
		uw_head_reset(x);
		return NULL;
	}
	// With both, two readers may find its end in two places (RFC 9112 §6.2).
	if (x->has_te && x->length >= 0) {
		PyErr_SetString(PyExc_ValueError, "Content-Length and Transfer-Encoding exclude each other");
		uw_head_reset(x);
		return NULL;
	}
	uw_head_done(x);
	return PyCFunction_NewEx(&wsgi_write_def, o, NULL);
}

static PyObject *responder_write(PyObject *o, PyObject *data)
{
	responder *self = (responder *)o;
	if (responder_stale(self))
		return NULL;
	if (uw_send_object(self->exchange, data, "write() takes bytes: this is") < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *responder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyErr_SetString(PyExc_TypeError, "the server makes these, one for each request");
	return NULL;
}

static void responder_dealloc(PyObject *o)
{
	PyTypeObject *t = Py_TYPE(o);
	PyObject_Free(o);
	Py_DECREF(t);
}

static PyType_Slot responder_slots[] = {
	{Py_tp_new, responder_new},
	{Py_tp_call, responder_call},
	{Py_tp_dealloc, responder_dealloc},
	{Py_tp_doc, "start_response(status, response_headers, exc_info=None) -> write (PEP 3333)"},
	{0, NULL},
};
static PyType_Spec responder_spec = {"_uwsgi.start_response", sizeof(responder), 0, Py_TPFLAGS_DEFAULT, responder_slots};

int uw_start_response_init(void)
{
	responder_type = PyType_FromSpec(&responder_spec);
	return responder_type ? 0 : -1;
}

PyObject *uw_start_response_new(uw_exchange *x)
{
	PyObject *o = PyType_GenericAlloc((PyTypeObject *)responder_type, 0);
	if (o) {
		((responder *)o)->exchange = x;
		((responder *)o)->serial = x->serial;
	}
	return o;
}
