// What this library uses of CPython's stable ABI (PEP 384, as of 3.9), declared here so that it
// builds without anybody's headers, for any machine. With Py_GIL_DISABLED it is what free-threaded
// builds have in its place: 3.13t and 3.14t, of one layout, and no stable ABI.
// internal/header_test.go holds layouts and constants to those of real Python.h's.
#ifndef UWSGI_PYTHON_H
#define UWSGI_PYTHON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef ssize_t Py_ssize_t;
typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;
typedef struct _ts PyThreadState;

#ifdef Py_GIL_DISABLED
struct _object {
	uintptr_t ob_tid;
	uint16_t ob_flags; // 3.14's; nothing in 3.13
	uint8_t ob_mutex;
	uint8_t ob_gc_bits;
	uint32_t ob_ref_local;
	Py_ssize_t ob_ref_shared;
	PyTypeObject *ob_type;
};
#define PY_STATIC {0, 0, 0, 0, UINT32_MAX, 0, NULL} // immortal
#else
struct _object {
	Py_ssize_t ob_refcnt;
	PyTypeObject *ob_type;
};
#define PY_STATIC {1, NULL}
#endif

#define PyObject_HEAD PyObject ob_base;

typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef PyObject *(*getter)(PyObject *, void *);
typedef int (*setter)(PyObject *, PyObject *, void *);

typedef struct PyMethodDef {
	const char *ml_name;
	PyCFunction ml_meth;
	int ml_flags;
	const char *ml_doc;
} PyMethodDef;

enum { METH_VARARGS = 1, METH_KEYWORDS = 2, METH_NOARGS = 4, METH_O = 8 };

typedef struct PyGetSetDef {
	const char *name;
	getter get;
	setter set;
	const char *doc;
	void *closure;
} PyGetSetDef;

typedef struct PyModuleDef_Base {
	PyObject ob_base;
	PyObject *(*m_init)(void);
	Py_ssize_t m_index;
	PyObject *m_copy;
} PyModuleDef_Base;

typedef struct PyModuleDef {
	PyModuleDef_Base m_base;
	const char *m_name;
	const char *m_doc;
	Py_ssize_t m_size;
	PyMethodDef *m_methods;
	void *m_slots, *m_traverse, *m_clear, *m_free;
} PyModuleDef;

#define PyModuleDef_HEAD_INIT {PY_STATIC, NULL, 0, NULL}
#define PyModule_Create(def) PyModule_Create2(def, 3) // PYTHON_ABI_VERSION
#define PyMODINIT_FUNC __attribute__((visibility("default"))) PyObject *

typedef struct {
	int slot;
	void *pfunc;
} PyType_Slot;

typedef struct {
	const char *name;
	int basicsize, itemsize;
	unsigned int flags;
	PyType_Slot *slots;
} PyType_Spec;

enum {
	Py_tp_call = 50,
	Py_tp_dealloc = 52,
	Py_tp_doc = 56,
	Py_tp_iternext = 63,
	Py_tp_methods = 64,
	Py_tp_new = 65,
	Py_tp_getset = 73,
	Py_am_await = 77,
};

#define Py_TPFLAGS_DEFAULT 0UL

extern PyObject _Py_NoneStruct, _Py_TrueStruct, _Py_FalseStruct;
#define Py_None (&_Py_NoneStruct)
#define Py_True (&_Py_TrueStruct)
#define Py_False (&_Py_FalseStruct)

extern PyTypeObject PyBytes_Type, PyByteArray_Type, PyDict_Type, PyList_Type, PyMemoryView_Type, PyTuple_Type, PyUnicode_Type;

extern PyObject *PyExc_AssertionError, *PyExc_AttributeError, *PyExc_ConnectionError, *PyExc_ConnectionRefusedError,
	*PyExc_GeneratorExit, *PyExc_KeyError, *PyExc_KeyboardInterrupt, *PyExc_OSError, *PyExc_OverflowError,
	*PyExc_RuntimeError,
	*PyExc_StopIteration, *PyExc_SystemError, *PyExc_SystemExit, *PyExc_TypeError, *PyExc_ValueError;

static inline PyTypeObject *py_type(PyObject *o) { return o->ob_type; }

// Reference counts. One whose low half is negative is an immortal object's (PEP 683), which nobody
// need write. Without the GIL they are the interpreter's to count.

#ifdef Py_GIL_DISABLED
void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);
#define py_incref Py_IncRef
#define py_decref Py_DecRef
// py_references gives how many references there are to an object, -1 where that cannot be told.
static inline int py_references(PyObject *o) { return o ? -1 : 0; }
#else
void _Py_Dealloc(PyObject *);

static inline int py_references(PyObject *o) { return (int32_t)o->ob_refcnt; }

static inline int py_immortal(PyObject *o) { return sizeof o->ob_refcnt > 4 && (int32_t)o->ob_refcnt < 0; }

static inline void py_incref(PyObject *o)
{
	if (!py_immortal(o))
		o->ob_refcnt++;
}

static inline void py_decref(PyObject *o)
{
	if (!py_immortal(o) && --o->ob_refcnt == 0)
		_Py_Dealloc(o);
}
#endif

static inline void py_xincref(PyObject *o)
{
	if (o)
		py_incref(o);
}

static inline void py_xdecref(PyObject *o)
{
	if (o)
		py_decref(o);
}

#define Py_TYPE(o) py_type((PyObject *)(o))
#define Py_INCREF(o) py_incref((PyObject *)(o))
#define Py_DECREF(o) py_decref((PyObject *)(o))
#define Py_XINCREF(o) py_xincref((PyObject *)(o))
#define Py_XDECREF(o) py_xdecref((PyObject *)(o))
#define Py_CLEAR(o) \
	do { \
		PyObject *py_old = (PyObject *)(o); \
		(o) = NULL; \
		py_xdecref(py_old); \
	} while (0)
#define Py_RETURN_NONE return Py_INCREF(Py_None), Py_None
#define Py_RETURN_TRUE return Py_INCREF(Py_True), Py_True
#define Py_RETURN_FALSE return Py_INCREF(Py_False), Py_False

// Types.

unsigned long PyType_GetFlags(PyTypeObject *);
int PyType_IsSubtype(PyTypeObject *, PyTypeObject *);
PyObject *PyType_FromSpec(PyType_Spec *);
PyObject *PyType_GenericAlloc(PyTypeObject *, Py_ssize_t);

#define PY_HAS(o, bit) ((PyType_GetFlags(Py_TYPE(o)) >> (bit) & 1) != 0)
#define PyLong_Check(o) PY_HAS(o, 24)
#define PyList_Check(o) PY_HAS(o, 25)
#define PyTuple_Check(o) PY_HAS(o, 26)
#define PyBytes_Check(o) PY_HAS(o, 27)
#define PyUnicode_Check(o) PY_HAS(o, 28)
#define PyDict_Check(o) PY_HAS(o, 29)
#define PyExceptionInstance_Check(o) PY_HAS(o, 30)
#define PyType_Check(o) PY_HAS(o, 31)
#define PyExceptionClass_Check(o) (PyType_Check(o) && (PyType_GetFlags((PyTypeObject *)(o)) >> 30 & 1) != 0)
#define PyObject_TypeCheck(o, type) (Py_TYPE(o) == (type) || PyType_IsSubtype(Py_TYPE(o), type))
#define PyByteArray_Check(o) PyObject_TypeCheck(o, &PyByteArray_Type)
#define PyBytes_CheckExact(o) (Py_TYPE(o) == &PyBytes_Type)
#define PyDict_CheckExact(o) (Py_TYPE(o) == &PyDict_Type)
#define PyList_CheckExact(o) (Py_TYPE(o) == &PyList_Type)
#define PyMemoryView_Check(o) (Py_TYPE(o) == &PyMemoryView_Type)
#define PyTuple_CheckExact(o) (Py_TYPE(o) == &PyTuple_Type)
#define PyUnicode_CheckExact(o) (Py_TYPE(o) == &PyUnicode_Type)

// Arguments. Lengths ("s#") are Py_ssize_t: what PY_SSIZE_T_CLEAN asks for.

#define PyArg_ParseTuple _PyArg_ParseTuple_SizeT
#define PyArg_ParseTupleAndKeywords _PyArg_ParseTupleAndKeywords_SizeT
#define Py_BuildValue _Py_BuildValue_SizeT
#define PyObject_CallFunction _PyObject_CallFunction_SizeT
#define PyObject_CallMethod _PyObject_CallMethod_SizeT

int PyArg_ParseTuple(PyObject *, const char *, ...);
int PyArg_ParseTupleAndKeywords(PyObject *, PyObject *, const char *, char **, ...);
int PyArg_UnpackTuple(PyObject *, const char *, Py_ssize_t, Py_ssize_t, ...);
PyObject *Py_BuildValue(const char *, ...);

// Objects.

PyObject *PyObject_CallFunction(PyObject *, const char *, ...);
PyObject *PyObject_CallMethod(PyObject *, const char *, const char *, ...);
PyObject *PyObject_CallFunctionObjArgs(PyObject *, ...);
PyObject *PyObject_CallMethodObjArgs(PyObject *, PyObject *, ...);
PyObject *PyObject_CallObject(PyObject *, PyObject *);
PyObject *PyObject_GetAttr(PyObject *, PyObject *);
PyObject *PyObject_GetAttrString(PyObject *, const char *);
PyObject *PyObject_GetItem(PyObject *, PyObject *);
PyObject *PyObject_GetIter(PyObject *);
int PyObject_SetAttr(PyObject *, PyObject *, PyObject *);
int PyObject_SetAttrString(PyObject *, const char *, PyObject *);
int PyObject_IsTrue(PyObject *);
int PyObject_AsFileDescriptor(PyObject *);
PyObject *PyObject_Init(PyObject *, PyTypeObject *);
PyObject *_PyObject_New(PyTypeObject *);
#define PyObject_New(type, of) ((type *)_PyObject_New(of))
void *PyObject_Malloc(size_t);
void PyObject_Free(void *);
void *PyMem_Malloc(size_t);
void PyMem_Free(void *);

PyObject *PyIter_Next(PyObject *);
int PyIter_Check(PyObject *);
int PyMapping_Check(PyObject *);
PyObject *PySequence_GetItem(PyObject *, Py_ssize_t);
Py_ssize_t PySequence_Size(PyObject *);

PyObject *PyBool_FromLong(long);
PyObject *PyLong_FromLong(long);
PyObject *PyLong_FromLongLong(long long);
long PyLong_AsLong(PyObject *);
PyObject *PyNumber_Index(PyObject *);
long long PyLong_AsLongLong(PyObject *);
unsigned long long PyLong_AsUnsignedLongLongMask(PyObject *);

char *PyBytes_AsString(PyObject *);
int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
PyObject *PyBytes_FromObject(PyObject *);
PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
Py_ssize_t PyBytes_Size(PyObject *);
PyObject *PyMemoryView_FromMemory(char *, Py_ssize_t, int);
PyObject *PyMemoryView_FromObject(PyObject *);

PyObject *PyDict_Copy(PyObject *);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *);
PyObject *PyDict_New(void);
int PyDict_SetItem(PyObject *, PyObject *, PyObject *);
Py_ssize_t PyDict_Size(PyObject *);

int PyList_Append(PyObject *, PyObject *);
PyObject *PyList_GetItem(PyObject *, Py_ssize_t);
PyObject *PyList_New(Py_ssize_t);
int PyList_SetItem(PyObject *, Py_ssize_t, PyObject *);
PyObject *PyList_AsTuple(PyObject *);
Py_ssize_t PyList_Size(PyObject *);

PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
PyObject *PyTuple_Pack(Py_ssize_t, ...);
Py_ssize_t PyTuple_Size(PyObject *);

PyObject *PyUnicode_AsLatin1String(PyObject *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *); // of the stable ABI since 3.10, exported before
PyObject *PyUnicode_AsUTF8String(PyObject *);
int PyUnicode_CompareWithASCIIString(PyObject *, const char *);
PyObject *PyUnicode_DecodeLatin1(const char *, Py_ssize_t, const char *);
PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *);
int PyUnicode_FSConverter(PyObject *, void *);
PyObject *PyUnicode_FromString(const char *);
PyObject *PyUnicode_FromStringAndSize(const char *, Py_ssize_t);
Py_ssize_t PyUnicode_GetLength(PyObject *);
PyObject *PyUnicode_InternFromString(const char *);
void PyUnicode_InternInPlace(PyObject **);
PyObject *PyUnicode_Join(PyObject *, PyObject *);

// Modules.

PyObject *PyModule_Create2(PyModuleDef *, int);
PyObject *PyImport_ImportModule(const char *);
void *PyCapsule_Import(const char *, int);
#ifdef Py_GIL_DISABLED
#define Py_MOD_GIL_NOT_USED ((void *)1)
int PyUnstable_Module_SetGIL(PyObject *, void *);
PyObject *PyList_GetItemRef(PyObject *, Py_ssize_t);
int PyDict_GetItemRef(PyObject *, PyObject *, PyObject **);
typedef struct {
	uint8_t _bits;
} PyMutex;
void PyMutex_Lock(PyMutex *);
void PyMutex_Unlock(PyMutex *);
#endif
PyObject *PyCMethod_New(PyMethodDef *, PyObject *, PyObject *, PyTypeObject *);
#define PyCFunction_NewEx(def, self, module) PyCMethod_New(def, self, module, NULL)

// Exceptions.

int PyErr_CheckSignals(void);
void PyErr_Clear(void);
int PyErr_ExceptionMatches(PyObject *);
void PyErr_Fetch(PyObject **, PyObject **, PyObject **);
PyObject *PyErr_Format(PyObject *, const char *, ...);
int PyErr_GivenExceptionMatches(PyObject *, PyObject *);
PyObject *PyErr_NewExceptionWithDoc(const char *, const char *, PyObject *, PyObject *);
PyObject *PyErr_NoMemory(void);
void PyErr_NormalizeException(PyObject **, PyObject **, PyObject **);
PyObject *PyErr_Occurred(void);
void PyErr_Restore(PyObject *, PyObject *, PyObject *);
PyObject *PyErr_SetFromErrno(PyObject *);
PyObject *PyErr_SetFromErrnoWithFilename(PyObject *, const char *);
void PyErr_SetObject(PyObject *, PyObject *);
void PyErr_SetString(PyObject *, const char *);
void PyErr_WriteUnraisable(PyObject *);
int PyException_SetTraceback(PyObject *, PyObject *);

// Threads.

PyThreadState *PyEval_SaveThread(void);
void PyEval_RestoreThread(PyThreadState *);
unsigned long PyThread_get_thread_ident(void);

#define Py_BEGIN_ALLOW_THREADS { PyThreadState *py_saved = PyEval_SaveThread();
#define Py_END_ALLOW_THREADS PyEval_RestoreThread(py_saved); }

#endif
