// A cache in an area: a table of items, found by hash. The table alone says what is in the cache,
// all else (chains, lists, the map of blocks) is made anew from it when somebody died in between.
// An item counts from the moment that its state is written, last, until it is taken back, first.
#ifndef UWSGI_CACHE_H
#define UWSGI_CACHE_H

#include "area.h"

#define CACHE_MAGIC 0x3148434143575555ull // "UUWCACH1"

enum { CACHE_BITMAP = 1, CACHE_LRU = 2, CACHE_QUIET = 4, CACHE_STORED = 8 };

struct cache {
	struct area area;
	// The geometry, written by the supervisor (internal/cache).
	uint64_t items; // that it holds; there is a slot more, so that an update can be whole first
	uint64_t blocks;
	uint64_t blocksize;
	uint64_t keysize;
	uint64_t buckets; // a power of two
	uint64_t flags;
	uint64_t slots_at, keys_at, buckets_at, map_at, blocks_at, size;
	int64_t initial; // what a number that is not there counts from
	uint8_t rest1[152];
	// What goes on.
	uint64_t version; // odd while somebody writes: who reads without the lock tries again
	uint64_t sequence;
	uint64_t next_expiry; // no item is over before
	uint64_t full_said;   // when it was last told that the cache is full
	uint32_t free, newest, oldest, map_hint;
	uint8_t rest2[208];
	// Counters, read by the supervisor.
	uint64_t count, hits, misses, full, evictions, expired, bytes;
	uint8_t rest3[200];
};

_Static_assert(offsetof(struct cache, items) == 256, "internal/cache knows where it is");
_Static_assert(offsetof(struct cache, version) == 512, "internal/cache knows where it is");
_Static_assert(offsetof(struct cache, count) == 768, "internal/cache knows where it is");
_Static_assert(sizeof(struct cache) == 1024, "internal/cache knows the size");

struct slot {
	uint64_t expires; // microseconds of the epoch, 0 = never
	uint64_t sequence;
	uint64_t sum; // of key and value, in a cache with a file
	uint64_t size;
	uint32_t state; // 1 = an item
	uint32_t hash, keysize;
	uint32_t block;          // its first
	uint32_t next;           // in its bucket's chain, or in the list of free ones
	uint32_t newer, older;   // by use
	uint32_t reserved;
};

_Static_assert(sizeof(struct slot) == 64, "internal/cache knows the size");

enum cache_answer { CACHE_DONE, CACHE_NOT, CACHE_FULL };

enum cache_math { CACHE_INC, CACHE_DEC, CACHE_MUL, CACHE_DIV };

uint64_t cache_now(void);
void cache_repair(struct area *, int restored);

// cache_peek finds an item without the lock: its slot, 0 = there is none, and its size in bytes.
// What it says holds if cache_unchanged says so afterwards. EAGAIN: somebody writes.
int cache_peek(struct cache *, struct span key, uint64_t now, uint32_t *slot, uint64_t *version, uint64_t *size);
int cache_unchanged(struct cache *, uint64_t version);

// What follows is called with the lock.
uint32_t cache_find(struct cache *, struct span key, uint64_t now);
enum cache_answer cache_set(struct cache *, struct span key, struct span value, uint64_t expires, int update,
	uint64_t now);
enum cache_answer cache_delete(struct cache *, struct span key, uint64_t now);
enum cache_answer cache_calculate(struct cache *, struct span key, enum cache_math, int64_t by, uint64_t expires,
	uint64_t now);
void cache_clear(struct cache *);
void cache_use(struct cache *, uint32_t slot); // it was asked for
int cache_sound(struct cache *);               // whether the structure holds, for tests

static inline struct slot *cache_slot(struct cache *c, uint32_t i) {
	return (struct slot *)((char *)c + c->slots_at) + i;
}
static inline char *cache_key(struct cache *c, uint32_t i) { return (char *)c + c->keys_at + i * c->keysize; }
static inline char *cache_value(struct cache *c, uint32_t i) {
	return (char *)c + c->blocks_at + (uint64_t)cache_slot(c, i)->block * c->blocksize;
}

#endif
