// Memory that the supervisor made and all processes of an instance share (internal/area). An area
// begins with struct area, what is its kind's own follows. Any process may be killed at any
// instruction: the lock is robust, and who gets it after a death repairs what the dead one left.
#ifndef UWSGI_AREA_H
#define UWSGI_AREA_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct area {
	uint64_t magic;  // the kind and its layout, written by the supervisor
	uint64_t owner;  // the supervisor that opened it, a random number
	uint64_t ready;  // equals owner once the lock is made and the content is sound
	uint64_t deaths; // how often somebody died with the lock
	uint8_t reserved[32];
	pthread_mutex_t mutex;
	uint8_t rest[192 - sizeof(pthread_mutex_t)];
};

_Static_assert(sizeof(struct area) == 256, "internal/area knows the size");
_Static_assert(offsetof(struct area, owner) == 8, "internal/area knows where it is");
_Static_assert(offsetof(struct area, ready) == 16, "internal/area knows where it is");

struct span {
	const char *data;
	size_t size;
};

// A kind's repair makes sound whatever a death or a restart left; restored: the content comes from
// a file, which a crash of the machine may have torn.
typedef void (*area_repair)(struct area *, int restored);

// area_open maps the whole of fd, which stays the caller's; NULL with errno.
struct area *area_open(int fd, uint64_t magic, size_t least, area_repair repair, size_t *size);

// area_try takes the lock unless somebody has it for longer than a moment: 0, or EBUSY.
int area_try(struct area *, area_repair);

// area_lock waits for it; no lock of the caller's (the GIL) may be held meanwhile.
void area_lock(struct area *, area_repair);

void area_unlock(struct area *);

#endif
