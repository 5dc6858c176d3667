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
