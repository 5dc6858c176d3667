// The one place where the data plane meets the interpreter. Written to the limited API of 3.9, so that one binary serves every
// CPython from there on; the interpreter's own symbols are resolved when it loads us.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"
#include "environ.h"
#include "_cgo_export.h"

// Exported by every CPython 3.3+, in the limited API's headers only from 3.10 on.
extern const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);

int uw_forked, uw_has_forked;

static uw_core **cores;
static int ncores;

static PyObject *applications; // list of callables
static PyObject *report_hook;  // f(type, value, traceback): prints it in one write
static PyObject *file_wrapper; // the FileWrapper class, NULL when disabled
static PyObject *responder_type;
static PyObject *str_fileno, *str_close, *str_filelike;

uw_core *uw_core_get(int id) { return id >= 0 && id < ncores ? cores[id] : NULL; }

static int grow(char **buf, size_t *cap, size_t need)
{
	if (need <= *cap)
		return 0;
	size_t n = *cap ? *cap : 1024;
	while (n < need)
		n *= 2;
	char *p = realloc(*buf, n);
	if (!p) {
		PyErr_NoMemory();
		return -1;
	}
	*buf = p;
	*cap = n;
	return 0;
}

// --- start_response and write ---

typedef struct {
	PyObject_HEAD
	uw_core *core;
	uint64_t serial;
} responder;

static int responder_stale(responder *self)
{
	if (uw_forked) {
		PyErr_SetString(PyExc_OSError, "this process was forked by the application and cannot answer the request of its parent");
		return 1;
	}
	if (self->serial != self->core->serial) {
		PyErr_SetString(PyExc_RuntimeError, "the request this start_response belongs to is over");
		return 1;
	}
	return 0;
}

// latin1 gives the ISO-8859-1 bytes of a str (PEP 3333, "Unicode Issues"). *tmp is a new reference to drop afterwards, or NULL.
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

// A response head may hold no control byte: CR or LF would let the application's user write headers of his own (RFC 9110 §5.5).
static int clean(const char *s, Py_ssize_t n, const char *what)
{
	for (Py_ssize_t i = 0; i < n; i++) {
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

// note_header remembers what the framing depends on. Returns 1 when the header is the server's to write, not the application's.
static int note_header(uw_core *c, const char *k, Py_ssize_t kl, const char *v, Py_ssize_t vl)
{
	switch (kl) {
	case 4:
		if (IS(k, kl, "date"))
			c->has_date = 1;
		break;
	case 6:
		if (IS(k, kl, "server"))
			c->has_server = 1;
		break;
	case 10:
		if (IS(k, kl, "connection")) {
			if (contains(v, vl, "upgrade", 7)) {
				c->upgrade = 1;
				return 0;
			}
			if (contains(v, vl, "close", 5))
				c->conn_close = 1;
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
			if (vl == 0 || i < vl || (c->length >= 0 && c->length != n)) {
				PyErr_SetString(PyExc_ValueError, "Content-Length must be one decimal number");
				return -1;
			}
			if (c->length >= 0)
				return 1;
			c->length = n;
		}
		break;
	case 17:
		if (IS(k, kl, "transfer-encoding"))
			c->has_te = 1;
		break;
	}
	return 0;
}

static int add_header(uw_core *c, PyObject *k, PyObject *v)
{
	PyObject *kt = NULL, *vt = NULL;
	Py_ssize_t kl, vl;
	int rc = -1;
	if (!PyUnicode_Check(k) || !PyUnicode_Check(v)) {
		PyErr_SetString(PyExc_TypeError, PyUnicode_Check(k) ? "http header value must be a string" : "http header name must be a string");
		return -1;
	}
	const char *ks = latin1(k, &kl, &kt, "http header");
	if (!ks)
		return -1;
	const char *vs = latin1(v, &vl, &vt, "http header");
	if (!vs)
		goto done;
	if (!token(ks, kl)) {
		PyErr_Format(PyExc_ValueError, "invalid http header name %R", k);
		goto done;
	}
	if (clean(vs, vl, "http header value") < 0)
		goto done;
	int own = note_header(c, ks, kl, vs, vl);
	if (own) {
		rc = own > 0 ? 0 : -1;
		goto done;
	}
	if (grow(&c->head_buf, &c->head_cap, c->head_len + (size_t)(kl + vl) + 4) < 0)
		goto done;
	char *p = c->head_buf + c->head_len;
	memcpy(p, ks, (size_t)kl);
	p += kl;
	*p++ = ':';
	*p++ = ' ';
	memcpy(p, vs, (size_t)vl);
	p += vl;
	*p++ = '\r';
	*p++ = '\n';
	c->head_len = (size_t)(p - c->head_buf);
	c->headers++;
	rc = 0;
done:
	Py_XDECREF(kt);
	Py_XDECREF(vt);
	return rc;
}

static int set_status(uw_core *c, PyObject *status)
{
	PyObject *tmp;
	Py_ssize_t n;
	if (!PyUnicode_Check(status)) {
		PyErr_SetString(PyExc_TypeError, "http status must be a string");
		return -1;
	}
	const char *s = latin1(status, &n, &tmp, "http status string");
	if (!s)
		return -1;
	int rc = -1;
	if (n < 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' || (n > 3 && s[3] != ' ')) {
		PyErr_Format(PyExc_ValueError, "invalid http status %R: write it as '200 OK'", status);
		goto done;
	}
	if (clean(s, n, "http status") < 0 || grow(&c->reason_buf, &c->reason_cap, (size_t)n + 1) < 0)
		goto done;
	memcpy(c->reason_buf, s, (size_t)n);
	c->reason_len = (size_t)n;
	if (n == 3)
		c->reason_buf[c->reason_len++] = ' '; // RFC 9112 §4: the blank stays, also without a reason
	c->reason = c->reason_buf;
	c->status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	rc = 0;
done:
	Py_XDECREF(tmp);
	return rc;
}

static void reset_head(uw_core *c)
{
	c->has_head = 0;
	c->status = 0;
	c->reason_len = c->head_len = 0;
	c->headers = 0;
	c->length = -1;
	c->conn_close = c->upgrade = c->has_te = c->has_date = c->has_server = 0;
}

static PyObject *responder_write(PyObject *o, PyObject *data);
static PyMethodDef write_def = {"write", responder_write, METH_O, "write(data): send a block of the body at once (PEP 3333)"};

static PyObject *responder_call(PyObject *o, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"status", "response_headers", "exc_info", NULL};
	responder *self = (responder *)o;
	uw_core *c = self->core;
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
		if (c->head_sent) {
			// PEP 3333: the head is on its way, so the error goes back to where it came from.
			if (PyTuple_Check(exc_info) && PyTuple_Size(exc_info) == 3) {
				PyObject *t = PyTuple_GetItem(exc_info, 0), *v = PyTuple_GetItem(exc_info, 1), *tb = PyTuple_GetItem(exc_info, 2);
				if (tb == Py_None)
					tb = NULL;
				Py_XINCREF(t);
				Py_XINCREF(v);
				Py_XINCREF(tb);
				PyErr_Restore(t, v, tb);
			} else {
				PyErr_SetString(PyExc_TypeError, "exc_info must be the tuple of sys.exc_info()");
			}
			return NULL;
		}
	} else if (c->has_head) {
		PyErr_SetString(PyExc_AssertionError, "start_response was called twice without exc_info (PEP 3333)");
		return NULL;
	}
	if (!PyList_Check(headers)) {
		PyErr_SetString(PyExc_TypeError, "http headers must be in a python list");
		return NULL;
	}
	reset_head(c);
	if (set_status(c, status) < 0)
		return NULL;
	Py_ssize_t n = PyList_Size(headers);
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *h = PyList_GetItem(headers, i);
		if (!PyTuple_Check(h) || PyTuple_Size(h) != 2) {
			PyErr_SetString(PyExc_TypeError, "http header must be defined in a tuple of name and value");
			reset_head(c);
			return NULL;
		}
		if (add_header(c, PyTuple_GetItem(h, 0), PyTuple_GetItem(h, 1)) < 0) {
			reset_head(c);
			return NULL;
		}
	}
	c->head = c->head_buf;
	c->has_head = 1;
	return PyCFunction_NewEx(&write_def, o, NULL);
}

// small answers are copied, so that the GIL need not be taken again to drop them
enum { COPY_LIMIT = 65536 };

// send_block writes one block. The socket does not block, so the GIL is kept for what it takes at once: letting go of it for each chunk of a
// generator costs more than the write. It is released where the client must be waited for, or the block is large. -1: an exception is set.
static int send_block(uw_core *c, const char *p, Py_ssize_t n)
{
	int rc;
	if (uw_forked) {
		PyErr_SetString(PyExc_OSError, "this process was forked by the application and cannot answer the request of its parent");
		return -1;
	}
	if (!c->has_head) {
		PyErr_SetString(PyExc_AssertionError, "write() or the first block came before start_response (PEP 3333)");
		return -1;
	}
	if (n < COPY_LIMIT) {
		rc = uwGoTryWrite(c->id, (char *)p, (size_t)n);
		if (rc == UW_AGAIN) {
			Py_BEGIN_ALLOW_THREADS
			rc = uwGoFlush(c->id);
			Py_END_ALLOW_THREADS
		}
	} else {
		Py_BEGIN_ALLOW_THREADS
		rc = uwGoWrite(c->id, (char *)p, (size_t)n);
		Py_END_ALLOW_THREADS
	}
	if (rc == 0)
		return 0;
	c->write_failed = 1;
	if (rc > 0) // the client is gone and the options say not to tell the application
		return 1;
	PyErr_SetString(PyExc_OSError, "write error");
	return -1;
}

static PyObject *responder_write(PyObject *o, PyObject *data)
{
	responder *self = (responder *)o;
	char *p;
	Py_ssize_t n;
	if (responder_stale(self))
		return NULL;
	if (!PyBytes_Check(data)) {
		PyErr_Format(PyExc_TypeError, "write() takes bytes, not %R", (PyObject *)Py_TYPE(data));
		return NULL;
	}
	if (PyBytes_AsStringAndSize(data, &p, &n) < 0)
		return NULL;
	if (n > 0 && send_block(self->core, p, n) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static void responder_dealloc(PyObject *o)
{
	PyTypeObject *t = Py_TYPE(o);
	PyObject_Free(o);
	Py_DECREF(t);
}

static PyType_Slot responder_slots[] = {
	{Py_tp_call, responder_call},
	{Py_tp_dealloc, responder_dealloc},
	{Py_tp_doc, "start_response(status, response_headers, exc_info=None) -> write (PEP 3333)"},
	{0, NULL},
};
static PyType_Spec responder_spec = {"_uwsgi.start_response", sizeof(responder), 0, Py_TPFLAGS_DEFAULT, responder_slots};

// --- running the application ---

static void report(void)
{
	PyObject *t, *v, *tb;
	PyErr_Fetch(&t, &v, &tb);
	PyErr_NormalizeException(&t, &v, &tb);
	if (tb && v)
		PyException_SetTraceback(v, tb);
	PyObject *r = PyObject_CallFunctionObjArgs(report_hook, t ? t : Py_None, v ? v : Py_None, tb ? tb : Py_None, NULL);
	if (r)
		Py_DECREF(r);
	else
		PyErr_Print();
	Py_XDECREF(t);
	Py_XDECREF(v);
	Py_XDECREF(tb);
}

// failed turns the pending exception into an outcome.
static int failed(uw_core *c)
{
	if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
		PyObject *t, *v, *tb;
		PyErr_Fetch(&t, &v, &tb);
		PyErr_NormalizeException(&t, &v, &tb);
		PyObject *code = v ? PyObject_GetAttrString(v, "code") : NULL;
		c->exit_code = 0;
		if (code && PyLong_Check(code))
			c->exit_code = (int)(PyLong_AsLong(code) & 0xff);
		else if (code && code != Py_None)
			c->exit_code = 1;
		Py_XDECREF(code);
		Py_XDECREF(t);
		Py_XDECREF(v);
		Py_XDECREF(tb);
		PyErr_Clear();
		return UW_EXIT;
	}
	if (c->write_failed && PyErr_ExceptionMatches(PyExc_OSError))
		PyErr_Clear(); // the client is gone: the data plane logs that, a traceback would not help
	else
		report();
	return UW_FAILED;
}

static int close_result(PyObject *result)
{
	PyObject *m = PyObject_GetAttr(result, str_close);
	if (!m) {
		PyErr_Clear();
		return 0;
	}
	PyObject *r = PyObject_CallObject(m, NULL);
	Py_DECREF(m);
	if (!r) {
		report();
		return -1;
	}
	Py_DECREF(r);
	return 0;
}

// sequence handles a list or tuple of bytes, the answer of most applications: it is known whole, so it goes out in one write.
// 1: not such a sequence.
static int sequence(uw_core *c, PyObject *result)
{
	int is_list = PyList_CheckExact(result);
	if (!is_list && !PyTuple_CheckExact(result))
		return -2;
	Py_ssize_t n = is_list ? PyList_Size(result) : PyTuple_Size(result);
	size_t total = 0;
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *o = is_list ? PyList_GetItem(result, i) : PyTuple_GetItem(result, i);
		if (!PyBytes_Check(o))
			return -2; // let the general path complain
		total += (size_t)PyBytes_Size(o);
	}
	if (!c->has_head)
		return -2;
	if (c->head_sent && total > 0) // write() was used before
		return -2;
	c->switches = (int)n;
	char *p;
	Py_ssize_t len;
	if (n == 1 && total > COPY_LIMIT) {
		PyObject *o = is_list ? PyList_GetItem(result, 0) : PyTuple_GetItem(result, 0);
		PyBytes_AsStringAndSize(o, &p, &len);
		Py_INCREF(o);
		c->pinned = o;
		c->body = p;
		c->body_len = (size_t)len;
		return UW_BUFFERED;
	}
	if (total > COPY_LIMIT)
		return -2; // many large blocks: written one by one, without a copy
	if (grow(&c->body_buf, &c->body_cap, total) < 0)
		return -1;
	size_t at = 0;
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *o = is_list ? PyList_GetItem(result, i) : PyTuple_GetItem(result, i);
		PyBytes_AsStringAndSize(o, &p, &len);
		memcpy(c->body_buf + at, p, (size_t)len);
		at += (size_t)len;
	}
	c->body = c->body_buf;
	c->body_len = total;
	return UW_BUFFERED;
}

// file_body recognises wsgi.file_wrapper around something with a descriptor of a regular file. -2: iterate it instead.
static int file_body(uw_core *c, PyObject *result)
{
	if (!file_wrapper || (PyObject *)Py_TYPE(result) != file_wrapper || !c->has_head)
		return -2;
	PyObject *f = PyObject_GetAttr(result, str_filelike);
	if (!f) {
		PyErr_Clear();
		return -2;
	}
	int rc = -2, fd = -1;
	PyObject *m = PyObject_GetAttr(f, str_fileno), *r = NULL, *pos = NULL;
	if (m)
		r = PyObject_CallObject(m, NULL);
	if (r && PyLong_Check(r))
		fd = (int)PyLong_AsLong(r);
	if (fd < 0 || PyErr_Occurred())
		goto done;
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		goto done;
	// The file object may have read ahead of its descriptor: its own position is the truth.
	pos = PyObject_CallMethod(f, "tell", NULL);
	if (!pos || !PyLong_Check(pos))
		goto done;
	c->file_off = PyLong_AsLongLong(pos);
	c->file_len = st.st_size > c->file_off ? st.st_size - c->file_off : 0;
	c->file_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (c->file_fd >= 0)
		rc = UW_FILE;
done:
	PyErr_Clear();
	Py_XDECREF(m);
	Py_XDECREF(r);
	Py_XDECREF(pos);
	Py_DECREF(f);
	return rc;
}

static int iterate(uw_core *c, PyObject *result)
{
	PyObject *it, *chunk;
	char *p;
	Py_ssize_t n;
	if (PyBytes_Check(result)) { // every byte as a block of its own would be what PEP 3333 warns of
		c->switches = 1;
		if (PyBytes_AsStringAndSize(result, &p, &n) < 0)
			return -1;
		return n > 0 ? send_block(c, p, n) : 0;
	}
	it = PyObject_GetIter(result);
	if (!it)
		return -1;
	while ((chunk = PyIter_Next(it))) {
		c->switches++;
		int rc = 0;
		if (PyBytes_Check(chunk)) {
			if (PyBytes_AsStringAndSize(chunk, &p, &n) < 0)
				rc = -1;
			else if (n > 0)
				rc = send_block(c, p, n);
		} else if (chunk != Py_None) {
			PyErr_Format(PyExc_TypeError, "the application yielded %R, not bytes", (PyObject *)Py_TYPE(chunk));
			rc = -1;
		}
		Py_DECREF(chunk);
		if (rc) {
			Py_DECREF(it);
			return rc;
		}
		if (uw_forked)
			break;
	}
	Py_DECREF(it);
	return PyErr_Occurred() ? -1 : 0;
}

static int respond(uw_core *c, PyObject *result)
{
	int rc = sequence(c, result);
	if (rc == -2)
		rc = file_body(c, result);
	if (rc >= 0) {
		if (rc == UW_FILE) {
			// Written by Go before close(): a wrapper's close() may delete the file's name, not its descriptor.
			Py_BEGIN_ALLOW_THREADS
			uwGoFile(c->id);
			Py_END_ALLOW_THREADS
			close_result(result);
			return UW_DONE;
		}
		return rc;
	}
	if (rc == -1)
		return failed(c);
	int outcome = UW_DONE;
	rc = iterate(c, result);
	if (rc < 0) {
		outcome = failed(c);
	} else if (rc == 0 && !c->has_head) {
		PyErr_SetString(PyExc_AssertionError, "the application returned without calling start_response (PEP 3333)");
		outcome = failed(c);
	}
	if (rc == 0 && outcome == UW_DONE && !uw_forked) {
		// The last byte goes out before close(), where applications like to tidy up. It waits for nobody, so the GIL is kept.
		uwGoFinish(c->id);
	}
	close_result(result);
	return outcome;
}

// The graveyard: a list through the objects' owners would need their layout, so it is an array of its own.
static pthread_mutex_t grave_lock = PTHREAD_MUTEX_INITIALIZER;
static void **grave;
static size_t grave_n, grave_cap;
static atomic_int grave_any;

void uw_bury(void *pinned)
{
	pthread_mutex_lock(&grave_lock);
	if (grave_n == grave_cap) {
		size_t cap = grave_cap ? grave_cap * 2 : 16;
		void **p = realloc(grave, cap * sizeof *p);
		if (p) {
			grave = p;
			grave_cap = cap;
		}
	}
	if (grave_n < grave_cap)
		grave[grave_n++] = pinned;
	atomic_store(&grave_any, 1);
	pthread_mutex_unlock(&grave_lock);
}

// The caller holds the GIL. A destructor may run Python, so no lock is held meanwhile.
static void bury_all(void)
{
	for (;;) {
		pthread_mutex_lock(&grave_lock);
		PyObject *o = grave_n > 0 ? grave[--grave_n] : NULL;
		if (!o)
			atomic_store(&grave_any, 0);
		pthread_mutex_unlock(&grave_lock);
		if (!o)
			return;
		Py_DECREF(o);
	}
}

int uw_call(uw_core *c, int app, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd)
{
	PyObject *environ, *sr, *result, *callable;
	int outcome;

	PyEval_RestoreThread(c->tstate);
	if (atomic_load(&grave_any))
		bury_all();
	c->serial++;
	c->head_sent = c->write_failed = c->switches = c->exit_code = 0;
	c->file_fd = -1;
	c->body_len = 0;
	reset_head(c);

	callable = app >= 0 && app < PyList_Size(applications) ? PyList_GetItem(applications, app) : NULL;
	if (!callable || callable == Py_None) {
		if (body_fd >= 0)
			close(body_fd);
		outcome = UW_NOAPP;
		goto out;
	}
	Py_INCREF(callable);
	environ = uw_environ(c->id, arena, vars, nvars, https, body, body_len, body_fd);
	sr = environ ? PyType_GenericAlloc((PyTypeObject *)responder_type, 0) : NULL;
	if (!sr) {
		Py_XDECREF(environ);
		Py_DECREF(callable);
		outcome = failed(c);
		goto out;
	}
	((responder *)sr)->core = c;
	((responder *)sr)->serial = c->serial;
	result = PyObject_CallFunctionObjArgs(callable, environ, sr, NULL);
	Py_DECREF(callable);
	if (uw_forked) {
		// A child of the application came back here. There is no request of its own to answer and no Go below to return to.
		if (!result)
			report();
		static const char msg[] = "uwsgi: a child forked by the application returned into the server; it ends here (use os._exit)\n";
		if (write(2, msg, sizeof msg - 1) < 0) {
		}
		_exit(result ? 0 : 1);
	}
	if (result) {
		outcome = respond(c, result);
		if (uw_forked)
			_exit(0);
		Py_DECREF(result);
	} else {
		outcome = failed(c);
	}
	Py_DECREF(sr);
	Py_DECREF(environ);
out:
	c->tstate = PyEval_SaveThread();
	return outcome;
}

int uw_signals(uw_core *c)
{
	PyEval_RestoreThread(c->tstate);
	int rc = 0;
	if (PyErr_CheckSignals() < 0) {
		rc = 1;
		if (PyErr_ExceptionMatches(PyExc_SystemExit))
			failed(c);
		else
			report();
	}
	c->tstate = PyEval_SaveThread();
	return rc;
}

// --- what module.c needs ---

int uw_bridge_init(PyObject *apps, PyObject *report_fn, PyObject *wrapper, int threads)
{
	str_fileno = PyUnicode_InternFromString("fileno");
	str_close = PyUnicode_InternFromString("close");
	str_filelike = PyUnicode_InternFromString("filelike");
	responder_type = PyType_FromSpec(&responder_spec);
	if (!responder_type || !str_fileno || !str_close || !str_filelike)
		return -1;
	Py_INCREF(apps);
	applications = apps;
	Py_INCREF(report_fn);
	report_hook = report_fn;
	if (wrapper != Py_None) {
		Py_INCREF(wrapper);
		file_wrapper = wrapper;
	}
	cores = calloc((size_t)threads, sizeof *cores);
	if (!cores)
		return -1;
	for (int i = 0; i < threads; i++) {
		cores[i] = calloc(1, sizeof **cores);
		if (!cores[i])
			return -1;
		cores[i]->id = i;
		cores[i]->fd = cores[i]->file_fd = -1;
		cores[i]->length = -1;
	}
	ncores = threads;
	return 0;
}

uw_core *uw_current(void)
{
	unsigned long me = PyThread_get_thread_ident();
	for (int i = 0; i < ncores; i++)
		if (cores[i]->thread == me)
			return cores[i];
	return NULL;
}

// uw_close_inherited lets go of the connections that this child of the application got by fork: the client must see them end
// when the worker ends them.
void uw_close_inherited(void)
{
	for (int i = 0; i < ncores; i++)
		if (cores[i]->fd >= 0)
			close(cores[i]->fd);
}
