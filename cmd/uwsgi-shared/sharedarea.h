// A shared area: bytes that all processes read and write, behind a lock that a thread can keep for
// as long as it likes. The bytes stand behind the head, or are those of a file.
#ifndef UWSGI_SHAREDAREA_H
#define UWSGI_SHAREDAREA_H

#include "area.h"

#define SHAREDAREA_MAGIC 0x3141524853575555ull // "UUWSHRA1"

struct sharedarea {
	struct area area;
	// The geometry, written by the supervisor (internal/sharedarea).
	uint64_t size;
	uint64_t data_at; // 0 = in a file
	uint8_t rest1[48];
	uint64_t keeper; // the thread that keeps the lock, 0 = none
};

_Static_assert(offsetof(struct sharedarea, size) == 256, "internal/sharedarea knows where it is");
_Static_assert(offsetof(struct sharedarea, data_at) == 264, "internal/sharedarea knows where it is");

void sharedarea_repair(struct area *, int restored);

// sharedarea_mine reports whether this thread keeps the lock: what it does then needs no other.
int sharedarea_mine(struct sharedarea *);

// sharedarea_keep and sharedarea_let are called with the lock taken, and before it is given back.
void sharedarea_keep(struct sharedarea *);
void sharedarea_let(struct sharedarea *);

#endif
