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

int arguments_whole(Arguments a, Py_ssize_t n, int at, int64_t *out) {
	if (at >= n)
		return 0;
	PyObject *index = PyNumber_Index(a[at]);
	if (!index)
		return -1;
	*out = PyLong_AsLong(index);
	Py_DECREF(index);
	return *out == -1 && PyErr_Occurred() ? -1 : 0;
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
