// stress FD SEED: works in the queue in FD until it is killed; stress FD check: whether it is
// sound: every message is whole, and those that were pushed and pulled in turn are all there.
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int whole(struct queue_slot *s) {
	for (uint64_t i = 1; i < s->size; i++)
		if (s->data[i] != s->data[0])
			return 0;
	return 1;
}

int main(int argc, char **argv) {
	size_t size;
	struct queue *q = (struct queue *)area_open(atoi(argv[1]), QUEUE_MAGIC, sizeof *q, queue_repair, &size);
	if (!q || argc < 3)
		return perror("area_open"), 2;
	if (!strcmp(argv[2], "check")) {
		area_lock(&q->area, queue_repair);
		int bad = q->pos >= q->slots || q->pull >= q->slots || q->note.due;
		for (uint64_t i = 0; i < q->slots; i++)
			bad += queue_slot(q, i)->size > q->blocksize - sizeof(struct queue_slot) || !whole(queue_slot(q, i));
		printf("%d deaths, filled at %d, emptied at %d\n", (int)q->area.deaths, (int)q->pos, (int)q->pull);
		area_unlock(&q->area);
		return bad;
	}
	srand(atoi(argv[2]));
	write(1, "!", 1);
	for (;;) {
		char data[300];
		memset(data, rand(), sizeof data);
		area_lock(&q->area, queue_repair);
		uint64_t at;
		switch (rand() % 4) {
		case 0:
			at = queue_back(q, q->pos);
			queue_empty(q, at, at, q->pull);
			break;
		case 1:
			if (queue_slot(q, q->pull)->size)
				queue_empty(q, q->pull, q->pos, (q->pull + 1) % q->slots);
			break;
		case 2:
			queue_put(q, rand() % q->slots, data, 1 + rand() % sizeof data, 0);
			break;
		default:
			queue_put(q, q->pos, data, 1 + rand() % sizeof data, 1);
		}
		if (!whole(queue_slot(q, q->pull)))
			return fprintf(stderr, "torn\n"), 1;
		area_unlock(&q->area);
	}
}
