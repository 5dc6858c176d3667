// stress FD SEED: works in the cache in FD until it is killed; stress FD check: whether it is
// sound; stress FD tell: what C finds in it where, after a few calls.
#include "cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
	size_t size;
	struct cache *c = (struct cache *)area_open(atoi(argv[1]), CACHE_MAGIC, sizeof *c, cache_repair, &size);
	if (!c || argc < 3)
		return perror("area_open"), 2;
	if (!strcmp(argv[2], "check")) {
		area_lock(&c->area, cache_repair);
		int answer = cache_sound(c);
		printf("%d items, %d deaths\n", (int)c->count, (int)c->area.deaths);
		area_unlock(&c->area);
		return answer ? fprintf(stderr, "unsound: %d\n", answer), 1 : 0;
	}
	if (!strcmp(argv[2], "tell")) {
		struct span key = {"key", 3}, value = {"a value", 7}, late = {"late", 4}, rest = {"rest", 4};
		uint64_t now = cache_now();
		area_lock(&c->area, cache_repair);
		cache_set(c, key, value, 0, 0, now);
		cache_set(c, late, value, now, 1, now - 1);
		cache_delete(c, late, now);
		cache_set(c, rest, value, now, 0, now - 1); // over, and there
		c->hits = 3, c->misses = 4, c->full = 5, c->evictions = 6;
		area_unlock(&c->area);
		uint64_t words[] = {c->items, c->blocks, c->blocksize, c->keysize, c->buckets, c->flags, c->slots_at, c->keys_at,
			c->buckets_at, c->map_at, c->blocks_at, c->size, c->initial, c->count, c->hits, c->misses, c->full, c->evictions, c->expired,
			c->bytes, c->area.owner, c->area.ready, sizeof *c, sizeof(struct slot)};
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			printf("%llu\n", (unsigned long long)words[i]);
		return 0;
	}
	srand(atoi(argv[2]));
	write(1, "!", 1);
	for (;;) {
		char key[32], value[300];
		struct span k = {key, snprintf(key, sizeof key, "key%d", rand() % 40)}, v = {value, 1 + rand() % sizeof value};
		memset(value, rand(), sizeof value);
		uint64_t now = cache_now();
		area_lock(&c->area, cache_repair);
		switch (rand() % 8) {
		case 0:
			cache_delete(c, k, now);
			break;
		case 1:
			cache_calculate(c, k, rand() % 4, rand() % 3, 0, now);
			break;
		case 2:
			if (rand() % 100 == 0)
				cache_clear(c);
			break;
		default:
			cache_set(c, k, v, rand() % 3 ? 0 : now + rand() % 2000, rand() % 4 > 0, now);
		}
		area_unlock(&c->area);
	}
}
