// sharedarea_*: arguments and answers are uWSGI's.
#include "sharedarea.h"
#include "shared.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct opened {
	struct sharedarea *head;
	char *data;
};

static struct opened *areas; // in the order of the configuration
static int64_t area_count;

static char *map(int fd, uint64_t size) {
	struct stat st;
	if (fstat(fd, &st) < 0)
		return NULL;
	if ((uint64_t)st.st_size < size) { // past its end there is nothing to write to
		errno = EFBIG;
		return NULL;
	}
	char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return data == MAP_FAILED ? NULL : data;
}

// sharedarea_open(name, fd[, file]): file is the descriptor of one that holds the bytes.
PyObject *sharedarea_py_open(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	int64_t fd = -1, file = -1;
	size_t size = 0;
	if (arguments_count("sharedarea_open", n, 2, 3) || arguments_whole(a, n, 1, &fd) || arguments_whole(a, n, 2, &file))
		return NULL;
	struct opened *more = realloc(areas, (area_count + 1) * sizeof *areas);
	if (!more)
		return PyErr_NoMemory();
	areas = more;
	struct opened *o = &areas[area_count];
	o->head = (struct sharedarea *)area_open(fd, SHAREDAREA_MAGIC, sizeof(struct sharedarea), sharedarea_repair, &size);
	if (!o->head)
		return PyErr_SetFromErrno(PyExc_OSError);
	if (!o->head->data_at)
		o->data = map(file, o->head->size);
	else if (o->head->data_at <= size && o->head->size <= size - o->head->data_at)
		o->data = (char *)o->head + o->head->data_at;
	else {
		errno = EINVAL;
		o->data = NULL;
	}
	if (!o->data)
		return PyErr_SetFromErrno(PyExc_OSError);
	area_count++;
	Py_RETURN_NONE;
}

static PyObject *wrong(const char *function) {
	PyErr_Format(PyExc_ValueError, "error calling uwsgi_%s()", function);
	return NULL;
}

// place reads an area's number and a position, of which size bytes must be there; NULL with an
// exception.
static struct opened *place(const char *function, Arguments a, Py_ssize_t n, uint64_t size, char **at) {
	int64_t number, pos = 0;
	if (arguments_int(a[0], &number) || (n > 1 && arguments_longlong(a[1], &pos)))
		return NULL;
	struct opened *o = number >= 0 && number < area_count ? &areas[number] : NULL;
	if (!o || pos < 0 || (uint64_t)pos > o->head->size || size > o->head->size - (uint64_t)pos) {
		wrong(function);
		return NULL;
	}
	*at = o->data + pos;
	return o;
}

// enter takes the lock, unless this thread keeps it; without the GIL if it has to wait.
static int enter(struct opened *o, PyThreadState **state) {
	if (sharedarea_mine(o->head))
		return 0;
	*state = shared_enter(&o->head->area, sharedarea_repair);
	return 1;
}

static void leave(struct opened *o, int taken, PyThreadState *state) {
	if (taken)
		shared_leave(&o->head->area, state);
}

static void copy(struct opened *o, char *to, const char *from, size_t size) {
	PyThreadState *state = NULL;
	int taken = enter(o, &state);
	memcpy(to, from, size);
	leave(o, taken, state);
}

PyObject *sharedarea_py_read(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	char *at;
	int64_t size = 0;
	if (arguments_count("sharedarea_read", n, 2, 3) || (n > 2 && arguments_longlong(a[2], &size)))
		return NULL;
	struct opened *o = place("sharedarea_read", a, 2, size < 0 ? UINT64_MAX : (uint64_t)size, &at);
	if (!o)
		return NULL;
	uint64_t rest = o->data + o->head->size - at;
	if (!rest && o->head->size)
		return wrong("sharedarea_read");
	if (!size)
		size = rest;
	PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
	if (bytes)
		copy(o, PyBytes_AsString(bytes), at, size);
	return bytes;
}

PyObject *sharedarea_py_write(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	char *at;
	struct span value;
	if (arguments_count("sharedarea_write", n, 3, 3) || arguments_bytes("sharedarea_write", 3, a[2], &value))
		return NULL;
	struct opened *o = place("sharedarea_write", a, 2, value.size, &at);
	if (!o)
		return NULL;
	if (at == o->data + o->head->size)
		return wrong("sharedarea_write");
	copy(o, at, value.data, value.size);
	Py_RETURN_NONE;
}

static PyObject *get(const char *function, Arguments a, Py_ssize_t n, size_t size) {
	char *at;
	union {
		int8_t n8;
		int16_t n16;
		int32_t n32;
		int64_t n64;
	} number;
	struct opened *o = arguments_count(function, n, 2, 2) ? NULL : place(function, a, 2, size, &at);
	if (!o)
		return NULL;
	copy(o, (char *)&number, at, size);
	return PyLong_FromLongLong(size == 1 ? number.n8 : size == 2 ? number.n16 : size == 4 ? number.n32 : number.n64);
}

// put writes the low bytes of a number, as this machine has them: little end first.
static PyObject *put(const char *function, Arguments a, Py_ssize_t n, size_t size, int (*read)(PyObject *, int64_t *)) {
	char *at;
	int64_t number;
	if (arguments_count(function, n, 3, 3) || read(a[2], &number))
		return NULL;
	struct opened *o = place(function, a, 2, size, &at);
	if (!o)
		return NULL;
	int8_t n8 = number;
	int16_t n16 = number;
	int32_t n32 = number;
	copy(o, at, size == 1 ? (char *)&n8 : size == 2 ? (char *)&n16 : size == 4 ? (char *)&n32 : (char *)&number, size);
	Py_RETURN_NONE;
}

static PyObject *add(const char *function, Arguments a, Py_ssize_t n, size_t size, int sign,
	int (*read)(PyObject *, int64_t *)) {
	char *at;
	int64_t by = 1;
	if (arguments_count(function, n, 2, 3) || (n > 2 && read(a[2], &by)))
		return NULL;
	struct opened *o = place(function, a, 2, size, &at);
	if (!o)
		return NULL;
	PyThreadState *state = NULL;
	int taken = enter(o, &state);
	// One store each: who is killed leaves the number before, or the one after.
	if (size == 4) {
		uint32_t number;
		memcpy(&number, at, size);
		number += (uint32_t)(sign * by);
		memcpy(at, &number, size);
	} else {
		uint64_t number;
		memcpy(&number, at, size);
		number += (uint64_t)sign * (uint64_t)by;
		memcpy(at, &number, size);
	}
	leave(o, taken, state);
	Py_RETURN_NONE;
}

#define NUMBER(name, size, read)                                                          \
	PyObject *sharedarea_py_read##name(PyObject *self, Arguments a, Py_ssize_t n) {           \
		return (void)self, get("sharedarea_read" #name, a, n, size);                          \
	}                                                                                         \
	PyObject *sharedarea_py_write##name(PyObject *self, Arguments a, Py_ssize_t n) {          \
		return (void)self, put("sharedarea_write" #name, a, n, size, read);                   \
	}
#define ADD(name, size, sign, read)                                                       \
	PyObject *sharedarea_py_##name(PyObject *self, Arguments a, Py_ssize_t n) {               \
		return (void)self, add("sharedarea_" #name, a, n, size, sign, read);                  \
	}

NUMBER(8, 1, arguments_byte)
NUMBER(byte, 1, arguments_byte)
NUMBER(16, 2, arguments_masked)
NUMBER(32, 4, arguments_masked)
NUMBER(64, 8, arguments_longlong)
NUMBER(long, 8, arguments_longlong)
ADD(inc32, 4, 1, arguments_int)
ADD(dec32, 4, -1, arguments_int)
ADD(inc64, 8, 1, arguments_longlong)
ADD(dec64, 8, -1, arguments_longlong)
ADD(inclong, 8, 1, arguments_longlong)

// lock keeps the lock for this thread, which may have it already. Readers keep it from each other,
// too.
static PyObject *lock(const char *function, Arguments a, Py_ssize_t n) {
	char *at;
	struct opened *o = arguments_count(function, n, 1, 1) ? NULL : place(function, a, 1, 0, &at);
	if (!o)
		return NULL;
	PyThreadState *state = NULL;
	if (enter(o, &state)) {
		sharedarea_keep(o->head);
		if (state)
			PyEval_RestoreThread(state);
	}
	Py_RETURN_NONE;
}

PyObject *sharedarea_py_rlock(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, lock("sharedarea_rlock", a, n);
}

PyObject *sharedarea_py_wlock(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, lock("sharedarea_wlock", a, n);
}

PyObject *sharedarea_py_unlock(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	char *at;
	struct opened *o = arguments_count("sharedarea_unlock", n, 1, 1) ? NULL
		: place("sharedarea_unlock", a, 1, 0, &at);
	if (!o)
		return NULL;
	if (sharedarea_mine(o->head)) {
		sharedarea_let(o->head);
		shared_leave(&o->head->area, NULL);
	}
	Py_RETURN_NONE;
}

static PyObject *view(const char *function, const char *what, Arguments a, Py_ssize_t n) {
	int64_t number;
	if (arguments_count(function, n, 1, 1) || arguments_int(a[0], &number))
		return NULL;
	if (number < 0 || number >= area_count) {
		PyErr_Format(PyExc_ValueError, "cannot get %s from sharedarea %d", what, (int)number);
		return NULL;
	}
	return PyMemoryView_FromMemory(areas[number].data, areas[number].head->size, 0x200); // PyBUF_WRITE
}

PyObject *sharedarea_py_memoryview(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, view("sharedarea_memoryview", "a memoryview object", a, n);
}

PyObject *sharedarea_py_object(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, view("sharedarea_object", "an object", a, n);
}
