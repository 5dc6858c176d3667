// The one place where the data plane meets the interpreter. Written to the limited API of 3.9, so
// that one binary serves every CPython from there on; the interpreter's own symbols are resolved
// when it loads us.
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

#include "environ.h"
#include "head.h"
#include "own.h"
#include "websocket.h"
#include "wsgi.h"
#include "_cgo_export.h"

int uw_forked, uw_has_forked, uw_has_after;
uw_exchange *uw_forker;

static uw_core **cores;
static int ncores;
static uw_exchange **exchanges; // made when they are first asked for
static int nexchanges;

static PyObject *applications; // list of callables
static PyObject *report_hook;  // f(type, value, traceback): prints it in one write
static PyObject *file_wrapper; // the FileWrapper class, NULL when disabled
static PyObject *after_hook;   // f(), called when a request is over
static PyObject *str_fileno, *str_close, *str_filelike;

uw_core *uw_core_get(int id) { return id >= 0 && id < ncores ? cores[id] : NULL; }

// wsgi_own_lines gives zeroed memory that shares no cache line with another thread's.
static void *wsgi_own_lines(size_t n)
{
	enum { LINE = 64 };
	n = (n + LINE - 1) / LINE * LINE;
	void *p = aligned_alloc(LINE, n);
	return p ? memset(p, 0, n) : NULL;
}

uw_exchange *uw_exchange_known(int id) { return id >= 0 && id < nexchanges ? exchanges[id] : NULL; }

uw_exchange *uw_exchange_get(int id)
{
	uw_exchange *x = uw_exchange_known(id);
	if (x || id < 0 || id >= nexchanges || !(x = wsgi_own_lines(sizeof *x)))
		return x;
	x->id = id;
	x->core = uw_core_get(id);
	x->fd = x->file_fd = -1;
	x->length = -1;
	return exchanges[id] = x;
}

void uw_report(void)
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
		PyErr_WriteUnraisable(report_hook); // not PyErr_Print, which ends the process for a SystemExit
	Py_XDECREF(t);
	Py_XDECREF(v);
	Py_XDECREF(tb);
}

// wsgi_hung_up reports whether the pending exception means the end of a WebSocket. StopIteration is
// how simple-websocket and engineio leave under gunicorn, ConnectionError how they leave under
// werkzeug.
static int wsgi_hung_up(const uw_exchange *x)
{
	switch (x->upgrade_state) {
	case UW_UPGRADE_OVER:
		return PyErr_ExceptionMatches(PyExc_OSError);
	case UW_UPGRADE_TAKEN:
		return PyErr_ExceptionMatches(PyExc_StopIteration) ||
		       (PyErr_ExceptionMatches(PyExc_ConnectionError) && !PyErr_ExceptionMatches(PyExc_ConnectionRefusedError));
	}
	return 0;
}

int uw_failed(uw_exchange *x)
{
	if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
		PyObject *t, *v, *tb;
		PyErr_Fetch(&t, &v, &tb);
		PyErr_NormalizeException(&t, &v, &tb);
		PyObject *code = v ? PyObject_GetAttrString(v, "code") : NULL;
		x->exit_code = 0;
		if (code && PyLong_Check(code))
			x->exit_code = (int)(PyLong_AsLong(code) & 0xff);
		else if (code && code != Py_None)
			x->exit_code = 1;
		Py_XDECREF(code);
		Py_XDECREF(t);
		Py_XDECREF(v);
		Py_XDECREF(tb);
		PyErr_Clear();
		return UW_EXIT;
	}
	if (wsgi_hung_up(x)) {
		PyErr_Clear();
		return UW_DONE;
	}
	if ((x->write_failed || x->upgrade_state == UW_UPGRADE_REFUSED) && PyErr_ExceptionMatches(PyExc_OSError))
		PyErr_Clear(); // the client is gone, or wanted nothing of this: the data plane logs that, a traceback would not help
	else
		uw_report();
	return UW_FAILED;
}

static int wsgi_close_result(PyObject *result)
{
	PyObject *m = PyObject_GetAttr(result, str_close);
	if (!m) {
		PyErr_Clear();
		return 0;
	}
	PyObject *r = PyObject_CallObject(m, NULL);
	Py_DECREF(m);
	if (!r) {
		uw_report();
		return -1;
	}
	Py_DECREF(r);
	return 0;
}

// wsgi_blocks takes the blocks of a tuple, or of a list that stays as it is, of which wsgi_sequence
// makes the body.
static int wsgi_blocks(uw_exchange *x, PyObject *result, int is_list)
{
	Py_ssize_t n = is_list ? PyList_Size(result) : PyTuple_Size(result);
	size_t total = 0;
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *o = is_list ? PyList_GetItem(result, i) : PyTuple_GetItem(result, i);
		if (!PyBytes_Check(o))
			return -2; // let the general path complain
		total += (size_t)PyBytes_Size(o);
	}
	if (!x->has_head)
		return -2;
	if (x->head_sent && total > 0) // write() was used before
		return -2;
	x->switches = (int)n;
	char *p;
	Py_ssize_t len;
	if (n == 1 && total > UW_COPY_LIMIT) {
		PyObject *o = is_list ? PyList_GetItem(result, 0) : PyTuple_GetItem(result, 0);
		PyBytes_AsStringAndSize(o, &p, &len);
		Py_INCREF(o);
		x->pinned = o;
		x->body = p;
		x->body_len = (size_t)len;
		return UW_BUFFERED;
	}
	if (total > UW_COPY_LIMIT)
		return -2; // many large blocks: written one by one, without a copy
	if (uw_grow(&x->body_buf, &x->body_cap, total) < 0)
		return -1;
	size_t at = 0;
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *o = is_list ? PyList_GetItem(result, i) : PyTuple_GetItem(result, i);
		PyBytes_AsStringAndSize(o, &p, &len);
		memcpy(x->body_buf + at, p, (size_t)len);
		at += (size_t)len;
	}
	x->body = x->body_buf;
	x->body_len = total;
	return UW_BUFFERED;
}

// wsgi_sequence handles a list or tuple of bytes, the answer of most applications: it is known
// whole, so it goes out in one write. -2: not such a sequence; -1: an exception is set.
static int wsgi_sequence(uw_exchange *x, PyObject *result)
{
	int is_list = PyList_CheckExact(result);
	if (!is_list && !PyTuple_CheckExact(result))
		return -2;
	PyObject *settled = uw_settled(result);
	if (!settled)
		return -1;
	int rc = wsgi_blocks(x, settled, PyList_CheckExact(settled));
	Py_DECREF(settled);
	return rc;
}

static int wsgi_is_wrapper(PyObject *o) { return file_wrapper && (PyObject *)Py_TYPE(o) == file_wrapper; }

// wsgi_open_wrapped recognises a wsgi.file_wrapper around a regular file: it duplicates its
// descriptor and says which part is to be sent. 0: it is something else, to be iterated.
static int wsgi_open_wrapped(PyObject *o, int *file, int64_t *off, int64_t *len)
{
	if (!wsgi_is_wrapper(o))
		return 0;
	PyObject *f = PyObject_GetAttr(o, str_filelike);
	if (!f) {
		PyErr_Clear();
		return 0;
	}
	int found = 0, fd = -1;
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
	// The file object may have read ahead: its own position counts, not the descriptor's.
	pos = PyObject_CallMethod(f, "tell", NULL);
	if (!pos || !PyLong_Check(pos))
		goto done;
	*off = PyLong_AsLongLong(pos);
	if (*off < 0 || *off >= st.st_size) // the files of /proc say that they are empty
		goto done;
	*len = st.st_size - *off;
	*file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	found = *file >= 0;
done:
	PyErr_Clear();
	Py_XDECREF(m);
	Py_XDECREF(r);
	Py_XDECREF(pos);
	Py_DECREF(f);
	return found;
}

// wsgi_file_body has Go send a wrapped file that is the whole body. -2: it is not.
static int wsgi_file_body(uw_exchange *x, PyObject *result)
{
	if (!x->has_head || x->head_sent) // write() was used before: the file's blocks follow
		return -2;
	return wsgi_open_wrapped(result, &x->file_fd, &x->file_off, &x->file_len) ? UW_FILE : -2;
}

// wsgi_file_blocks sends a wrapped file that is a part of the body, by its descriptor too, since
// the read() of a text file gives no bytes. -2: it has no descriptor.
static int wsgi_file_blocks(uw_exchange *x, PyObject *wrapper)
{
	enum { BLOCK = 64 << 10 };
	int fd, rc = 0;
	int64_t off, left;
	if (!wsgi_open_wrapped(wrapper, &fd, &off, &left))
		return -2;
	char *buf = malloc(BLOCK);
	if (!buf) {
		PyErr_NoMemory();
		rc = -1;
	}
	while (rc == 0 && left > 0) {
		ssize_t n;
		Py_BEGIN_ALLOW_THREADS
		do
			n = pread(fd, buf, left < BLOCK ? (size_t)left : BLOCK, off);
		while (n < 0 && errno == EINTR);
		Py_END_ALLOW_THREADS
		if (n < 0) {
			PyErr_SetFromErrno(PyExc_OSError);
			rc = -1;
		}
		if (n <= 0)
			break;
		off += n;
		left -= n;
		rc = uw_send_block(x, buf, n);
	}
	free(buf);
	close(fd);
	return rc;
}

static int wsgi_iterate(uw_exchange *x, PyObject *result, int within);

// wsgi_block sends what an iterable gave. A wrapped file that a generator yields is sent in its
// place, as uWSGI does; within says that this is one.
static int wsgi_block(uw_exchange *x, PyObject *chunk, int within)
{
	if (chunk == Py_None)
		return 0;
	if (wsgi_is_wrapper(chunk) && !within) {
		int rc = wsgi_iterate(x, chunk, 1);
		PyObject *t, *v, *tb;
		PyErr_Fetch(&t, &v, &tb);
		wsgi_close_result(chunk);
		PyErr_Restore(t, v, tb);
		return rc;
	}
	return uw_send_object(x, chunk, "the application yielded");
}

static int wsgi_iterate(uw_exchange *x, PyObject *result, int within)
{
	PyObject *it, *chunk;
	int rc = wsgi_file_blocks(x, result);
	if (rc != -2)
		return rc;
	if (PyBytes_Check(result) || PyByteArray_Check(result)) { // every byte as a block of its own would be what PEP 3333 warns of
		x->switches = 1;
		return wsgi_block(x, result, within);
	}
	it = PyObject_GetIter(result);
	if (!it)
		return -1;
	while ((chunk = PyIter_Next(it))) {
		x->switches++;
		rc = wsgi_block(x, chunk, within);
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

static int wsgi_respond(uw_exchange *x, PyObject *result)
{
	int rc = wsgi_sequence(x, result);
	if (rc == -2)
		rc = wsgi_file_body(x, result);
	if (rc >= 0) {
		if (rc == UW_FILE) {
			// Written by Go before close(): a wrapper's close() may delete the file's name, not its
			// descriptor. On a loop it waits for nobody, and all calls are ordered by the GIL.
			PyThreadState *tstate = x->driver ? NULL : PyEval_SaveThread();
			uwGoFile(x->id);
			if (tstate)
				PyEval_RestoreThread(tstate);
			x->over = 1;
			wsgi_close_result(result);
			return UW_DONE;
		}
		return rc;
	}
	if (rc == -1)
		return uw_failed(x);
	int outcome = UW_DONE;
	rc = wsgi_iterate(x, result, 0);
	if (rc < 0) {
		outcome = uw_failed(x);
	} else if (rc == 0 && !x->has_head) {
		PyErr_SetString(PyExc_AssertionError, "the application returned without calling start_response (PEP 3333)");
		outcome = uw_failed(x);
	}
	if (rc == 0 && outcome == UW_DONE && !uw_forked) {
		// The last byte goes out before close(), where applications like to tidy up. It waits for
		// nobody, so the GIL is kept.
		uwGoFinish(x->id);
	}
	x->over = 1;
	wsgi_close_result(result);
	return outcome;
}

// The graveyard: objects to be dropped by whoever holds the GIL next.
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
void uw_bury_all(void)
{
	if (!atomic_load(&grave_any))
		return;
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

void uw_end_child(PyObject *result)
{
	static const char msg[] = "uwsgi: a child forked by the application returned into the server; it ends here (use os._exit)\n";
	if (!uw_forked)
		return;
	if (!result)
		uw_report();
	if (write(2, msg, sizeof msg - 1) < 0) {
	}
	_exit(result ? 0 : 1);
}

void uw_exchange_begin(uw_exchange *x)
{
	uw_serial_next(x);
	x->upgrade_state = UW_UPGRADE_NONE;
	x->head_sent = x->over = x->write_failed = x->switches = x->exit_code = 0;
	x->stream = UW_NO_STREAM;
	x->streamed = 0;
	x->file_fd = -1;
	x->body_len = 0;
	uw_head_reset(x);
}

PyObject *uw_application(int app)
{
	PyObject *callable = app >= 0 && app < PyList_Size(applications) ? PyList_GetItem(applications, app) : NULL;
	return callable == Py_None ? NULL : callable;
}

// wsgi_bystander reports whether this child was forked by another request than x: under gevent all
// greenlets go on in a child.
static int wsgi_bystander(const uw_exchange *x) { return x->driver && x != uw_forker; }

int uw_answer(uw_exchange *x, PyObject *callable, PyObject *environ)
{
	int outcome;
	PyObject *sr = environ ? uw_start_response_new(x) : NULL;
	if (!sr || (x->offers_socket && uw_offer_socket(x, environ) < 0)) {
		Py_XDECREF(sr);
		return uw_failed(x);
	}
	x->environ = environ;
	x->start_response = sr;
	PyObject *result = PyObject_CallFunctionObjArgs(callable, environ, sr, NULL);
	if (!wsgi_bystander(x))
		uw_end_child(result);
	if (uw_forked) {
		Py_XDECREF(result);
		PyErr_Clear();
		outcome = UW_FAILED;
	} else if (result) {
		outcome = wsgi_respond(x, result);
		if (uw_forked && !wsgi_bystander(x))
			_exit(0);
		Py_DECREF(result);
	} else {
		outcome = uw_failed(x);
	}
	x->environ = x->start_response = NULL;
	Py_DECREF(sr);
	return outcome;
}

int uw_call(uw_exchange *x, int app, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd)
{
	uw_core *c = x->core;
	PyObject *environ, *callable;
	int outcome = UW_NOAPP;

	PyEval_RestoreThread(c->tstate);
	uw_bury_all();
	c->current = x;
	uw_exchange_begin(x);

	callable = uw_application(app);
	if (callable) {
		Py_INCREF(callable);
		environ = uw_environ(c->id, arena, vars, nvars, https, body, body_len, body_fd);
		outcome = uw_answer(x, callable, environ);
		Py_XDECREF(environ);
		Py_DECREF(callable);
	} else if (body_fd >= 0) {
		close(body_fd);
	}
	uw_serial_next(x); // from here on a start_response or write() that the application kept is refused
	c->current = NULL;
	c->tstate = PyEval_SaveThread();
	return outcome;
}

void uw_after_hook(void)
{
	if (!uw_has_after)
		return;
	PyObject *r = PyObject_CallObject(after_hook, NULL);
	uw_end_child(r);
	if (!r)
		uw_report();
	Py_XDECREF(r);
}

void uw_after(uw_exchange *x)
{
	uw_core *c = x->core;
	PyEval_RestoreThread(c->tstate);
	uw_after_hook();
	c->tstate = PyEval_SaveThread();
}

int uw_signals(uw_core *c)
{
	PyEval_RestoreThread(c->tstate);
	int rc = 0;
	if (PyErr_CheckSignals() < 0) {
		rc = PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
		if (PyErr_ExceptionMatches(PyExc_SystemExit))
			PyErr_Clear();
		else
			uw_report();
	}
	c->tstate = PyEval_SaveThread();
	return rc;
}

static PyObject *signal_handler; // of all uWSGI signals: called with the number

void uw_deliver_here(int number)
{
	if (!signal_handler || uw_forked)
		return;
	PyObject *r = PyObject_CallFunction(signal_handler, "i", number);
	uw_end_child(r);
	if (!r)
		uw_report();
	Py_XDECREF(r);
}

void uw_deliver(uw_core *c, int number)
{
	PyEval_RestoreThread(c->tstate);
	uw_deliver_here(number);
	c->tstate = PyEval_SaveThread();
}

PyObject *uw_on_signal(PyObject *self, PyObject *handler)
{
	Py_XDECREF(signal_handler);
	Py_INCREF(handler);
	signal_handler = handler;
	Py_RETURN_NONE;
}

// --- what module.c needs ---

int uw_own_begin(void)
{
	if (uw_names_begin() == 0 && uw_environ_begin() == 0 && uw_start_response_begin() == 0)
		return 0;
	PyErr_NoMemory();
	return -1;
}

int uw_bridge_init(PyObject *apps, PyObject *report_fn, PyObject *wrapper, int threads, int limit)
{
	str_fileno = PyUnicode_InternFromString("fileno");
	str_close = PyUnicode_InternFromString("close");
	str_filelike = PyUnicode_InternFromString("filelike");
	if (uw_start_response_init() < 0 || !str_fileno || !str_close || !str_filelike)
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
	exchanges = calloc((size_t)limit, sizeof *exchanges);
	if (!cores || !exchanges)
		return -1;
	nexchanges = limit;
	for (int i = 0; i < threads; i++) {
		if (!(cores[i] = wsgi_own_lines(sizeof *cores[i])))
			return -1;
		cores[i]->id = i;
	}
	ncores = threads;
	return 0;
}

void uw_set_after(PyObject *hook)
{
	Py_INCREF(hook);
	after_hook = hook;
	uw_has_after = 1;
}

// uw_close_inherited lets go of the connections that this child of the application got by fork: the
// client must see them end when the worker ends them.
void uw_close_inherited(void)
{
	for (int i = 0; i < nexchanges; i++)
		if (exchanges[i] && exchanges[i]->fd >= 0)
			close(exchanges[i]->fd);
}
