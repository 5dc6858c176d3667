// start_response and write (PEP 3333): what the application says of its response is checked here
// and kept as bytes for the data plane.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "wsgi.h"

// Exported by every CPython 3.3+, in the limited API's headers only from 3.10 on.
extern const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);

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
	if (self->serial != self->exchange->serial) {
		PyErr_SetString(PyExc_RuntimeError, "the request this start_response belongs to is over");
		return 1;
	}
	// The core's thread leaves the interpreter's lock while it writes: another one would find the
	// response half made.
	if (PyThread_get_thread_ident() != self->exchange->core->thread) {
		PyErr_SetString(PyExc_RuntimeError, "start_response and write belong to the thread that the application was called on");
		return 1;
	}
	return 0;
}

// latin1 gives the ISO-8859-1 bytes of a str (PEP 3333, "Unicode Issues"). *tmp is a new reference
// to drop afterwards, or NULL.
static const char *latin1(PyObject *o, Py_ssize_t *len, PyObject **tmp, const char *what)
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

// A response head may hold no control byte: CR or LF would let the application's user write headers
// of his own (RFC 9110 §5.5).
static int clean(const char *s, Py_ssize_t n, const char *what)
{
	Py_ssize_t i = 0;
	for (; i + 8 <= n; i += 8) { // eight at a time, while none of them can be one
		uint64_t w;
		memcpy(&w, s + i, 8);
		const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
		uint64_t below = (w - 32 * ones) & ~w, del = w ^ (127 * ones);
		if ((below | ((del - ones) & ~del)) & high)
			break;
	}
	for (; i < n; i++) {
		unsigned char ch = (unsigned char)s[i];
		if ((ch < 32 && ch != '\t') || ch == 127) {
			PyErr_Format(PyExc_ValueError, "%s must not contain control characters", what);
			return -1;
		}
	}
	return 0;
}

// The bytes of a header's name (RFC 9110 §5.6.2).
static const unsigned char name_byte[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
	['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static int token(const char *s, Py_ssize_t n)
{
	if (n == 0)
		return 0;
	for (Py_ssize_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)s[i];
		if (!name_byte[ch])
			return 0;
	}
	return 1;
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
static text known_names[KNOWN], known_status[KNOWN];

static text *known(text *table, PyObject *str) { return &table[((uintptr_t)str >> 4) % KNOWN]; }

static void remember(text *slot, PyObject *str, const char *bytes, Py_ssize_t len)
{
	PyObject *old = slot->str;
	if (len > KEPT)
		return;
	Py_INCREF(str);
	*slot = (text){str, bytes, len};
	Py_XDECREF(old);
}

// header_name gives the bytes of a header's name, NULL with an exception set.
static const char *header_name(PyObject *k, Py_ssize_t *len)
{
	text *t = known(known_names, k);
	if (t->str == k) {
		*len = t->len;
		return t->bytes;
	}
	if (!PyUnicode_Check(k)) {
		PyErr_SetString(PyExc_TypeError, "http header name must be a string");
		return NULL;
	}
	PyObject *tmp;
	const char *s = latin1(k, len, &tmp, "http header");
	if (!s)
		return NULL;
	if (tmp || !token(s, *len)) {
		Py_XDECREF(tmp);
		PyErr_Format(PyExc_ValueError, "invalid http header name %R", k);
		return NULL;
	}
	remember(t, k, s, *len);
	return s;
}

static int same(const char *s, Py_ssize_t n, const char *lower, size_t m)
{
	if ((size_t)n != m)
		return 0;
	for (size_t i = 0; i < m; i++) {
		char ch = s[i];
		if (ch >= 'A' && ch <= 'Z')
			ch += 32;
		if (ch != lower[i])
			return 0;
	}
	return 1;
}
#define IS(s, n, lit) same(s, n, lit, sizeof(lit) - 1)

static int contains(const char *s, Py_ssize_t n, const char *lower, size_t m)
{
	for (Py_ssize_t i = 0; i + (Py_ssize_t)m <= n; i++)
		if (same(s + i, (Py_ssize_t)m, lower, m))
			return 1;
	return 0;
}

// note_header remembers what the framing depends on. Returns 1 when the header is the server's to
// write, not the application's.
static int note_header(uw_exchange *x, const char *k, Py_ssize_t kl, const char *v, Py_ssize_t vl)
{
	switch (kl) {
	case 4:
		if (IS(k, kl, "date"))
			x->has_date = 1;
		break;
	case 6:
		if (IS(k, kl, "server"))
			x->has_server = 1;
		break;
	case 10:
		if (IS(k, kl, "connection")) {
			if (contains(v, vl, "upgrade", 7)) {
				x->upgrade = 1;
				return 0;
			}
			if (contains(v, vl, "close", 5))
				x->conn_close = 1;
			return 1;
		}
		if (IS(k, kl, "keep-alive"))
			return 1;
		break;
	case 14:
		if (IS(k, kl, "content-length")) {
			int64_t n = 0;
			Py_ssize_t i = 0;
			for (; i < vl && v[i] >= '0' && v[i] <= '9' && n < (INT64_MAX - 9) / 10; i++)
				n = n * 10 + (v[i] - '0');
			if (vl == 0 || i < vl || (x->length >= 0 && x->length != n)) {
				PyErr_SetString(PyExc_ValueError, "Content-Length must be one decimal number");
				return -1;
			}
			if (x->length >= 0 || x->status == 204) // RFC 9110 §8.6: 204 has none
				return 1;
			x->length = n;
		}
		break;
	case 17:
		if (IS(k, kl, "transfer-encoding"))
			x->has_te = 1;
		break;
	}
	return 0;
}

static int add_header(uw_exchange *x, PyObject *k, PyObject *v)
{
	PyObject *vt;
	Py_ssize_t kl, vl;
	int rc = -1;
	const char *ks = header_name(k, &kl);
	if (!ks)
		return -1;
	if (!PyUnicode_Check(v)) {
		PyErr_SetString(PyExc_TypeError, "http header value must be a string");
		return -1;
	}
	const char *vs = latin1(v, &vl, &vt, "http header");
	if (!vs)
		return -1;
	if (clean(vs, vl, "http header value") < 0)
		goto done;
	int own = note_header(x, ks, kl, vs, vl);
	if (own) {
		rc = own > 0 ? 0 : -1;
		goto done;
	}
	if (uw_grow(&x->head_buf, &x->head_cap, x->head_len + (size_t)(kl + vl) + 4) < 0)
		goto done;
	char *p = x->head_buf + x->head_len;
	memcpy(p, ks, (size_t)kl);
	p += kl;
	*p++ = ':';
	*p++ = ' ';
	memcpy(p, vs, (size_t)vl);
	p += vl;
	*p++ = '\r';
	*p++ = '\n';
	x->head_len = (size_t)(p - x->head_buf);
	x->headers++;
	rc = 0;
done:
	Py_XDECREF(vt);
	return rc;
}

static int set_status(uw_exchange *x, PyObject *status)
{
	PyObject *tmp = NULL;
	text *t = known(known_status, status);
	Py_ssize_t n = t->len;
	const char *s = t->bytes;
	int rc = -1;
	if (t->str != status) {
		if (!PyUnicode_Check(status)) {
			PyErr_SetString(PyExc_TypeError, "http status must be a string");
			return -1;
		}
		s = latin1(status, &n, &tmp, "http status string");
		if (!s)
			return -1;
		if (n < 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' || (n > 3 && s[3] != ' ')) {
			PyErr_Format(PyExc_ValueError, "invalid http status %R: write it as '200 OK'", status);
			goto done;
		}
		if (clean(s, n, "http status") < 0)
			goto done;
		if (!tmp)
			remember(t, status, s, n);
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

void uw_reset_head(uw_exchange *x)
{
	x->has_head = 0;
	x->status = 0;
	x->reason_len = x->head_len = 0;
	x->headers = 0;
	x->length = -1;
	x->conn_close = x->upgrade = x->has_te = x->has_date = x->has_server = 0;
}

// raise_again raises what sys.exc_info() gave. Of anything else, (None, None, None) for one, the
// interpreter would believe that it is an exception and write into it.
static void raise_again(PyObject *exc_info)
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
static PyMethodDef write_def = {"write", responder_write, METH_O, "write(data): send a block of the body at once (PEP 3333)"};

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
	if (exc_info == Py_None)
		exc_info = NULL;
	if (exc_info) {
		if (x->head_sent) {
			raise_again(exc_info); // PEP 3333: the head is on its way, so the error goes back to where it came from
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
	uw_reset_head(x);
	if (set_status(x, status) < 0)
		return NULL;
	// A finalizer of the application's may run in between, and change the list.
	for (Py_ssize_t i = 0; i < PyList_Size(headers); i++) {
		PyObject *h = PyList_GetItem(headers, i);
		int rc = -1;
		Py_INCREF(h);
		if (!PyTuple_Check(h) || PyTuple_Size(h) != 2)
			PyErr_SetString(PyExc_TypeError, "http header must be defined in a tuple of name and value");
		else
			rc = add_header(x, PyTuple_GetItem(h, 0), PyTuple_GetItem(h, 1));
		Py_DECREF(h);
		if (rc < 0) {
			uw_reset_head(x);
			return NULL;
		}
	}
	// Any other 1xx announces a response that is still to come (RFC 9110 §15.2): the client would
	// take the next one for it.
	if (x->status < 200 && !(x->status == 101 && x->upgrade)) {
		PyErr_Format(PyExc_ValueError, "%R is no final http status", status);
		uw_reset_head(x);
		return NULL;
	}
	// With both, two readers may find its end in two places (RFC 9112 §6.2).
	if (x->has_te && x->length >= 0) {
		PyErr_SetString(PyExc_ValueError, "Content-Length and Transfer-Encoding exclude each other");
		uw_reset_head(x);
		return NULL;
	}
	x->head = x->head_buf;
	x->has_head = 1;
	return PyCFunction_NewEx(&write_def, o, NULL);
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
