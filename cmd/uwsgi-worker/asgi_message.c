// What stands in the messages that applications send.
#include "asgi.h"
#include "head.h"
#include "own.h"

int asgi_is(asgi_kind *kind, PyObject *name)
{
	if (name == kind->seen)
		return 1;
	if (PyUnicode_CompareWithASCIIString(name, kind->text) != 0)
		return 0;
	if (PyUnicode_CheckExact(name)) { // a subclass's object may keep others alive
		PyObject *old = kind->seen;
		Py_INCREF(name);
		kind->seen = name;
		Py_XDECREF(old);
	}
	return 1;
}

// The exact types come first: to ask for subclasses takes a call.

PyObject *asgi_get(PyObject *message, PyObject *key)
{
	PyObject *o;
	if (PyDict_CheckExact(message) || PyDict_Check(message)) {
		o = uw_dict_item(message, key);
	} else {
		o = PyObject_GetItem(message, key);
		if (!o && PyErr_ExceptionMatches(PyExc_KeyError))
			PyErr_Clear();
	}
	if (o == Py_None)
		Py_CLEAR(o);
	return o;
}

int asgi_flag(PyObject *message, PyObject *key)
{
	PyObject *o = asgi_get(message, key);
	if (!o)
		return PyErr_Occurred() ? -1 : 0;
	int yes = o == Py_True || (o != Py_False && PyObject_IsTrue(o));
	Py_DECREF(o);
	return yes;
}

int64_t asgi_integer(PyObject *message, PyObject *key, int64_t missing)
{
	PyObject *o = asgi_get(message, key);
	if (!o)
		return PyErr_Occurred() ? -1 : missing;
	int64_t n = -1;
	if (!PyLong_Check(o))
		PyErr_Format(PyExc_TypeError, "%R of an ASGI message must be an int, not %R", key, (PyObject *)Py_TYPE(o));
	else
		n = PyLong_AsLongLong(o);
	if (n < 0 && !PyErr_Occurred())
		PyErr_Format(PyExc_ValueError, "%R of an ASGI message must not be negative", key);
	Py_DECREF(o);
	return n;
}

// message_span takes over the reference to o.
static int message_span(PyObject *o, asgi_span *s, PyObject *key)
{
	if (!PyBytes_CheckExact(o) && !PyBytes_Check(o)) { // other objects with a buffer are taken for the bytes they hold
		PyObject *view = PyMemoryView_FromObject(o), *copy = view ? PyBytes_FromObject(view) : NULL;
		if (!view && PyErr_ExceptionMatches(PyExc_TypeError)) {
			PyErr_Clear();
			PyErr_Format(PyExc_TypeError, "%R of an ASGI message must be bytes, not %R", key, (PyObject *)Py_TYPE(o));
		}
		Py_XDECREF(view);
		Py_DECREF(o);
		if (!copy)
			return -1;
		o = copy;
	}
	s->owner = o;
	s->p = PyBytes_AsString(o);
	s->n = PyBytes_Size(o);
	return 0;
}

int asgi_bytes(PyObject *message, PyObject *key, asgi_span *s)
{
	*s = (asgi_span){"", 0, NULL};
	PyObject *o = asgi_get(message, key);
	if (!o)
		return PyErr_Occurred() ? -1 : 0;
	return message_span(o, s, key);
}

// message_half gives one half of a pair.
static int message_half(PyObject *pair, Py_ssize_t i, asgi_span *s, const char *what)
{
	PyObject *o;
	if (PyTuple_CheckExact(pair)) {
		o = PyTuple_GetItem(pair, i);
		Py_XINCREF(o);
	} else {
		o = PySequence_GetItem(pair, i);
	}
	if (!o)
		return -1;
	if (PyBytes_CheckExact(o) || PyBytes_Check(o) || PyByteArray_Check(o) || PyMemoryView_Check(o))
		return message_span(o, s, Py_None);
	PyErr_Format(PyExc_TypeError, "http header %s must be bytes, not %R", what, (PyObject *)Py_TYPE(o));
	Py_DECREF(o);
	return -1;
}

static int message_field(PyObject *pair, int (*add)(void *to, const char *name, Py_ssize_t nl, const char *value, Py_ssize_t vl), void *to)
{
	asgi_span name, value;
	Py_ssize_t n = PyTuple_CheckExact(pair) ? PyTuple_Size(pair) : PyBytes_Check(pair) || PyUnicode_Check(pair) ? 0 : PySequence_Size(pair);
	if (n != 2) {
		PyErr_Clear();
		PyErr_Format(PyExc_TypeError, "an http header must be a pair of name and value, not %R", pair);
		return -1;
	}
	if (message_half(pair, 0, &name, "name") < 0)
		return -1;
	if (message_half(pair, 1, &value, "value") < 0) {
		Py_DECREF(name.owner);
		return -1;
	}
	int rc = -1;
	if (!uw_token(name.p, name.n))
		PyErr_Format(PyExc_ValueError, "invalid http header name %R", name.owner);
	else
		rc = add(to, name.p, name.n, value.p, value.n);
	Py_DECREF(name.owner);
	Py_DECREF(value.owner);
	return rc;
}

int asgi_fields(PyObject *message, PyObject *key, int (*add)(void *to, const char *name, Py_ssize_t nl, const char *value, Py_ssize_t vl), void *to)
{
	PyObject *all = asgi_get(message, key), *pair;
	int rc = 0;
	if (!all)
		return PyErr_Occurred() ? -1 : 0;
	if (PyList_CheckExact(all)) {
		// An item may run code when it is freed, and change the list.
		for (Py_ssize_t i = 0; rc == 0 && i < PyList_Size(all); i++) {
			pair = uw_list_item(all, i);
			rc = pair ? message_field(pair, add, to) : -1;
			Py_XDECREF(pair);
		}
	} else {
		PyObject *it = PyObject_GetIter(all);
		while (it && rc == 0 && (pair = PyIter_Next(it))) {
			rc = message_field(pair, add, to);
			Py_DECREF(pair);
		}
		Py_XDECREF(it);
		if (PyErr_Occurred())
			rc = -1;
	}
	Py_DECREF(all);
	return rc;
}
