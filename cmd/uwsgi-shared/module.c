#include "own.h"
#include "shared.h"

PyThreadState *shared_enter(struct area *a, area_repair repair) {
	if (!area_try(a, repair))
		return NULL;
	PyThreadState *state = PyEval_SaveThread();
	area_lock(a, repair);
	return state;
}

void shared_leave(struct area *a, PyThreadState *state) {
	area_unlock(a);
	if (state)
		PyEval_RestoreThread(state);
}

#define ROW(name, function, doc) {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, doc}

static PyMethodDef methods[] = {
	ROW("cache_open", cache_py_open, "Map the cache in a descriptor: cache_open(name, fd)."),
	ROW("cache_get", cache_py_get, "The value as bytes, or None: cache_get(key[, cache])."),
	ROW("cache_set", cache_py_set,
		"Add an item; True, or None if it is there, too large, or the cache full: "
		"cache_set(key, value[, expires[, cache]])."),
	ROW("cache_update", cache_py_update,
		"Add or replace an item; True or None: cache_update(key, value[, expires[, cache]])."),
	ROW("cache_del", cache_py_del, "Delete an item; True, or None if there is none: cache_del(key[, cache])."),
	ROW("cache_exists", cache_py_exists, "Whether there is an item: True or None: cache_exists(key[, cache])."),
	ROW("cache_clear", cache_py_clear, "Delete all items; True or None: cache_clear([cache])."),
	ROW("cache_keys", cache_py_keys, "The keys as a list of bytes: cache_keys([cache])."),
	ROW("cache_inc", cache_py_inc,
		"Add to a number of 64 bits; True or None: cache_inc(key[, n=1[, expires[, cache]]])."),
	ROW("cache_dec", cache_py_dec, "Subtract from it: cache_dec(key[, n=1[, expires[, cache]]])."),
	ROW("cache_mul", cache_py_mul, "Multiply it: cache_mul(key[, n=2[, expires[, cache]]])."),
	ROW("cache_div", cache_py_div, "Divide it: cache_div(key[, n=2[, expires[, cache]]])."),
	ROW("cache_num", cache_py_num, "The number, 0 if there is none: cache_num(key[, cache])."),
	ROW("cache_sound", cache_py_sound, "0 if the structure of a cache holds, for tests: cache_sound([cache])."),
	ROW("sharedarea_open", sharedarea_py_open, "Map the area in a descriptor: sharedarea_open(name, fd[, file])."),
	ROW("sharedarea_read", sharedarea_py_read,
		"Bytes from a position on, to the end without a size: sharedarea_read(area, pos[, size])."),
	ROW("sharedarea_write", sharedarea_py_write, "Write bytes: sharedarea_write(area, pos, bytes)."),
	ROW("sharedarea_read8", sharedarea_py_read8, "A number of 8 bits: sharedarea_read8(area, pos)."),
	ROW("sharedarea_write8", sharedarea_py_write8, "Write a number of 8 bits: sharedarea_write8(area, pos, n)."),
	ROW("sharedarea_readbyte", sharedarea_py_readbyte, "A number of 8 bits: sharedarea_readbyte(area, pos)."),
	ROW("sharedarea_writebyte", sharedarea_py_writebyte,
		"Write a number of 8 bits: sharedarea_writebyte(area, pos, n)."),
	ROW("sharedarea_read16", sharedarea_py_read16, "A number of 16 bits: sharedarea_read16(area, pos)."),
	ROW("sharedarea_write16", sharedarea_py_write16, "Write a number of 16 bits: sharedarea_write16(area, pos, n)."),
	ROW("sharedarea_read32", sharedarea_py_read32, "A number of 32 bits: sharedarea_read32(area, pos)."),
	ROW("sharedarea_write32", sharedarea_py_write32, "Write a number of 32 bits: sharedarea_write32(area, pos, n)."),
	ROW("sharedarea_read64", sharedarea_py_read64, "A number of 64 bits: sharedarea_read64(area, pos)."),
	ROW("sharedarea_write64", sharedarea_py_write64, "Write a number of 64 bits: sharedarea_write64(area, pos, n)."),
	ROW("sharedarea_readlong", sharedarea_py_readlong, "A number of 64 bits: sharedarea_readlong(area, pos)."),
	ROW("sharedarea_writelong", sharedarea_py_writelong,
		"Write a number of 64 bits: sharedarea_writelong(area, pos, n)."),
	ROW("sharedarea_inc32", sharedarea_py_inc32, "Add to a number of 32 bits: sharedarea_inc32(area, pos[, n=1])."),
	ROW("sharedarea_dec32", sharedarea_py_dec32, "Subtract from it: sharedarea_dec32(area, pos[, n=1])."),
	ROW("sharedarea_inc64", sharedarea_py_inc64, "Add to a number of 64 bits: sharedarea_inc64(area, pos[, n=1])."),
	ROW("sharedarea_dec64", sharedarea_py_dec64, "Subtract from it: sharedarea_dec64(area, pos[, n=1])."),
	ROW("sharedarea_inclong", sharedarea_py_inclong,
		"Add to a number of 64 bits: sharedarea_inclong(area, pos[, n=1])."),
	ROW("sharedarea_rlock", sharedarea_py_rlock,
		"Take the area's lock, which this thread keeps: sharedarea_rlock(area)."),
	ROW("sharedarea_wlock", sharedarea_py_wlock, "The same."),
	ROW("sharedarea_unlock", sharedarea_py_unlock, "Give it back: sharedarea_unlock(area)."),
	ROW("sharedarea_memoryview", sharedarea_py_memoryview,
		"A writable view of the whole area: sharedarea_memoryview(area)."),
	ROW("sharedarea_object", sharedarea_py_object, "The same."),
	ROW("queue_open", queue_py_open, "Map the queue in a descriptor: queue_open(name, fd)."),
	ROW("queue_push", queue_py_push, "Put a message behind the last; True, or None if it is empty or too large: "
		"queue_push(message)."),
	ROW("queue_pop", queue_py_pop, "Take the last message, or None."),
	ROW("queue_pull", queue_py_pull, "Take the first message, or None."),
	ROW("queue_get", queue_py_get, "What is in a slot, or None: queue_get(slot)."),
	ROW("queue_set", queue_py_set, "Fill a slot; True or None: queue_set(slot, message)."),
	ROW("queue_last", queue_py_last, "The last message, or None; with n > 0 a list of the last n: queue_last([n])."),
	ROW("queue_slot", queue_py_slot, "The slot that a push fills next."),
	ROW("queue_pull_slot", queue_py_pull_slot, "The slot that a pull looks at next."),
	ROW("metrics_open", metrics_py_open, "Map the metrics in a descriptor: metrics_open(name, fd)."),
	ROW("metric_get", metric_py_get, "The value of a metric, 0 if there is none: metric_get(name)."),
	ROW("metric_set", metric_py_set, "Set a metric; True, or None where it is not the application's: metric_set(name, n)."),
	ROW("metric_inc", metric_py_inc, "Add to a metric: metric_inc(name[, n=1])."),
	ROW("metric_dec", metric_py_dec, "Subtract from it: metric_dec(name[, n=1])."),
	ROW("metric_mul", metric_py_mul, "Multiply it: metric_mul(name[, n=1])."),
	ROW("metric_div", metric_py_div, "Divide it: metric_div(name[, n=1]); None for 0."),
	ROW("metric_set_max", metric_py_set_max, "Set it if that is more: metric_set_max(name, n)."),
	ROW("metric_set_min", metric_py_set_min, "Set it if that is less: metric_set_min(name, n)."),
	{NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "_uwsgi_shared", "Memory that all processes of an instance share.", -1, methods,
	NULL, NULL, NULL, NULL,
};

__attribute__((visibility("default"))) PyObject *PyInit__uwsgi_shared(void) {
	return uw_free_threaded(PyModule_Create(&definition));
}
