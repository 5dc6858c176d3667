// What Python calls, a file a kind of area.
#ifndef UWSGI_SHARED_H
#define UWSGI_SHARED_H

#include "Python.h"

#include "area.h"

#define METH_FASTCALL 0x80 // of the stable ABI since 3.10, there before

typedef PyObject *const *Arguments;

// They raise the exceptions that CPython's own parser would. A count is that of what was given; an
// argument that was not given is left as it is.
int arguments_count(const char *function, Py_ssize_t given, int least, int most);
const char *arguments_name(const char *function, int number, PyObject *); // str without NUL
int arguments_whole(Arguments, Py_ssize_t n, int at, int64_t *out); // of C's long
int arguments_int(PyObject *, int64_t *);      // of C's int
int arguments_longlong(PyObject *, int64_t *);
int arguments_byte(PyObject *, int64_t *);     // 0 to 255
int arguments_masked(PyObject *, int64_t *);   // of any size: the low bits count
int arguments_bytes(const char *function, int number, PyObject *, struct span *); // bytes, or str as UTF-8

// shared_enter takes a lock, without the GIL if it has to wait; shared_leave gives both back.
PyThreadState *shared_enter(struct area *, area_repair);
void shared_leave(struct area *, PyThreadState *);

PyObject *sharedarea_py_open(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_read(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_write(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_read8(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_write8(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_readbyte(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_writebyte(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_read16(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_write16(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_read32(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_write32(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_read64(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_write64(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_readlong(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_writelong(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_inc32(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_dec32(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_inc64(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_dec64(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_inclong(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_rlock(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_wlock(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_unlock(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_memoryview(PyObject *, Arguments, Py_ssize_t);
PyObject *sharedarea_py_object(PyObject *, Arguments, Py_ssize_t);

PyObject *queue_py_open(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_push(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_set(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_get(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_pop(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_pull(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_last(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_slot(PyObject *, Arguments, Py_ssize_t);
PyObject *queue_py_pull_slot(PyObject *, Arguments, Py_ssize_t);

PyObject *metrics_py_open(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_get(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_set(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_inc(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_dec(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_mul(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_div(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_set_max(PyObject *, Arguments, Py_ssize_t);
PyObject *metric_py_set_min(PyObject *, Arguments, Py_ssize_t);

PyObject *cache_py_open(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_get(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_set(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_update(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_del(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_exists(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_clear(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_keys(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_inc(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_dec(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_mul(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_div(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_num(PyObject *, Arguments, Py_ssize_t);
PyObject *cache_py_sound(PyObject *, Arguments, Py_ssize_t);

#endif
