// Tables that a thread of Python works in, and what it takes from objects that others may change.
// With the GIL one thread at a time is in Python code, and the tables are everybody's. Without it
// (Py_GIL_DISABLED, a free-threaded Python) each has its own, which uw_own_begin makes for it. Not
// as thread-local arrays: a library that Go is linked into has static TLS, of which there is
// little.
#ifndef UWSGI_OWN_H
#define UWSGI_OWN_H

#include <Python.h>
#include <stdlib.h>

#ifdef Py_GIL_DISABLED
#define UW_OWN _Thread_local
// UW_TABLE defines name, a pointer to the thread's own, and begin(), which makes it.
#define UW_TABLE(type, name, begin) \
	static _Thread_local type *name; \
	int begin(void) { return name || (name = calloc(1, sizeof *name)) ? 0 : -1; }
#else
#define UW_OWN
#define UW_TABLE(type, name, begin) \
	static type name##_all; \
	static type *const name = &name##_all; \
	int begin(void) { return 0; }
#endif

// uw_own_begin makes the tables of the calling thread, before it serves. -1: MemoryError is set.
int uw_own_begin(void);
int uw_names_begin(void);
int uw_environ_begin(void);
int uw_start_response_begin(void);

// uw_free_threaded tells the interpreter that a module, NULL or a new reference that is passed on,
// needs no GIL.
static inline PyObject *uw_free_threaded(PyObject *module)
{
#ifdef Py_GIL_DISABLED
	if (module && PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED) < 0)
		Py_CLEAR(module);
#endif
	return module;
}

// uw_list_item gives an item of a list, a new reference, or NULL with an exception set where there
// is none any more.
static inline PyObject *uw_list_item(PyObject *list, Py_ssize_t i)
{
#ifdef Py_GIL_DISABLED
	return PyList_GetItemRef(list, i);
#else
	PyObject *o = PyList_GetItem(list, i);
	Py_XINCREF(o);
	return o;
#endif
}

// uw_dict_item gives the value under a key, a new reference, or NULL, with an exception set or not.
static inline PyObject *uw_dict_item(PyObject *dict, PyObject *key)
{
#ifdef Py_GIL_DISABLED
	PyObject *o = NULL;
	return PyDict_GetItemRef(dict, key, &o) < 0 ? NULL : o;
#else
	PyObject *o = PyDict_GetItemWithError(dict, key);
	Py_XINCREF(o);
	return o;
#endif
}

// uw_settled gives a list or tuple as one whose items stay while nothing of Python is called, a new
// reference, or NULL with an exception set.
static inline PyObject *uw_settled(PyObject *sequence)
{
#ifdef Py_GIL_DISABLED
	if (PyList_CheckExact(sequence))
		return PyList_AsTuple(sequence);
#endif
	Py_INCREF(sequence);
	return sequence;
}

#endif
