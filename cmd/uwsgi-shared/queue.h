// A queue in an area: a ring of slots, filled at one place and emptied there (pop) or at the other
// (pull), as uWSGI's. What a call changes is noted before it is done, in one piece: who gets the
// lock of one that died does what is noted.
#ifndef UWSGI_QUEUE_H
#define UWSGI_QUEUE_H

#include "area.h"

#define QUEUE_MAGIC 0x3145554551575555ull // "UUWQEUE1"

struct queue_note {
	uint64_t due; // 1: what follows is to be done
	uint64_t slot, size, pos, pull;
};

struct queue {
	struct area area;
	// The geometry, written by the supervisor (internal/queue).
	uint64_t slots;
	uint64_t blocksize; // of a slot with its head
	uint64_t size;
	uint8_t rest1[40];
	struct queue_note note;
	uint8_t rest2[136];
	// From here on as in a file of uWSGI's queue-store.
	uint64_t pos, pull;
};

struct queue_slot {
	uint64_t size; // 0 = there is nothing in it
	uint64_t at;   // seconds of the epoch
	char data[];
};

_Static_assert(offsetof(struct queue, slots) == 256, "internal/queue knows where it is");
_Static_assert(offsetof(struct queue, pos) == 496, "internal/queue knows where it is");
_Static_assert(sizeof(struct queue) == 512, "internal/queue knows the size");

void queue_repair(struct area *, int restored);

static inline struct queue_slot *queue_slot(struct queue *q, uint64_t i) {
	return (struct queue_slot *)((char *)(q + 1) + i * q->blocksize);
}

// What follows is called with the lock. queue_put fills a slot: 0, or -1 where it cannot; push: the
// next one comes behind it.
int queue_put(struct queue *, uint64_t slot, const char *data, size_t size, int push);

// queue_back gives the slot that a pop would take, and queue_empty takes what is in a slot, which
// pos or pull moves.
uint64_t queue_back(struct queue *, uint64_t from);
void queue_empty(struct queue *, uint64_t slot, uint64_t pos, uint64_t pull);

#endif
