// cache_*: arguments and answers are uWSGI's.
#include "cache.h"
#include "shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct named {
	struct named *next;
	char *name;
	struct cache *cache;
};

static struct named *caches; // in the order of the configuration

// text reads an argument as uWSGI's s# does: str as UTF-8, or what has constant bytes.
static int text(const char *function, int number, PyObject *o, struct span *out, PyObject **held) {
	Py_ssize_t n = 0;
	if (PyUnicode_Check(o)) {
		out->data = PyUnicode_AsUTF8AndSize(o, &n);
		out->size = n;
		return out->data ? 0 : -1;
	}
	if (PyMemoryView_Check(o)) {
		if (!(*held = PyBytes_FromObject(o)))
			return -1;
		o = *held;
	}
	if (!PyBytes_Check(o)) {
		PyErr_Format(PyExc_TypeError, "%s() argument %d must be str or read-only bytes-like object", function, number);
		return -1;
	}
	char *data;
	if (PyBytes_AsStringAndSize(o, &data, &n) < 0)
		return -1;
	out->data = data;
	out->size = n;
	return 0;
}

// named finds a cache: the first one where there is no name. Without an error NULL means that there
// is none of that name.
static int named(const char *function, Arguments a, Py_ssize_t n, int at, struct cache **out) {
	*out = NULL;
	struct named *c = caches;
	if (at < n) {
		const char *name = arguments_name(function, at + 1, a[at]);
		if (!name)
			return -1;
		while (*name && c && strcmp(c->name, name))
			c = c->next;
	}
	if (c)
		*out = c->cache;
	return 0;
}

// expiry makes the moment of "seconds from now", 0 = never.
static uint64_t expiry(int64_t seconds, uint64_t now) {
	if (!seconds)
		return 0;
	if (seconds < 0)
		return 1;
	return seconds > (int64_t)((INT64_MAX - now) / 1000000) ? 0 : now + (uint64_t)seconds * 1000000;
}

static int whole(Arguments a, Py_ssize_t n, int at, int64_t *out) {
	if (at >= n)
		return 0;
	if (!PyLong_Check(a[at])) {
		PyErr_SetString(PyExc_TypeError, "an integer is required");
		return -1;
	}
	*out = PyLong_AsLongLong(a[at]);
	return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyThreadState *enter(struct cache *c) { return shared_enter(&c->area, cache_repair); }
static void leave(struct cache *c, PyThreadState *state) { shared_leave(&c->area, state); }

static PyObject *truth(int yes) {
	PyObject *o = yes ? Py_True : Py_None;
	Py_INCREF(o);
	return o;
}

static void add(uint64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

PyObject *cache_py_open(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct span name;
	PyObject *held = NULL;
	int64_t fd = -1;
	if (arguments_count("cache_open", n, 2, 2) || text("cache_open", 1, a[0], &name, &held) || whole(a, n, 1, &fd))
		return NULL;
	struct named *c = calloc(1, sizeof *c);
	size_t size = 0;
	if (!c || !(c->name = strdup(name.data)))
		return PyErr_NoMemory();
	c->cache = (struct cache *)area_open(fd, CACHE_MAGIC, sizeof(struct cache), cache_repair, &size);
	if (!c->cache || c->cache->size > size) {
		free(c->name);
		free(c);
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	struct named **end = &caches;
	while (*end)
		end = &(*end)->next;
	*end = c;
	Py_RETURN_NONE;
}

static PyObject *copied(struct cache *c, struct span key, uint64_t now) {
	PyThreadState *state = PyEval_SaveThread();
	area_lock(&c->area, cache_repair);
	uint32_t i = cache_find(c, key, now);
	size_t size = i ? cache_slot(c, i)->size : 0;
	char *data = i ? malloc(size ? size : 1) : NULL;
	if (data)
		memcpy(data, cache_value(c, i), size);
	leave(c, state);
	add(i ? &c->hits : &c->misses);
	if (!i)
		Py_RETURN_NONE;
	PyObject *o = data ? PyBytes_FromStringAndSize(data, size) : PyErr_NoMemory();
	free(data);
	return o;
}

// used tells the list of what was used last, if nobody has the lock.
static void used(struct cache *c, uint32_t slot, uint64_t version) {
	if (c->newest == slot || area_try(&c->area, cache_repair))
		return;
	if (c->version == version)
		cache_use(c, slot);
	area_unlock(&c->area);
}

// A value is read without the lock, and again if somebody wrote meanwhile.
static PyObject *get(struct cache *c, struct span key) {
	uint64_t now = cache_now(), version, size;
	uint32_t slot;
	for (int try = 0; try < 50; try++) {
		if (cache_peek(c, key, now, &slot, &version, &size))
			continue;
		if (!slot) {
			add(&c->misses);
			Py_RETURN_NONE;
		}
		PyObject *o = PyBytes_FromStringAndSize(NULL, size);
		if (!o)
			return NULL;
		uint64_t block = cache_slot(c, slot)->block;
		if (block < c->blocks && size <= (c->blocks - block) * c->blocksize) {
			memcpy(PyBytes_AsString(o), (char *)c + c->blocks_at + block * c->blocksize, size);
			if (cache_unchanged(c, version)) {
				if (c->flags & CACHE_LRU)
					used(c, slot, version);
				add(&c->hits);
				return o;
			}
		}
		Py_DECREF(o);
	}
	return copied(c, key, now);
}

PyObject *cache_py_get(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct span key;
	struct cache *c;
	PyObject *held = NULL, *o = NULL;
	if (!arguments_count("cache_get", n, 1, 2) && !text("cache_get", 1, a[0], &key, &held) && !named("cache_get", a, n, 1, &c))
		o = c ? get(c, key) : truth(0);
	Py_XDECREF(held);
	return o;
}

PyObject *cache_py_exists(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct span key;
	struct cache *c;
	PyObject *held = NULL, *o = NULL;
	if (arguments_count("cache_exists", n, 1, 2) || text("cache_exists", 1, a[0], &key, &held) ||
		named("cache_exists", a, n, 1, &c))
		goto out;
	uint64_t now = cache_now(), version, size;
	uint32_t slot = 0;
	int again = 1;
	for (int try = 0; c && again && try < 50; try++)
		again = cache_peek(c, key, now, &slot, &version, &size);
	if (c && again) {
		PyThreadState *state = enter(c);
		slot = cache_find(c, key, now);
		leave(c, state);
	}
	o = truth(c && slot);
out:
	Py_XDECREF(held);
	return o;
}

// tell_full is uWSGI's line, once a minute.
static void tell_full(struct cache *c, uint64_t now) {
	uint64_t said = __atomic_load_n(&c->full_said, __ATOMIC_RELAXED);
	if (c->flags & CACHE_QUIET || (said && now - said < 60000000) ||
		!__atomic_compare_exchange_n(&c->full_said, &said, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	struct named *n = caches;
	while (n && n->cache != c)
		n = n->next;
	dprintf(2, "*** DANGER cache \"%s\" is FULL !!! ***\n", n ? n->name : "");
}

static PyObject *set(const char *function, Arguments a, Py_ssize_t n, int update) {
	struct span key, value;
	struct cache *c;
	PyObject *held[2] = {NULL, NULL}, *o = NULL;
	int64_t seconds = 0;
	if (arguments_count(function, n, 2, 4) || text(function, 1, a[0], &key, &held[0]) ||
		text(function, 2, a[1], &value, &held[1]) || whole(a, n, 2, &seconds) || named(function, a, n, 3, &c))
		goto out;
	enum cache_answer answer = CACHE_NOT;
	if (c) {
		uint64_t now = cache_now();
		PyThreadState *state = enter(c);
		answer = cache_set(c, key, value, expiry(seconds, now), update, now);
		leave(c, state);
		if (answer == CACHE_FULL)
			tell_full(c, now);
	}
	o = truth(answer == CACHE_DONE);
out:
	Py_XDECREF(held[0]);
	Py_XDECREF(held[1]);
	return o;
}

PyObject *cache_py_set(PyObject *self, Arguments a, Py_ssize_t n) { return (void)self, set("cache_set", a, n, 0); }

PyObject *cache_py_update(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, set("cache_update", a, n, 1);
}

PyObject *cache_py_del(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct span key;
	struct cache *c;
	PyObject *held = NULL, *o = NULL;
	if (!arguments_count("cache_del", n, 1, 2) && !text("cache_del", 1, a[0], &key, &held) && !named("cache_del", a, n, 1, &c)) {
		enum cache_answer answer = CACHE_NOT;
		if (c) {
			PyThreadState *state = enter(c);
			answer = cache_delete(c, key, cache_now());
			leave(c, state);
		}
		o = truth(answer == CACHE_DONE);
	}
	Py_XDECREF(held);
	return o;
}

PyObject *cache_py_clear(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct cache *c;
	if (arguments_count("cache_clear", n, 0, 1) || named("cache_clear", a, n, 0, &c))
		return NULL;
	if (c) {
		PyThreadState *state = enter(c);
		cache_clear(c);
		leave(c, state);
	}
	return truth(c != NULL);
}

// all_keys copies the keys, each after its length.
static char *all_keys(struct cache *c, uint64_t now, size_t *size) {
	size_t room = c->count * (sizeof(uint32_t) + 64) + 1, at = 0;
	char *out = malloc(room);
	for (uint32_t i = 1; out && i <= c->items + 1; i++) {
		struct slot *s = cache_slot(c, i);
		if (!s->state || (s->expires && s->expires <= now))
			continue;
		if (room - at < sizeof s->keysize + s->keysize) {
			room = room * 2 + s->keysize;
			char *more = realloc(out, room);
			if (!more) {
				free(out);
				return NULL;
			}
			out = more;
		}
		memcpy(out + at, &s->keysize, sizeof s->keysize);
		memcpy(out + at + sizeof s->keysize, cache_key(c, i), s->keysize);
		at += sizeof s->keysize + s->keysize;
	}
	*size = at;
	return out;
}

PyObject *cache_py_keys(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct cache *c;
	if (arguments_count("cache_keys", n, 0, 1) || named("cache_keys", a, n, 0, &c))
		return NULL;
	if (!c) {
		PyErr_SetString(PyExc_ValueError, "no local uWSGI cache available");
		return NULL;
	}
	size_t size = 0;
	PyThreadState *state = PyEval_SaveThread();
	area_lock(&c->area, cache_repair);
	char *all = all_keys(c, cache_now(), &size);
	leave(c, state);
	PyObject *list = all ? PyList_New(0) : PyErr_NoMemory();
	for (size_t at = 0; list && at < size;) {
		uint32_t length;
		memcpy(&length, all + at, sizeof length);
		PyObject *key = PyBytes_FromStringAndSize(all + at + sizeof length, length);
		if (!key || PyList_Append(list, key) < 0) {
			Py_DECREF(list);
			list = NULL;
		}
		Py_XDECREF(key);
		at += sizeof length + length;
	}
	free(all);
	return list;
}

static PyObject *calculate(const char *function, Arguments a, Py_ssize_t n, enum cache_math how, int64_t by) {
	struct span key;
	struct cache *c;
	PyObject *held = NULL, *o = NULL;
	int64_t seconds = 0;
	if (arguments_count(function, n, 1, 4) || text(function, 1, a[0], &key, &held) || whole(a, n, 1, &by) ||
		whole(a, n, 2, &seconds) || named(function, a, n, 3, &c))
		goto out;
	enum cache_answer answer = CACHE_NOT;
	if (c) {
		uint64_t now = cache_now();
		PyThreadState *state = enter(c);
		answer = cache_calculate(c, key, how, by, expiry(seconds, now), now);
		leave(c, state);
		if (answer == CACHE_FULL)
			tell_full(c, now);
	}
	o = truth(answer == CACHE_DONE);
out:
	Py_XDECREF(held);
	return o;
}

PyObject *cache_py_inc(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, calculate("cache_inc", a, n, CACHE_INC, 1);
}

PyObject *cache_py_dec(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, calculate("cache_dec", a, n, CACHE_DEC, 1);
}

PyObject *cache_py_mul(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, calculate("cache_mul", a, n, CACHE_MUL, 2);
}

PyObject *cache_py_div(PyObject *self, Arguments a, Py_ssize_t n) {
	return (void)self, calculate("cache_div", a, n, CACHE_DIV, 2);
}

PyObject *cache_py_num(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct span key;
	struct cache *c;
	PyObject *held = NULL, *o = NULL;
	if (!arguments_count("cache_num", n, 1, 2) && !text("cache_num", 1, a[0], &key, &held) && !named("cache_num", a, n, 1, &c)) {
		int64_t number = 0;
		if (c) {
			PyThreadState *state = enter(c);
			uint32_t i = cache_find(c, key, cache_now());
			if (i && cache_slot(c, i)->size == sizeof number)
				memcpy(&number, cache_value(c, i), sizeof number);
			leave(c, state);
		}
		o = PyLong_FromLongLong(number);
	}
	Py_XDECREF(held);
	return o;
}

PyObject *cache_py_sound(PyObject *self, Arguments a, Py_ssize_t n) {
	(void)self;
	struct cache *c;
	if (arguments_count("cache_sound", n, 0, 1) || named("cache_sound", a, n, 0, &c))
		return NULL;
	if (!c)
		Py_RETURN_NONE;
	PyThreadState *state = enter(c);
	int answer = cache_sound(c);
	leave(c, state);
	return PyLong_FromLong(answer);
}
