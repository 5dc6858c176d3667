// queue_*: arguments and answers are uWSGI's.
#include "queue.h"
#include "shared.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct queue *queue;

PyObject *queue_py_open(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	int64_t fd = -1;
	size_t size = 0;
	if (arguments_count("queue_open", n, 2, 2) || arguments_whole(a, n, 1, &fd))
		return NULL;
	struct queue *q = (struct queue *)area_open(fd, QUEUE_MAGIC, sizeof(struct queue), queue_repair, &size);
	if (q && (q->size > size || !q->slots)) {
		errno = EINVAL;
		q = NULL;
	}
	if (!q)
		return PyErr_SetFromErrno(PyExc_OSError);
	queue = q;
	Py_RETURN_NONE;
}

// enter takes the lock, without the GIL if it has to wait; leave gives both back.
static PyThreadState *enter(void) { return shared_enter(&queue->area, queue_repair); }
static void leave(PyThreadState *state) { shared_leave(&queue->area, state); }

static PyObject *truth(int yes) {
	PyObject *o = yes ? Py_True : Py_None;
	Py_INCREF(o);
	return o;
}

// copy gives what is in a slot, to be freed: NULL with size 0 where that is empty, with another one
// where there is no memory.
static char *copy(uint64_t i, size_t *size) {
	struct queue_slot *slot = queue_slot(queue, i);
	*size = slot->size;
	char *data = *size ? malloc(*size) : NULL;
	if (data)
		memcpy(data, slot->data, *size);
	return data;
}

static PyObject *bytes(char *data, size_t size) {
	if (!size)
		return truth(0);
	PyObject *o = data ? PyBytes_FromStringAndSize(data, size) : PyErr_NoMemory();
	free(data);
	return o;
}

// put fills a slot, NULL = the next one.
static PyObject *put(uint64_t *slot, struct span *value) {
	PyThreadState *state = enter();
	int rc = queue_put(queue, slot ? *slot : queue->pos, value->data, value->size, !slot);
	leave(state);
	return truth(!rc);
}

PyObject *queue_py_push(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct span value;
	if (arguments_count("queue_push", n, 1, 1) || arguments_bytes("queue_push", 1, a[0], &value))
		return NULL;
	return put(NULL, &value);
}

PyObject *queue_py_set(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	int64_t slot = 0;
	struct span value;
	if (arguments_count("queue_set", n, 2, 2) || arguments_whole(a, n, 0, &slot) ||
		arguments_bytes("queue_set", 2, a[1], &value))
		return NULL;
	return put((uint64_t *)&slot, &value);
}

PyObject *queue_py_get(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	int64_t slot = 0;
	size_t size = 0;
	if (arguments_count("queue_get", n, 1, 1) || arguments_whole(a, n, 0, &slot))
		return NULL;
	if ((uint64_t)slot >= queue->slots)
		return truth(0);
	PyThreadState *state = enter();
	char *data = copy(slot, &size);
	leave(state);
	return bytes(data, size);
}

// A pop goes a slot back even where there is nothing, as uWSGI's does: it may find more behind.
PyObject *queue_py_pop(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self, (void)a, (void)n;
	size_t size;
	PyThreadState *state = enter();
	uint64_t slot = queue_back(queue, queue->pos);
	char *data = copy(slot, &size);
	if (data || !size)
		queue_empty(queue, slot, slot, queue->pull);
	leave(state);
	return bytes(data, size);
}

PyObject *queue_py_pull(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self, (void)a, (void)n;
	size_t size;
	PyThreadState *state = enter();
	uint64_t slot = queue->pull;
	char *data = copy(slot, &size);
	if (data)
		queue_empty(queue, slot, queue->pos, slot + 1 < queue->slots ? slot + 1 : 0);
	leave(state);
	return bytes(data, size);
}

static PyObject *last(uint64_t count) {
	PyObject *list = PyList_New(0);
	uint64_t slot = __atomic_load_n(&queue->pos, __ATOMIC_RELAXED);
	for (; list && count; count--) {
		size_t size;
		slot = queue_back(queue, slot);
		PyThreadState *state = enter();
		char *data = copy(slot, &size);
		leave(state);
		PyObject *o = bytes(data, size);
		if (!o || PyList_Append(list, o) < 0) {
			Py_DECREF(list);
			list = NULL;
		}
		Py_XDECREF(o);
	}
	return list;
}

PyObject *queue_py_last(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	int64_t count = 0;
	size_t size = 0;
	if (arguments_count("queue_last", n, 0, 1) || arguments_whole(a, n, 0, &count))
		return NULL;
	if (count < 0) {
		PyErr_SetString(PyExc_ValueError, "queue_last() argument 1 must not be negative");
		return NULL;
	}
	if (count)
		return last((uint64_t)count < queue->slots ? (uint64_t)count : queue->slots);
	PyThreadState *state = enter();
	char *data = copy(queue_back(queue, queue->pos), &size);
	leave(state);
	return bytes(data, size);
}

PyObject *queue_py_slot(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self, (void)a, (void)n;
	return PyLong_FromLongLong(__atomic_load_n(&queue->pos, __ATOMIC_RELAXED));
}

PyObject *queue_py_pull_slot(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self, (void)a, (void)n;
	return PyLong_FromLongLong(__atomic_load_n(&queue->pull, __ATOMIC_RELAXED));
}
