#include "queue.h"

#include <string.h>
#include <time.h>

static void perform(struct queue *q) {
	queue_slot(q, q->note.slot)->size = q->note.size;
	q->pos = q->note.pos;
	q->pull = q->note.pull;
	__atomic_store_n(&q->note.due, 0, __ATOMIC_RELEASE);
}

static void change(struct queue *q, uint64_t slot, uint64_t size, uint64_t pos, uint64_t pull) {
	q->note.slot = slot;
	q->note.size = size;
	q->note.pos = pos;
	q->note.pull = pull;
	__atomic_store_n(&q->note.due, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	perform(q);
}

void queue_repair(struct area *a, int restored) {
	struct queue *q = (struct queue *)a;
	uint64_t room = q->blocksize - sizeof(struct queue_slot);
	if (q->note.due == 1 && q->note.slot < q->slots && q->note.size <= room)
		perform(q);
	q->note.due = 0;
	if (q->pos >= q->slots)
		q->pos = 0;
	if (q->pull >= q->slots)
		q->pull = 0;
	for (uint64_t i = 0; restored && i < q->slots; i++)
		if (queue_slot(q, i)->size > room)
			queue_slot(q, i)->size = 0;
}

static uint64_t after(struct queue *q, uint64_t slot) { return slot + 1 < q->slots ? slot + 1 : 0; }

uint64_t queue_back(struct queue *q, uint64_t from) { return from ? from - 1 : q->slots - 1; }

int queue_put(struct queue *q, uint64_t i, const char *data, size_t size, int push) {
	if (!size || i >= q->slots || size > q->blocksize - sizeof(struct queue_slot))
		return -1;
	struct queue_slot *slot = queue_slot(q, i);
	// What was there goes first: one that dies in between leaves nothing that is half of each.
	__atomic_store_n(&slot->size, 0, __ATOMIC_SEQ_CST);
	slot->at = time(NULL);
	memcpy(slot->data, data, size);
	change(q, i, size, push ? after(q, i) : q->pos, q->pull);
	return 0;
}

void queue_empty(struct queue *q, uint64_t slot, uint64_t pos, uint64_t pull) { change(q, slot, 0, pos, pull); }
