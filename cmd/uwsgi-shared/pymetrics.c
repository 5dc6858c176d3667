// metric_*: arguments and answers are uWSGI's.
#include "metrics.h"
#include "shared.h"

static struct metrics *metrics;

PyObject *metrics_py_open(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	int64_t fd = -1;
	size_t size = 0;
	if (arguments_count("metrics_open", n, 2, 2) || arguments_whole(a, n, 1, &fd))
		return NULL;
	metrics = (struct metrics *)area_open(fd, METRICS_MAGIC, sizeof(struct metrics), metrics_repair, &size);
	if (!metrics || metrics->size > size)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

PyObject *metric_py_get(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	const char *name;
	if (arguments_count("metric_get", n, 1, 1) || !(name = arguments_name("metric_get", 1, a[0])))
		return NULL;
	struct metric *m = metric_find(metrics, name);
	return PyLong_FromLongLong(m ? metric_get(metrics, m) : 0);
}

static PyObject *change(const char *function, Arguments a, Py_ssize_t n, enum metric_change how) {
	const char *name;
	int64_t by = 1;
	if (arguments_count(function, n, 1, 2) || !(name = arguments_name(function, 1, a[0])) ||
		arguments_whole(a, n, 1, &by))
		return NULL;
	struct metric *m = metric_find(metrics, name);
	PyObject *o = m && !m->collected && !metric_change(metrics, m, how, by) ? Py_True : Py_None;
	Py_INCREF(o);
	return o;
}

#define CHANGE(name, how)                                             \
	PyObject *metric_py_##name(PyObject *self, Arguments a, Py_ssize_t n) { \
		return (void)self, change("metric_" #name, a, n, how);        \
	}

CHANGE(set, METRIC_SET)
CHANGE(inc, METRIC_INC)
CHANGE(dec, METRIC_DEC)
CHANGE(mul, METRIC_MUL)
CHANGE(div, METRIC_DIV)
CHANGE(set_max, METRIC_MAX)
CHANGE(set_min, METRIC_MIN)
