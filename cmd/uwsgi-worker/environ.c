#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#include <unistd.h>

#include "environ.h"

static PyObject *base_environ, *make_bytes_io, *open_file;
static PyObject *key_input, *key_scheme, *key_core, *val_http, *val_https;
static PyObject *empty;
static int many_cores;
static PyObject **core_numbers;

// Names of variables recur from request to request: each is made once and its hash with it. Bounded, since names come from clients.
enum { SLOTS = 1024, KEEP = 512 };
typedef struct {
	PyObject *str;
	char *bytes;
	uint32_t len, hash;
} name;
static name names[SLOTS];
static int nnames;

// Values such as the host's or the browser's name recur too: each name remembers its last one.
typedef struct {
	PyObject *str;
	uint32_t len;
	char bytes[148];
} value;
static value last[SLOTS];

static uint32_t hash_of(const char *s, uint32_t n)
{
	uint32_t h = 2166136261u;
	for (uint32_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

// name_of gives a new reference; *slot is where it is kept, -1 when it is not.
static PyObject *name_of(const char *s, uint32_t n, int *slot)
{
	uint32_t h = hash_of(s, n);
	for (uint32_t i = 0; i < 16; i++) {
		name *e = &names[(h + i) % SLOTS];
		if (!e->str) {
			if (nnames >= KEEP || n > 128)
				break;
			char *copy = malloc(n ? n : 1);
			PyObject *str = PyUnicode_DecodeLatin1(s, n, NULL);
			if (!copy || !str) {
				free(copy);
				*slot = -1;
				return str;
			}
			memcpy(copy, s, n);
			PyUnicode_InternInPlace(&str);
			*e = (name){str, copy, n, h};
			nnames++;
			*slot = (int)(e - names);
			Py_INCREF(str);
			return str;
		}
		if (e->hash == h && e->len == n && memcmp(e->bytes, s, n) == 0) {
			*slot = (int)(e - names);
			Py_INCREF(e->str);
			return e->str;
		}
	}
	*slot = -1;
	return PyUnicode_DecodeLatin1(s, n, NULL);
}

static PyObject *value_of(const char *s, uint32_t n, int slot)
{
	if (n == 0) {
		Py_INCREF(empty);
		return empty;
	}
	if (slot < 0 || n > sizeof last[0].bytes)
		return PyUnicode_DecodeLatin1(s, n, NULL);
	value *v = &last[slot];
	if (v->str && v->len == n && memcmp(v->bytes, s, n) == 0) {
		Py_INCREF(v->str);
		return v->str;
	}
	PyObject *str = PyUnicode_DecodeLatin1(s, n, NULL);
	if (!str)
		return NULL;
	Py_XDECREF(v->str);
	Py_INCREF(str);
	v->str = str;
	v->len = n;
	memcpy(v->bytes, s, n);
	return str;
}

int uw_environ_init(PyObject *base, PyObject *bytes_io, PyObject *open_fd, int cores)
{
	Py_INCREF(base);
	base_environ = base;
	Py_INCREF(bytes_io);
	make_bytes_io = bytes_io;
	Py_INCREF(open_fd);
	open_file = open_fd;
	key_input = PyUnicode_InternFromString("wsgi.input");
	key_scheme = PyUnicode_InternFromString("wsgi.url_scheme");
	key_core = PyUnicode_InternFromString("uwsgi.core");
	val_http = PyUnicode_InternFromString("http");
	val_https = PyUnicode_InternFromString("https");
	empty = PyUnicode_FromStringAndSize("", 0);
	many_cores = cores > 1;
	core_numbers = calloc((size_t)cores, sizeof *core_numbers);
	for (int i = 0; core_numbers && i < cores; i++)
		if (!(core_numbers[i] = PyLong_FromLong(i)))
			return -1;
	return core_numbers && key_input && key_scheme && key_core && val_http && val_https && empty ? 0 : -1;
}

static PyObject *input_of(const char *body, size_t len, int fd)
{
	if (fd >= 0) {
		PyObject *n = PyLong_FromLong(fd);
		PyObject *f = n ? PyObject_CallFunctionObjArgs(open_file, n, NULL) : NULL;
		Py_XDECREF(n);
		if (!f)
			close(fd);
		return f;
	}
	if (len == 0)
		return PyObject_CallObject(make_bytes_io, NULL);
	PyObject *b = PyBytes_FromStringAndSize(body, (Py_ssize_t)len);
	PyObject *io = b ? PyObject_CallFunctionObjArgs(make_bytes_io, b, NULL) : NULL;
	Py_XDECREF(b);
	return io;
}

// A client, and the front end before it, sends the same names in the same order each time, and most values recur too. So the environ of the last
// request is kept as a template (never the application's own dict, which it may change): the next one starts as a copy, which costs no hashing and
// no growing, and only values that differ are set.
enum { LARGEST = 128 };
typedef struct {
	PyObject *dict;
	int n, stale;
	unsigned life; // changes with dict: an allocation may collect garbage, whose finalizers may let another thread in here
	short slots[LARGEST];
	PyObject *values[LARGEST]; // borrowed from dict
} template;
static template shapes[2]; // of requests with and without a body, which have other names, say

// texts looks the variables up: new references in keys and values, where names are kept in slots. -1: an exception is set.
static int texts(const char *arena, const uw_var *vars, int n, PyObject **keys, PyObject **values, short *slots)
{
	for (int i = 0; i < n; i++) {
		const uw_var *v = &vars[i];
		int slot;
		keys[i] = name_of(arena + v->key_off, v->key_len, &slot);
		values[i] = keys[i] ? value_of(arena + v->val_off, v->val_len, slot) : NULL;
		slots[i] = (short)slot;
		if (!values[i]) {
			Py_XDECREF(keys[i]);
			while (i-- > 0) {
				Py_DECREF(keys[i]);
				Py_DECREF(values[i]);
			}
			return -1;
		}
	}
	return 0;
}

static PyObject *build(PyObject **keys, PyObject **values, int n)
{
	PyObject *env = PyDict_Copy(base_environ);
	for (int i = 0; env && i < n; i++)
		if (PyDict_SetItem(env, keys[i], values[i]) < 0)
			Py_CLEAR(env);
	return env;
}

// distinct tells whether no name occurs twice: of two the later counts, which a copy by position would get wrong.
static int distinct(const short *slots, int n)
{
	static unsigned seen[SLOTS], round;
	round++;
	for (int i = 0; i < n; i++) {
		if (slots[i] < 0 || seen[slots[i]] == round)
			return 0;
		seen[slots[i]] = round;
	}
	return 1;
}

static PyObject *environ_of(PyObject **keys, PyObject **values, const short *slots, int n)
{
	for (int s = 0; s < 2; s++) {
		template *t = &shapes[s];
		if (!t->dict || t->n != n || memcmp(t->slots, slots, (size_t)n * sizeof *slots))
			continue;
		PyObject *dict = t->dict;
		unsigned life = t->life;
		Py_INCREF(dict);
		PyObject *env = PyDict_Copy(dict);
		Py_DECREF(dict);
		if (t->life != life) {
			Py_XDECREF(env);
			return build(keys, values, n);
		}
		int changed = 0;
		for (int i = 0; env && i < n; i++)
			if (values[i] != t->values[i] && (changed++, PyDict_SetItem(env, keys[i], values[i]) < 0))
				Py_CLEAR(env);
		// Other values have become usual.
		if (changed > 4 && ++t->stale > 64) {
			t->life++;
			Py_CLEAR(t->dict);
		}
		return env;
	}
	PyObject *env = build(keys, values, n);
	if (!env || n > LARGEST || !distinct(slots, n))
		return env;
	PyObject *copy = PyDict_Copy(env);
	if (!copy) {
		Py_DECREF(env);
		return NULL;
	}
	static int victim;
	template *t = shapes[0].dict ? shapes[1].dict ? &shapes[victim ^= 1] : &shapes[1] : &shapes[0];
	PyObject *old = t->dict;
	t->dict = copy;
	t->life++;
	t->n = n;
	t->stale = 0;
	memcpy(t->slots, slots, (size_t)n * sizeof *slots);
	memcpy(t->values, values, (size_t)n * sizeof *values);
	Py_XDECREF(old);
	return env;
}

PyObject *uw_environ(int core, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd)
{
	PyObject *keys_here[LARGEST], *values_here[LARGEST], **keys = keys_here, **values = values_here;
	short slots_here[LARGEST], *slots = slots_here;
	void *more = NULL;
	PyObject *in = input_of(body, body_len, body_fd);
	if (!in)
		return NULL;
	if (nvars > LARGEST) {
		more = malloc((size_t)nvars * (2 * sizeof *keys + sizeof *slots));
		if (!more) {
			Py_DECREF(in);
			return PyErr_NoMemory();
		}
		keys = more;
		values = keys + nvars;
		slots = (short *)(values + nvars);
	}
	PyObject *env = NULL;
	if (texts(arena, vars, nvars, keys, values, slots) == 0) {
		env = environ_of(keys, values, slots, nvars);
		for (int i = 0; i < nvars; i++) {
			Py_DECREF(keys[i]);
			Py_DECREF(values[i]);
		}
	}
	free(more);
	if (env && (PyDict_SetItem(env, key_input, in) < 0 || PyDict_SetItem(env, key_scheme, https ? val_https : val_http) < 0 ||
	            (many_cores && PyDict_SetItem(env, key_core, core_numbers[core]) < 0)))
		Py_CLEAR(env);
	Py_DECREF(in);
	return env;
}
