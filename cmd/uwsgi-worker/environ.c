#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#include <unistd.h>

#include "environ.h"

static PyObject *base_environ, *make_bytes_io, *open_file;
static PyObject *key_input, *key_scheme, *key_core, *val_http, *val_https;
static PyObject *empty;
static int many_cores;

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
	return key_input && key_scheme && key_core && val_http && val_https && empty ? 0 : -1;
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

PyObject *uw_environ(int core, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd)
{
	PyObject *in = input_of(body, body_len, body_fd);
	if (!in)
		return NULL;
	PyObject *env = PyDict_Copy(base_environ);
	if (!env || PyDict_SetItem(env, key_input, in) < 0 || PyDict_SetItem(env, key_scheme, https ? val_https : val_http) < 0) {
		Py_DECREF(in);
		Py_XDECREF(env);
		return NULL;
	}
	Py_DECREF(in);
	if (many_cores) {
		PyObject *n = PyLong_FromLong(core);
		if (n) {
			PyDict_SetItem(env, key_core, n);
			Py_DECREF(n);
		}
	}
	for (int i = 0; i < nvars; i++) {
		const uw_var *v = &vars[i];
		int slot;
		PyObject *k = name_of(arena + v->key_off, v->key_len, &slot);
		PyObject *val = k ? value_of(arena + v->val_off, v->val_len, slot) : NULL;
		int rc = val ? PyDict_SetItem(env, k, val) : -1;
		Py_XDECREF(k);
		Py_XDECREF(val);
		if (rc < 0) {
			Py_DECREF(env);
			return NULL;
		}
	}
	return env;
}
