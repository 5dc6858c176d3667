// The names of variables recur from request to request: each is made once and its hash with it.
// Bounded, since names come from clients. Used with the GIL held; without a GIL each thread has its
// own.
#ifndef UWSGI_NAMES_H
#define UWSGI_NAMES_H

#include <stdint.h>

#include "own.h"

enum { UW_NAMES = 1024 }; // slots, of which a half at most is used, so that a search ends soon

typedef struct {
	PyObject *str; // interned, NULL: the slot is free
	char *bytes;
	uint32_t len, hash;
	int next; // the slot of the name that came after it last time
} uw_name;

#ifdef Py_GIL_DISABLED
extern _Thread_local uw_name *uw_names;
#else
extern uw_name uw_names[UW_NAMES];
#endif

// uw_name_find gives the slot of a name, which it makes if there is room. -1: it is not kept.
int uw_name_find(const char *s, uint32_t n);

// uw_name_after is uw_name_find for the name that comes after the one in that slot (-1: for the
// first), without hashing where the order is the one of the last time.
int uw_name_after(int slot, const char *s, uint32_t n);

#endif
