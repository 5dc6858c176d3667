// The head of a response.
#ifndef UWSGI_HEAD_H
#define UWSGI_HEAD_H

#include <Python.h>

#include "bridge.h"

// uw_head_reset forgets what the application said.
void uw_head_reset(uw_exchange *x);

// uw_head_status sets a status of three digits, with its standard reason. -1: an exception is set,
// as below.
int uw_head_status(uw_exchange *x, int status);

// uw_head_field adds a header field, whose name is a token, and takes note of what the framing
// depends on. A field that is the server's to write is left out.
int uw_head_field(uw_exchange *x, const char *name, Py_ssize_t name_len, const char *value, Py_ssize_t value_len);

// uw_head_done is called when the head is whole.
void uw_head_done(uw_exchange *x);

// uw_head_line appends "name: value" to a buffer.
int uw_head_line(char **buf, size_t *cap, size_t *len, const char *name, Py_ssize_t name_len, const char *value, Py_ssize_t value_len);

// uw_head_clean refuses control bytes: CR or LF would let the application's user write headers of
// his own (RFC 9110 §5.5).
int uw_head_clean(const char *s, Py_ssize_t n, const char *what);

// uw_token reports whether a text is a token, as the name of a header must be (RFC 9110 §5.6.2).
int uw_token(const char *s, Py_ssize_t n);

// uw_same compares without regard to case, with a text in lower case.
int uw_same(const char *s, Py_ssize_t n, const char *lower, size_t m);
#define UW_IS(s, n, lit) uw_same(s, n, lit, sizeof(lit) - 1)

#endif
