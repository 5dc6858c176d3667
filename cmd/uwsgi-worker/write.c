// The blocks of a body on their way to the client.
#include <Python.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greenlet.h"
#include "wsgi.h"
#include "_cgo_export.h"

int uw_grow(char **buf, size_t *cap, size_t need)
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

// The longest line that announces a chunk (RFC 9112 §7.1), and how long a chunk may be that is
// copied behind it: one buffer costs the kernel half of what three do.
enum { CHUNK_LINE = 20, CHUNK_COPY = 8192 };

// write_stream writes a block of a response under way without Go: a generator yields many, and the
// way into Go and back costs as much as the write. What the client does not take at once goes to
// Go.
static int write_stream(uw_exchange *x, const char *p, size_t n)
{
	char framed[CHUNK_LINE + CHUNK_COPY + 2];
	int rc;
	x->streamed += (int64_t)n;
	if (x->stream == UW_CHUNKED) {
		size_t at = (size_t)snprintf(framed, CHUNK_LINE, "%zx\r\n", n);
		memcpy(framed + at, p, n);
		memcpy(framed + at + n, "\r\n", 2);
		p = framed;
		n += at + 2;
	}
	ssize_t sent;
	do
		sent = send(x->fd, p, n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent == (ssize_t)n)
		return 0;
	if (sent > 0) {
		p += sent;
		n -= (size_t)sent;
	}
	Py_BEGIN_ALLOW_THREADS
	rc = uwGoRest(x->id, (char *)p, n);
	Py_END_ALLOW_THREADS
	return rc;
}

// The socket does not block, so the GIL is kept for what it takes at once: letting go of it for
// each chunk of a generator costs more than the write. It is released where the client must be
// waited for, or the block is large.
int uw_send_block(uw_exchange *x, const char *p, Py_ssize_t n)
{
	int rc;
	if (uw_forked) {
		PyErr_SetString(PyExc_OSError, "this process was forked by the application and cannot answer the request of its parent");
		return -1;
	}
	if (x->over) {
		PyErr_SetString(PyExc_RuntimeError, "the response is over: nothing can be written by close()");
		return -1;
	}
	if (x->upgrade_state >= UW_UPGRADE_OPEN) // it would stand among the frames
		return 0;
	if (!x->has_head) {
		PyErr_SetString(PyExc_AssertionError, "write() or the first block came before start_response (PEP 3333)");
		return -1;
	}
	if (x->driver) {
		rc = greenlet_write(x, p, (size_t)n);
		if (rc == -2)
			return -1;
	} else if (x->stream == UW_RAW ? n < UW_COPY_LIMIT : x->stream == UW_CHUNKED && n <= CHUNK_COPY) {
		rc = write_stream(x, p, (size_t)n);
	} else if (n < UW_COPY_LIMIT) {
		rc = uwGoTryWrite(x->id, (char *)p, (size_t)n);
		if (rc == UW_AGAIN) {
			Py_BEGIN_ALLOW_THREADS
			rc = uwGoFlush(x->id);
			Py_END_ALLOW_THREADS
		}
	} else {
		Py_BEGIN_ALLOW_THREADS
		rc = uwGoWrite(x->id, (char *)p, (size_t)n);
		Py_END_ALLOW_THREADS
	}
	if (rc == 0)
		return 0;
	x->write_failed = 1;
	x->stream = UW_NO_STREAM;
	if (rc > 0) // the client is gone and the options say not to tell the application
		return 1;
	PyErr_SetString(PyExc_OSError, "write error");
	return -1;
}

int uw_send_object(uw_exchange *x, PyObject *o, const char *what)
{
	char *p;
	Py_ssize_t n;
	PyObject *tmp = NULL;
	if (!PyBytes_Check(o)) {
		// Other objects with a buffer, a bytearray or a memoryview, are taken for the bytes they
		// hold.
		PyObject *view = PyMemoryView_FromObject(o);
		tmp = view ? PyBytes_FromObject(view) : NULL;
		Py_XDECREF(view);
		if (!tmp) {
			if (!view) {
				PyErr_Clear();
				PyErr_Format(PyExc_TypeError, "%s %R, not bytes", what, (PyObject *)Py_TYPE(o));
			}
			return -1;
		}
		o = tmp;
	}
	int rc = PyBytes_AsStringAndSize(o, &p, &n) < 0 ? -1 : n > 0 ? uw_send_block(x, p, n) : 0;
	Py_XDECREF(tmp);
	return rc;
}
