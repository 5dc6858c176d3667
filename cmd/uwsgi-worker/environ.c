#include <Python.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "environ.h"
#include "names.h"

static PyObject *env_base, *env_bytes_io, *env_open_file;
static PyObject *env_key_input, *env_key_scheme, *env_key_core, *env_http, *env_https;
static PyObject *env_empty;
static int env_many_cores;
static PyObject **env_core_numbers;

// Values such as the host's or the browser's name recur too: each name remembers its last one.
typedef struct {
	PyObject *str;
	uint32_t len;
	char bytes[148];
} value;

// A client, and the front end before it, sends the same names in the same order each time, and most
// values recur too. So the environ of a request is kept as a template (a copy, since the
// application may change its own): the next environ starts as a copy of that, which costs no
// hashing and no growing, and only values that differ are set.
enum { LARGEST = 128 };
typedef struct {
	PyObject *dict; // has every key, those of env_finish() too
	int n, stale, https;
	unsigned life; // changes with dict: an allocation may collect garbage, whose finalizers may let another thread in
	short slots[LARGEST];
	PyObject *values[LARGEST]; // borrowed from dict
} template;

typedef struct {
	value last[UW_NAMES];
	template shapes[2]; // of requests with and without a body, which have other names, say
	int victim;
	unsigned seen[UW_NAMES], round; // of env_distinct
} env_tables;
UW_TABLE(env_tables, env_own, uw_environ_begin)

static PyObject *env_value(const char *s, uint32_t n, int slot)
{
	if (n == 0) {
		Py_INCREF(env_empty);
		return env_empty;
	}
	if (slot < 0 || n > sizeof env_own->last[0].bytes)
		return PyUnicode_DecodeLatin1(s, n, NULL);
	value *v = &env_own->last[slot];
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
	env_base = base;
	Py_INCREF(bytes_io);
	env_bytes_io = bytes_io;
	Py_INCREF(open_fd);
	env_open_file = open_fd;
	env_key_input = PyUnicode_InternFromString("wsgi.input");
	env_key_scheme = PyUnicode_InternFromString("wsgi.url_scheme");
	env_key_core = PyUnicode_InternFromString("uwsgi.core");
	env_http = PyUnicode_InternFromString("http");
	env_https = PyUnicode_InternFromString("https");
	env_empty = PyUnicode_FromStringAndSize("", 0);
	env_many_cores = cores > 1;
	env_core_numbers = calloc((size_t)cores, sizeof *env_core_numbers);
	for (int i = 0; env_core_numbers && i < cores; i++)
		if (!(env_core_numbers[i] = PyLong_FromLong(i)))
			return -1;
	return env_core_numbers && env_key_input && env_key_scheme && env_key_core && env_http && env_https && env_empty ? 0 : -1;
}

static PyObject *env_input(const char *body, size_t len, int fd)
{
	if (fd >= 0) {
		PyObject *n = PyLong_FromLong(fd);
		PyObject *f = n ? PyObject_CallFunctionObjArgs(env_open_file, n, NULL) : NULL;
		Py_XDECREF(n);
		if (!f)
			close(fd);
		return f;
	}
	if (len == 0)
		return PyObject_CallObject(env_bytes_io, NULL);
	PyObject *b = PyBytes_FromStringAndSize(body, (Py_ssize_t)len);
	PyObject *io = b ? PyObject_CallFunctionObjArgs(env_bytes_io, b, NULL) : NULL;
	Py_XDECREF(b);
	return io;
}

// env_finish sets what comes from the server. scheme: wsgi.url_scheme has to be set too.
static PyObject *env_finish(PyObject *env, PyObject *in, int scheme, int https, int core)
{
	if (env && (PyDict_SetItem(env, env_key_input, in) < 0 || (scheme && PyDict_SetItem(env, env_key_scheme, https ? env_https : env_http) < 0) ||
	            (env_many_cores && PyDict_SetItem(env, env_key_core, env_core_numbers[core]) < 0)))
		Py_CLEAR(env);
	return env;
}

// env_fits reports whether the variables have the template's names in its order.
static int env_fits(const template *t, const char *arena, const uw_var *vars, int n)
{
	if (!t->dict || t->n != n)
		return 0;
	for (int i = 0; i < n; i++) {
		const uw_name *e = &uw_names[t->slots[i]];
		if (e->len != vars[i].key_len || memcmp(e->bytes, arena + vars[i].key_off, e->len))
			return 0;
	}
	return 1;
}

// env_from_template gives the environ of a request that fits t. It looks up all texts before it
// allocates anything that could let another thread in.
static PyObject *env_from_template(template *t, int core, const char *arena, const uw_var *vars, int n, int https, PyObject *in)
{
	struct {
		PyObject *key, *value; // names stay for ever; the value's reference is ours
	} changes[LARGEST];
	int changed = 0, scheme = t->https != https;
	unsigned life = t->life;
	PyObject *dict = t->dict, *env = NULL;
	for (int i = 0; i < n; i++) {
		PyObject *v = env_value(arena + vars[i].val_off, vars[i].val_len, t->slots[i]);
		if (!v)
			goto done;
		if (v == t->values[i]) {
			Py_DECREF(v); // the template's own
			continue;
		}
		changes[changed].key = uw_names[t->slots[i]].str;
		changes[changed++].value = v;
	}
	Py_INCREF(dict);
	env = PyDict_Copy(dict);
	Py_DECREF(dict);
	for (int i = 0; env && i < changed; i++)
		if (PyDict_SetItem(env, changes[i].key, changes[i].value) < 0)
			Py_CLEAR(env);
	env = env_finish(env, in, scheme, https, core);
	if (t->life == life && changed > 4 && ++t->stale > 64) { // other values have become usual
		t->life++;
		Py_CLEAR(t->dict);
	}
done:
	while (changed-- > 0)
		Py_DECREF(changes[changed].value);
	return env;
}

// env_texts looks up the variables: new references in keys and values, and in slots where each name
// is kept (-1: nowhere). -1: an exception is set.
static int env_texts(const char *arena, const uw_var *vars, int n, PyObject **keys, PyObject **values, short *slots)
{
	for (int i = 0; i < n; i++) {
		const uw_var *v = &vars[i];
		int slot = uw_name_find(arena + v->key_off, v->key_len);
		if (slot >= 0) {
			keys[i] = uw_names[slot].str;
			Py_INCREF(keys[i]);
		} else {
			keys[i] = PyUnicode_DecodeLatin1(arena + v->key_off, v->key_len, NULL);
		}
		values[i] = keys[i] ? env_value(arena + v->val_off, v->val_len, slot) : NULL;
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

// env_distinct reports whether every name is kept and none occurs twice: of two the later counts,
// which a copy by position would get wrong.
static int env_distinct(const short *slots, int n)
{
	unsigned *seen = env_own->seen, round = ++env_own->round;
	for (int i = 0; i < n; i++) {
		if (slots[i] < 0 || seen[slots[i]] == round)
			return 0;
		seen[slots[i]] = round;
	}
	return 1;
}

// env_keep makes env, of n variables, a template. It may fail: then there is none.
static void env_keep(PyObject *env, PyObject **values, const short *slots, int n, int https)
{
	PyObject *copy = PyDict_Copy(env);
	if (!copy || PyDict_SetItem(copy, env_key_input, Py_None) < 0) { // a body must not live as long
		Py_XDECREF(copy);
		PyErr_Clear();
		return;
	}
	template *shapes = env_own->shapes, *t = shapes[0].dict ? shapes[1].dict ? &shapes[env_own->victim ^= 1] : &shapes[1] : &shapes[0];
	PyObject *old = t->dict;
	t->dict = copy;
	t->life++;
	t->n = n;
	t->stale = 0;
	t->https = https;
	memcpy(t->slots, slots, (size_t)n * sizeof *slots);
	memcpy(t->values, values, (size_t)n * sizeof *values);
	Py_XDECREF(old);
}

PyObject *uw_environ(int core, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd)
{
	PyObject *keys_here[LARGEST], *values_here[LARGEST], **keys = keys_here, **values = values_here;
	short slots_here[LARGEST], *slots = slots_here;
	void *more = NULL;
	PyObject *in = env_input(body, body_len, body_fd), *env = NULL;
	if (!in)
		return NULL;
	for (int s = 0; s < 2; s++) {
		if (env_fits(&env_own->shapes[s], arena, vars, nvars)) {
			env = env_from_template(&env_own->shapes[s], core, arena, vars, nvars, https, in);
			Py_DECREF(in);
			return env;
		}
	}
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
	if (env_texts(arena, vars, nvars, keys, values, slots) == 0) {
		env = PyDict_Copy(env_base);
		for (int i = 0; env && i < nvars; i++)
			if (PyDict_SetItem(env, keys[i], values[i]) < 0)
				Py_CLEAR(env);
		env = env_finish(env, in, 1, https, core);
		if (env && nvars <= LARGEST && env_distinct(slots, nvars))
			env_keep(env, values, slots, nvars, https);
		for (int i = 0; i < nvars; i++) {
			Py_DECREF(keys[i]);
			Py_DECREF(values[i]);
		}
	}
	free(more);
	Py_DECREF(in);
	return env;
}
