#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

// What is kept: the names of a few hundred sorts of clients, none longer than any that is in use.
enum { NAMES_KEPT = UW_NAMES / 2, NAMES_LONGEST = 128, NAMES_PROBES = 16 };

#ifdef Py_GIL_DISABLED
_Thread_local uw_name *uw_names;
int uw_names_begin(void) { return uw_names || (uw_names = calloc(UW_NAMES, sizeof *uw_names)) ? 0 : -1; }
#else
uw_name uw_names[UW_NAMES];
int uw_names_begin(void) { return 0; }
#endif
static UW_OWN int names_kept, names_first;

static uint32_t names_hash(const char *s, uint32_t n)
{
	uint32_t h = 2166136261u;
	for (uint32_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

static int names_make(uw_name *e, const char *s, uint32_t n, uint32_t h)
{
	if (names_kept >= NAMES_KEPT || n > NAMES_LONGEST)
		return -1;
	char *copy = malloc(n ? n : 1);
	PyObject *str = PyUnicode_DecodeLatin1(s, n, NULL);
	if (!copy || !str) {
		free(copy);
		Py_XDECREF(str);
		PyErr_Clear(); // the caller makes what it needs by itself, and is told
		return -1;
	}
	memcpy(copy, s, n);
	PyUnicode_InternInPlace(&str);
	*e = (uw_name){str, copy, n, h, 0};
	names_kept++;
	return (int)(e - uw_names);
}

int uw_name_find(const char *s, uint32_t n)
{
	uint32_t h = names_hash(s, n);
	for (uint32_t i = 0; i < NAMES_PROBES; i++) {
		uw_name *e = &uw_names[(h + i) % UW_NAMES];
		if (!e->str)
			return names_make(e, s, n, h);
		if (e->hash == h && e->len == n && memcmp(e->bytes, s, n) == 0)
			return (int)(e - uw_names);
	}
	return -1;
}

int uw_name_after(int slot, const char *s, uint32_t n)
{
	int *next = slot < 0 ? &names_first : &uw_names[slot].next;
	const uw_name *e = &uw_names[*next];
	if (e->str && e->len == n && memcmp(e->bytes, s, n) == 0)
		return *next;
	int found = uw_name_find(s, n);
	if (found >= 0)
		*next = found;
	return found;
}
