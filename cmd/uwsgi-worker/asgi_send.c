// send(): the response of an application to an HTTP request, or to a websocket that it denies.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "asgi.h"
#include "head.h"

// What the application sends within one step of its coroutine, in quick succession, leaves
// together: a hundred chunks then cost a tenth. Not if it computes in between, for what was sent
// has to be on its way (ASGI, "send"). One buffer is enough, since only one step runs at a time.
enum {
	COLLECT_MOST = 16 << 10,    // what a socket takes in one piece; more gains little
	COLLECT_RECENT = 100 * 1000 // ns: shorter than anything that a client would notice
};
static struct {
	asgi_driver *of; // whose, NULL: nobody's
	size_t n;
	char bytes[COLLECT_MOST];
} collected;

enum {
	SEND_START,
	SEND_BODY,
	SEND_DENIAL_START,
	SEND_DENIAL_BODY,
	SEND_PATH,
	SEND_FILE,
	SEND_EARLY_HINT,
	SEND_TRAILERS,
	SEND_DEBUG,
	SEND_TYPES,
};
static asgi_kind send_kinds[SEND_TYPES] = {
	{"http.response.start", NULL}, {"http.response.body", NULL}, {"websocket.http.response.start", NULL}, {"websocket.http.response.body", NULL},
	{"http.response.pathsend", NULL}, {"http.response.zerocopysend", NULL}, {"http.response.early_hint", NULL}, {"http.response.trailers", NULL},
	{"http.response.debug", NULL},
};

static int64_t send_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// send_result notes Go's answer. -1: the client is gone, and that is raised: the application is
// spared the rest. Not so after the last of a response (more=0), for the application then goes on
// to what comes after it (background tasks), as if the client had left a moment later.
static int send_result(asgi_driver *d, int rc, int more)
{
	if (rc == UW_LOST) {
		d->gone = 1;
		if (!more)
			return 0;
		asgi_lost(d);
		return -1;
	}
	if (rc == UW_BEHIND)
		d->behind = 1;
	return 0;
}

int asgi_flush(asgi_driver *d)
{
	if (collected.of != d)
		return 0;
	collected.of = NULL;
	int rc = UW_HELD(uwGoSend(d->x->id, collected.bytes, collected.n, 1));
	if (rc == UW_LOST)
		d->gone = 1;
	else if (rc == UW_BEHIND)
		d->behind = 1;
	return rc == UW_LOST ? -1 : 0;
}

void asgi_drop(asgi_driver *d)
{
	if (collected.of == d)
		collected.of = NULL;
}

// send_flush sends what has been collected, and raises as send_result does.
static int send_flush(asgi_driver *d, int more) { return send_result(d, asgi_flush(d) < 0 || d->gone ? UW_LOST : 0, more); }

// send_ended notes that the response is whole: from here on receive() says so at once.
static void send_ended(asgi_driver *d)
{
	d->state = ASGI_ENDED;
	if (d->websocket && !d->code)
		d->code = 1006; // denied: there was never a connection
	asgi_wake(&d->receiving);
}

static int send_field(void *to, const char *name, Py_ssize_t nl, const char *value, Py_ssize_t vl)
{
	if (nl == 17 && UW_IS(name, nl, "transfer-encoding")) // how the response is framed is the server's affair (ASGI, "Response Start")
		return 0;
	return uw_head_field(to, name, nl, value, vl);
}

static int send_start(asgi_driver *d, PyObject *message)
{
	uw_exchange *x = d->x;
	int64_t status = asgi_integer(message, asgi_str.status, INT64_MAX);
	if (status < 0)
		return -1;
	if (status == INT64_MAX) {
		PyErr_Format(PyExc_TypeError, "'status' is missing in '%s'", send_kinds[d->websocket ? SEND_DENIAL_START : SEND_START].text);
		return -1;
	}
	if (status < 200 || status > 999) { // any other announces a response that is still to come (RFC 9110 §15.2)
		PyErr_Format(PyExc_ValueError, "%lld is no final http status", (long long)status);
		return -1;
	}
	uw_head_reset(x);
	int trailers = asgi_flag(message, asgi_str.trailers);
	if (trailers < 0 || uw_head_status(x, (int)status) < 0 || asgi_fields(message, asgi_str.headers, send_field, x) < 0) {
		uw_head_reset(x);
		return -1;
	}
	uw_head_done(x);
	d->state = ASGI_HEAD;
	d->trailers = (char)trailers;
	d->bodiless = d->head || status == 204 || status == 304;
	d->last = asgi_running == d ? INT64_MAX : 0;
	return 0;
}

// send_count counts what was given and checks it against what was promised.
static int send_count(asgi_driver *d, int64_t n, int more)
{
	int64_t length = d->bodiless ? -1 : d->x->length;
	if (length >= 0 && n > length - d->given) {
		PyErr_SetString(PyExc_RuntimeError, "Response content longer than Content-Length");
		return -1;
	}
	d->given += n;
	if (length >= 0 && !more && d->given < length) {
		PyErr_SetString(PyExc_RuntimeError, "Response content shorter than Content-Length");
		return -1;
	}
	return 0;
}

// send_collect keeps a block to be sent later in this step. 0: the block is not to be collected.
static int send_collect(asgi_driver *d, const asgi_span *s, int more)
{
	if (!more)
		return collected.of == d && (size_t)s->n <= COLLECT_MOST - collected.n;
	if (asgi_running != d || s->n > COLLECT_MOST || d->behind)
		return 0;
	int64_t now = send_now(), since = d->last == INT64_MAX ? 0 : now - d->last;
	d->last = now;
	return since < COLLECT_RECENT;
}

static int send_block(asgi_driver *d, asgi_span *s, int more)
{
	uw_exchange *x = d->x;
	if (d->gone && more) {
		asgi_lost(d);
		return -1;
	}
	if (send_collect(d, s, more)) {
		if (collected.of && (collected.of != d || collected.n + (size_t)s->n > COLLECT_MOST) && asgi_flush(collected.of) < 0 && d->gone) {
			asgi_lost(d);
			return -1;
		}
		if (!collected.of)
			collected.n = 0;
		collected.of = d;
		memcpy(collected.bytes + collected.n, s->p, (size_t)s->n);
		collected.n += (size_t)s->n;
		if (more)
			return 0;
		collected.of = NULL;
		return send_result(d, UW_HELD(uwGoSend(x->id, collected.bytes, collected.n, 0)), 0);
	}
	if (send_flush(d, more) < 0)
		return -1;
	if (s->n > UW_COPY_LIMIT) { // Go may keep the object in place of a copy
		Py_INCREF(s->owner);
		x->pinned = s->owner;
	}
	int rc = UW_HELD(uwGoSend(x->id, s->p, (size_t)s->n, more));
	PyObject *left = x->pinned;
	x->pinned = NULL;
	if (s->n > UW_COPY_LIMIT)
		Py_XDECREF(left);
	return send_result(d, rc, more);
}

static int send_body(asgi_driver *d, PyObject *message)
{
	asgi_span s;
	int more = asgi_flag(message, asgi_str.more_body);
	if (more < 0 || asgi_bytes(message, asgi_str.body, &s) < 0)
		return -1;
	int rc = send_count(d, s.n, more);
	if (rc == 0 && (!more || s.n > 0 || d->state == ASGI_HEAD))
		rc = send_block(d, &s, more || d->trailers);
	Py_XDECREF(s.owner);
	if (rc < 0)
		return -1;
	d->state = more ? ASGI_BODY : d->trailers ? ASGI_TRAILERS : ASGI_ENDED;
	if (d->state == ASGI_ENDED)
		send_ended(d);
	return 0;
}

// send_part sends a part of a file; it owns fd.
static int send_part(asgi_driver *d, int fd, int64_t off, int64_t len, int more)
{
	if (send_count(d, len, more) < 0 || send_flush(d, more) < 0) {
		close(fd);
		return -1;
	}
	if (send_result(d, UW_HELD(uwGoSendFile(d->x->id, fd, off, len, more || d->trailers)), more) < 0)
		return -1;
	d->state = more ? ASGI_BODY : d->trailers ? ASGI_TRAILERS : ASGI_ENDED;
	if (d->state == ASGI_ENDED)
		send_ended(d);
	return 0;
}

// send_regular gives the size of a regular file; -1: an exception is set.
static int64_t send_regular(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		PyErr_SetString(PyExc_ValueError, "only a regular file can be sent as such");
		return -1;
	}
	return st.st_size;
}

static int send_path(asgi_driver *d, PyObject *message)
{
	PyObject *path = asgi_get(message, asgi_str.path), *name = NULL;
	if (!path) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "'path' is missing in 'http.response.pathsend'");
		return -1;
	}
	if (!PyUnicode_FSConverter(path, &name)) {
		Py_DECREF(path);
		return -1;
	}
	int fd = open(PyBytes_AsString(name), O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO is not waited for
	if (fd < 0)
		PyErr_SetFromErrnoWithFilename(PyExc_OSError, PyBytes_AsString(name));
	Py_DECREF(name);
	Py_DECREF(path);
	if (fd < 0)
		return -1;
	int64_t size = send_regular(fd);
	if (size < 0) {
		close(fd);
		return -1;
	}
	return send_part(d, fd, 0, size, 0);
}

// send_file sends from a descriptor as os.sendfile() does: without an offset it starts at the
// descriptor's own, and moves that.
static int send_file(asgi_driver *d, PyObject *message)
{
	PyObject *file = asgi_get(message, asgi_str.file);
	if (!file) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "'file' is missing in 'http.response.zerocopysend'");
		return -1;
	}
	int own = PyObject_AsFileDescriptor(file);
	Py_DECREF(file);
	int64_t size = own < 0 ? -1 : send_regular(own);
	if (size < 0)
		return -1;
	int more = asgi_flag(message, asgi_str.more_body);
	int64_t off = asgi_integer(message, asgi_str.offset, INT64_MAX), count = asgi_integer(message, asgi_str.count, INT64_MAX);
	if (more < 0 || off < 0 || count < 0)
		return -1;
	int follows = off == INT64_MAX;
	if (follows && (off = lseek(own, 0, SEEK_CUR)) < 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	int64_t left = off < size ? size - off : 0, len = count < left ? count : left;
	int fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	if (follows)
		lseek(own, off + len, SEEK_SET);
	return send_part(d, fd, off, len, more);
}

typedef struct {
	char *p;
	size_t cap, n;
} send_lines;

static int send_line(void *to, const char *name, Py_ssize_t nl, const char *value, Py_ssize_t vl)
{
	send_lines *l = to;
	return uw_head_clean(value, vl, "http header value") < 0 ? -1 : uw_head_line(&l->p, &l->cap, &l->n, name, nl, value, vl);
}

static int send_trailers(asgi_driver *d, PyObject *message)
{
	send_lines l = {0};
	int more = asgi_flag(message, asgi_str.more_trailers);
	if (more < 0)
		return -1;
	if (more) {
		PyErr_SetString(PyExc_RuntimeError, "'more_trailers' is not supported: send all trailers at once");
		return -1;
	}
	int rc = asgi_fields(message, asgi_str.headers, send_line, &l);
	if (rc == 0 && (rc = send_flush(d, 0)) == 0)
		rc = send_result(d, UW_HELD(uwGoTrailers(d->x->id, l.p ? l.p : "", l.n)), 0);
	free(l.p);
	if (rc == 0)
		send_ended(d);
	return rc;
}

static int send_early_hint(asgi_driver *d, PyObject *message)
{
	send_lines l = {0};
	PyObject *links = asgi_get(message, asgi_str.links), *it = links ? PyObject_GetIter(links) : NULL, *o;
	int rc = PyErr_Occurred() ? -1 : 0;
	while (it && rc == 0 && (o = PyIter_Next(it))) {
		char *p;
		Py_ssize_t n;
		rc = PyBytes_AsStringAndSize(o, &p, &n) < 0 ? -1 : send_line(&l, "Link", 4, p, n);
		Py_DECREF(o);
	}
	if (PyErr_Occurred())
		rc = -1;
	Py_XDECREF(it);
	Py_XDECREF(links);
	if (rc == 0 && l.n > 0)
		rc = send_result(d, UW_HELD(uwGoInform(d->x->id, l.p, l.n)), 0);
	free(l.p);
	return rc;
}

static int send_unexpected(const char *expected, PyObject *type)
{
	PyErr_Format(PyExc_RuntimeError, "Expected ASGI message %s, but got '%U'.", expected, type);
	return -1;
}

// send_http takes a message in the state that the response is in.
static int send_http(asgi_driver *d, int type, PyObject *name, PyObject *message)
{
	if (type == SEND_DEBUG) // for tests of applications
		return 0;
	switch (d->state) {
	case ASGI_START:
		if (type == SEND_START)
			return send_start(d, message);
		if (type == SEND_EARLY_HINT)
			return send_early_hint(d, message);
		return send_unexpected("'http.response.start'", name);
	case ASGI_HEAD:
		if (type == SEND_PATH)
			return send_path(d, message);
		// fallthrough
	case ASGI_BODY:
		if (type == SEND_BODY)
			return send_body(d, message);
		if (type == SEND_FILE)
			return send_file(d, message);
		return send_unexpected("'http.response.body'", name);
	case ASGI_TRAILERS:
		if (type == SEND_TRAILERS)
			return send_trailers(d, message);
		return send_unexpected("'http.response.trailers'", name);
	}
	PyErr_Format(PyExc_RuntimeError, "Unexpected ASGI message '%U' sent, after response already completed.", name);
	return -1;
}

// send_denial takes a message of an application that denies a websocket with a response of its own.
static int send_denial(asgi_driver *d, int type, PyObject *name, PyObject *message)
{
	if (type == SEND_DENIAL_START && d->state == ASGI_START)
		return send_start(d, message);
	if (type == SEND_DENIAL_BODY && (d->state == ASGI_HEAD || d->state == ASGI_BODY))
		return send_body(d, message);
	return send_unexpected("'websocket.http.response.body'", name);
}

// send_type gives the number of a message's type; -1: unknown.
static int send_type(PyObject *name)
{
	for (int i = 0; i < SEND_TYPES; i++)
		if (name == send_kinds[i].seen)
			return i;
	for (int i = 0; i < SEND_TYPES; i++)
		if (asgi_is(&send_kinds[i], name))
			return i;
	return -1;
}

// send_over raises why nothing more can be sent.
static void send_over(asgi_driver *d, PyObject *name)
{
	if (d->gone)
		asgi_lost(d);
	else if (d->state == ASGI_ENDED)
		PyErr_Format(PyExc_RuntimeError, "Unexpected ASGI message '%U' sent, after response already completed.", name);
	else
		PyErr_Format(PyExc_RuntimeError, "Unexpected ASGI message '%U' sent, after the application has returned.", name);
}

int asgi_send(asgi_driver *d, PyObject *message)
{
	int rc = -1;
	if (uw_forked) {
		PyErr_SetString(PyExc_OSError, "this process was forked by the application and cannot answer the request of its parent");
		return -1;
	}
	if (d->sends) {
		PyErr_SetString(PyExc_RuntimeError, "send() was called within send()");
		return -1;
	}
	if (!PyDict_CheckExact(message) && !PyMapping_Check(message)) {
		PyErr_Format(PyExc_TypeError, "an ASGI message must be a dict, not %R", (PyObject *)Py_TYPE(message));
		return -1;
	}
	Py_INCREF(d); // what it calls may let go of the last reference
	d->sends = 1;
	PyObject *name = asgi_get(message, asgi_str.type);
	if (!name || !PyUnicode_Check(name)) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "an ASGI message must have a 'type', which is a str");
	} else if (!d->x || (d->websocket && d->gone && d->state != ASGI_ENDED)) {
		send_over(d, name);
	} else {
		int type = send_type(name);
		if (!d->websocket)
			rc = send_http(d, type, name, message);
		else if (d->state == ASGI_HEAD || d->state == ASGI_BODY || (d->state == ASGI_START && type == SEND_DENIAL_START))
			rc = send_denial(d, type, name, message);
		else
			rc = asgi_websocket_send(d, name, message);
		events_soon();
	}
	Py_XDECREF(name);
	d->sends = 0;
	if (rc == 0)
		rc = !(d->behind && d->x && d->state != ASGI_ENDED);
	Py_DECREF(d);
	return rc;
}

static PyObject *send_call(PyObject *self, PyObject *message)
{
	asgi_driver *d = (asgi_driver *)self;
	if (asgi_foreign()) { // asyncio.run_coroutine_threadsafe(send(message), loop): the loop's thread sends it
		PyErr_Clear();
		return asgi_wait_new(d, 1, message);
	}
	int rc = asgi_send(d, message);
	return rc < 0 ? NULL : rc > 0 ? asgi_done() : asgi_wait_new(d, 1, NULL);
}

PyMethodDef asgi_send_def = {"send", send_call, METH_O, "await send(message: dict): a message to the client (ASGI 3.0)"};
