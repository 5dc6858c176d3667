#include "shared.h"

#include <string.h>

int arguments_count(const char *function, Py_ssize_t given, int least, int most) {
	if (given >= least && given <= most)
		return 0;
	int wanted = given < least ? least : most;
	PyErr_Format(PyExc_TypeError, "%s() takes %s %d argument%s (%zd given)", function,
		least == most ? "exactly" : given < least ? "at least" : "at most", wanted, wanted == 1 ? "" : "s", given);
	return -1;
}

const char *arguments_name(const char *function, int number, PyObject *o) {
	if (!PyUnicode_Check(o)) {
		PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
		if (type)
			PyErr_Format(PyExc_TypeError, "%s() argument %d must be str, not %S", function, number,
				o == Py_None ? o : type);
		Py_XDECREF(type);
		return NULL;
	}
	Py_ssize_t size;
	const char *name = PyUnicode_AsUTF8AndSize(o, &size);
	if (name && strlen(name) != (size_t)size) {
		PyErr_SetString(PyExc_ValueError, "embedded null character");
		return NULL;
	}
	return name;
}

// whole gives an integer as C's long.
static int whole(PyObject *o, int64_t *out) {
	PyObject *index = PyNumber_Index(o);
	if (!index)
		return -1;
	*out = PyLong_AsLong(index);
	Py_DECREF(index);
	return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

int arguments_whole(Arguments a, Py_ssize_t n, int at, int64_t *out) {
	return at < n ? whole(a[at], out) : 0;
}

static int within(PyObject *o, int64_t *out, int64_t least, int64_t most, const char *what) {
	if (whole(o, out))
		return -1;
	if (*out >= least && *out <= most)
		return 0;
	PyErr_Format(PyExc_OverflowError, "%s integer is %s", what, *out < least ? "less than minimum" : "greater than maximum");
	return -1;
}

int arguments_int(PyObject *o, int64_t *out) { return within(o, out, INT32_MIN, INT32_MAX, "signed"); }
int arguments_byte(PyObject *o, int64_t *out) { return within(o, out, 0, 255, "unsigned byte"); }

int arguments_longlong(PyObject *o, int64_t *out) {
	PyObject *index = PyNumber_Index(o);
	if (!index)
		return -1;
	*out = PyLong_AsLongLong(index);
	Py_DECREF(index);
	return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

int arguments_masked(PyObject *o, int64_t *out) {
	PyObject *index = PyNumber_Index(o);
	if (!index)
		return -1;
	*out = (int64_t)PyLong_AsUnsignedLongLongMask(index);
	Py_DECREF(index);
	return PyErr_Occurred() ? -1 : 0;
}

static void not_bytes(const char *format, const char *function, int number, PyObject *o) {
	PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
	if (type && function)
		PyErr_Format(PyExc_TypeError, format, function, number, type);
	else if (type)
		PyErr_Format(PyExc_TypeError, format, type);
	Py_XDECREF(type);
}

int arguments_bytes(const char *function, int number, PyObject *o, struct span *out) {
	Py_ssize_t n = 0;
	if (PyUnicode_Check(o)) {
		out->data = PyUnicode_AsUTF8AndSize(o, &n);
		out->size = n;
		return out->data ? 0 : -1;
	}
	if (PyBytes_Check(o)) {
		char *data;
		if (PyBytes_AsStringAndSize(o, &data, &n) < 0)
			return -1;
		out->data = data;
		out->size = n;
		return 0;
	}
	PyObject *view = PyMemoryView_FromObject(o);
	if (view)
		not_bytes("%s() argument %d must be read-only bytes-like object, not %S", function, number, o);
	else {
		PyErr_Clear();
		not_bytes("a bytes-like object is required, not '%S'", NULL, 0, o);
	}
	Py_XDECREF(view);
	return -1;
}
