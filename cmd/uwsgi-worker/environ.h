// The WSGI environ of one request.
#ifndef UWSGI_ENVIRON_H
#define UWSGI_ENVIRON_H

#include <Python.h>

#include "bridge.h"

// base: the constant keys (wsgi.version, wsgi.errors, flags …); bytes_io: io.BytesIO; open_fd:
// f(fd) -> binary file; cores > 1 adds uwsgi.core.
int uw_environ_init(PyObject *base, PyObject *bytes_io, PyObject *open_fd, int cores);

// A new dict (PEP 3333 §environ Variables), a new reference, or NULL with an exception set. It
// takes over body_fd.
PyObject *uw_environ(int core, const char *arena, const uw_var *vars, int nvars, int https, const char *body, size_t body_len, int body_fd);

#endif
