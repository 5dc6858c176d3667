#include "cache.h"

#include <errno.h>
#include <string.h>
#include <time.h>

// Slots are counted from 1, 0 is none.
#define LAST(c) ((uint32_t)(c)->items + 1)

uint64_t cache_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static uint64_t mix(uint64_t h, const char *data, size_t n) {
	h ^= n;
	uint64_t w;
	for (; n >= 8; data += 8, n -= 8) {
		memcpy(&w, data, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	w = 0;
	memcpy(&w, data, n);
	h = (h ^ w) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static uint32_t hash_of(struct span key) {
	uint64_t h = mix(0xcbf29ce484222325ull, key.data, key.size);
	return (uint32_t)(h ^ h >> 32);
}

// A number is changed in its place, which cannot tear it: it has no part in the sum.
static uint64_t sum_of(struct span key, struct span value) {
	uint64_t h = mix(value.size, key.data, key.size);
	return value.size == 8 ? h : mix(h, value.data, value.size);
}

static uint32_t *bucket(struct cache *c, uint32_t hash) {
	return (uint32_t *)((char *)c + c->buckets_at) + (hash & (c->buckets - 1));
}

static int over(const struct slot *s, uint64_t now) { return s->expires && s->expires <= now; }

static int is(struct cache *c, uint32_t i, uint32_t hash, struct span key) {
	struct slot *s = cache_slot(c, i);
	return s->hash == hash && s->keysize == key.size && !memcmp(cache_key(c, i), key.data, key.size);
}

static void begin(struct cache *c) {
	__atomic_store_n(&c->version, c->version | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end(struct cache *c) { __atomic_store_n(&c->version, (c->version | 1) + 1, __ATOMIC_RELEASE); }

// state keeps what is written before it from what is written after it, for whoever repairs the
// cache of a process that was killed in between: only the compiler could reorder them.
static void state(struct slot *s, uint32_t to) {
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&s->state, to, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

int cache_unchanged(struct cache *c, uint64_t version) {
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&c->version, __ATOMIC_RELAXED) == version;
}

int cache_peek(struct cache *c, struct span key, uint64_t now, uint32_t *slot, uint64_t *version, uint64_t *size) {
	*slot = 0;
	*version = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE);
	if (*version & 1)
		return EAGAIN;
	if (key.size > c->keysize)
		return 0;
	uint32_t hash = hash_of(key), i = *bucket(c, hash);
	for (uint32_t steps = 0; i && i <= LAST(c) && steps < LAST(c); i = cache_slot(c, i)->next, steps++)
		if (is(c, i, hash, key)) {
			struct slot *s = cache_slot(c, i);
			*size = s->size;
			if (over(s, now))
				break;
			if (s->block >= c->blocks || *size > (c->blocks - s->block) * c->blocksize)
				return EAGAIN; // torn
			*slot = i;
			break;
		}
	return cache_unchanged(c, *version) ? 0 : EAGAIN;
}

static uint32_t lookup(struct cache *c, struct span key, uint32_t hash) {
	if (key.size > c->keysize)
		return 0;
	uint32_t i = *bucket(c, hash);
	while (i && !is(c, i, hash, key))
		i = cache_slot(c, i)->next;
	return i;
}

uint32_t cache_find(struct cache *c, struct span key, uint64_t now) {
	uint32_t i = lookup(c, key, hash_of(key));
	return i && !over(cache_slot(c, i), now) ? i : 0;
}

// The map has a bit a block; without it a slot has the block of its own number.
static uint64_t *map(struct cache *c) { return (uint64_t *)((char *)c + c->map_at); }

static int taken(struct cache *c, uint64_t b) { return map(c)[b / 64] >> (b % 64) & 1; }

static uint64_t blocks_of(struct cache *c, uint64_t size) { return size ? (size - 1) / c->blocksize + 1 : 1; }

static void mark(struct cache *c, uint64_t b, uint64_t n, int as) {
	for (; n; b++, n--)
		if (as)
			map(c)[b / 64] |= 1ull << (b % 64);
		else
			map(c)[b / 64] &= ~(1ull << (b % 64));
}

static int is_free(struct cache *c, uint64_t b, uint64_t n) {
	for (; n; b++, n--)
		if (taken(c, b))
			return 0;
	return 1;
}

static int search(struct cache *c, uint64_t from, uint64_t to, uint64_t n, uint32_t *at) {
	uint64_t run = 0;
	for (uint64_t b = from; b < to; b++) {
		if (b % 64 == 0 && map(c)[b / 64] == ~0ull) {
			b += 63;
			run = 0;
		} else if (taken(c, b))
			run = 0;
		else if (++run == n) {
			*at = b + 1 - n;
			return 1;
		}
	}
	return 0;
}

// room finds n blocks in a row, from where the last were found.
static int room(struct cache *c, uint64_t n, uint32_t *at) {
	if (!search(c, c->map_hint, c->blocks, n, at) && !search(c, 0, c->blocks, n, at))
		return 0;
	c->map_hint = *at + n;
	if (c->map_hint >= c->blocks)
		c->map_hint = 0;
	return 1;
}

// The list by use is kept where somebody asks for it.
static void unuse(struct cache *c, uint32_t i) {
	if (!(c->flags & CACHE_LRU))
		return;
	struct slot *s = cache_slot(c, i);
	*(s->newer ? &cache_slot(c, s->newer)->older : &c->newest) = s->older;
	*(s->older ? &cache_slot(c, s->older)->newer : &c->oldest) = s->newer;
}

static void use(struct cache *c, uint32_t i) {
	if (!(c->flags & CACHE_LRU))
		return;
	struct slot *s = cache_slot(c, i);
	s->newer = 0;
	s->older = c->newest;
	*(c->newest ? &cache_slot(c, c->newest)->newer : &c->oldest) = i;
	c->newest = i;
}

void cache_use(struct cache *c, uint32_t i) {
	if (c->newest != i && cache_slot(c, i)->state) {
		unuse(c, i);
		use(c, i);
	}
}

// link_in makes an item findable, whose state already says that it is one.
static void link_in(struct cache *c, uint32_t i) {
	struct slot *s = cache_slot(c, i);
	uint32_t *b = bucket(c, s->hash);
	s->next = *b;
	*b = i;
	use(c, i);
	c->count++;
	c->bytes += s->size;
	if (s->expires && s->expires < c->next_expiry)
		c->next_expiry = s->expires;
}

static void drop(struct cache *c, uint32_t i) {
	struct slot *s = cache_slot(c, i);
	state(s, 0);
	uint32_t *at = bucket(c, s->hash);
	while (*at != i)
		at = &cache_slot(c, *at)->next;
	*at = s->next;
	unuse(c, i);
	if (c->flags & CACHE_BITMAP)
		mark(c, s->block, blocks_of(c, s->size), 0);
	c->count--;
	c->bytes -= s->size;
	s->next = c->free;
	c->free = i;
}

// sweep drops expired items, if there can be any.
static void sweep(struct cache *c, uint64_t now) {
	if (c->next_expiry > now)
		return;
	c->next_expiry = UINT64_MAX;
	for (uint32_t i = 1; i <= LAST(c); i++) {
		struct slot *s = cache_slot(c, i);
		if (!s->state)
			continue;
		if (over(s, now)) {
			drop(c, i);
			c->expired++;
		} else if (s->expires && s->expires < c->next_expiry)
			c->next_expiry = s->expires;
	}
}

// vacate finds a slot and n blocks for an item that may replace old: 1 with the first block, 0 if
// the cache is full. Only if there is no room beside old is that dropped first, and set to 0.
static int vacate(struct cache *c, uint64_t n, uint32_t *old, uint64_t now, uint32_t *block) {
	int bitmap = c->flags & CACHE_BITMAP;
	for (int swept = 0;;) {
		if (*old || c->count < c->items) {
			if (!bitmap)
				return *block = c->free - 1, 1;
			if (room(c, n, block))
				return 1;
		}
		if (!swept++) {
			sweep(c, now); // old is not over
			continue;
		}
		if (*old) {
			struct slot *s = cache_slot(c, *old);
			mark(c, s->block, blocks_of(c, s->size), 0);
			int found = room(c, n, block);
			mark(c, s->block, blocks_of(c, s->size), 1);
			if (found) {
				drop(c, *old);
				*old = 0;
				return 1;
			}
		}
		if (!(c->flags & CACHE_LRU) || n > c->blocks)
			return 0;
		uint32_t i = c->oldest;
		if (i && i == *old)
			i = cache_slot(c, i)->newer;
		if (!i)
			return 0;
		drop(c, i);
		c->evictions++;
	}
}

static enum cache_answer put(struct cache *c, struct span key, uint32_t hash, struct span value, uint64_t expires,
	uint32_t old, uint64_t now) {
	uint64_t n = blocks_of(c, value.size);
	if (n > ((c->flags & CACHE_BITMAP) ? c->blocks : 1))
		return CACHE_NOT;
	uint32_t block;
	if (!vacate(c, n, &old, now, &block)) {
		c->full++;
		return CACHE_FULL;
	}
	uint32_t i = c->free;
	struct slot *s = cache_slot(c, i);
	c->free = s->next;
	s->expires = expires;
	s->sequence = ++c->sequence;
	s->hash = hash;
	s->keysize = key.size;
	s->size = value.size;
	s->block = block;
	s->sum = (c->flags & CACHE_STORED) ? sum_of(key, value) : 0;
	memcpy(cache_key(c, i), key.data, key.size);
	memcpy(cache_value(c, i), value.data, value.size);
	if (c->flags & CACHE_BITMAP)
		mark(c, block, n, 1);
	state(s, 1);
	if (old)
		drop(c, old);
	link_in(c, i);
	return CACHE_DONE;
}

enum cache_answer cache_set(struct cache *c, struct span key, struct span value, uint64_t expires, int update,
	uint64_t now) {
	if (!key.size || key.size > c->keysize || !value.size)
		return CACHE_NOT;
	uint32_t hash = hash_of(key), old = lookup(c, key, hash);
	if (old && !update && !over(cache_slot(c, old), now))
		return CACHE_NOT;
	begin(c);
	if (old && over(cache_slot(c, old), now)) {
		drop(c, old);
		c->expired++;
		old = 0;
	}
	enum cache_answer answer = put(c, key, hash, value, expires, old, now);
	end(c);
	return answer;
}

enum cache_answer cache_delete(struct cache *c, struct span key, uint64_t now) {
	uint32_t i = lookup(c, key, hash_of(key));
	if (!i)
		return CACHE_NOT;
	int late = over(cache_slot(c, i), now);
	begin(c);
	drop(c, i);
	c->expired += late;
	end(c);
	return late ? CACHE_NOT : CACHE_DONE;
}

static int64_t calculate(enum cache_math how, int64_t n, int64_t by) {
	switch (how) {
	case CACHE_INC:
		return (uint64_t)n + (uint64_t)by;
	case CACHE_DEC:
		return (uint64_t)n - (uint64_t)by;
	case CACHE_MUL:
		return (uint64_t)n * (uint64_t)by;
	case CACHE_DIV:
		return by == 0 ? 0 : by == -1 ? (int64_t)(0 - (uint64_t)n) : n / by;
	}
	return n;
}

enum cache_answer cache_calculate(struct cache *c, struct span key, enum cache_math how, int64_t by, uint64_t expires,
	uint64_t now) {
	uint32_t i = cache_find(c, key, now);
	int64_t n = 0;
	if (!i) {
		n = calculate(how, c->initial, by);
		return cache_set(c, key, (struct span){(char *)&n, sizeof n}, expires, 1, now);
	}
	struct slot *s = cache_slot(c, i);
	if (s->size != sizeof n)
		return CACHE_NOT;
	memcpy(&n, cache_value(c, i), sizeof n);
	n = calculate(how, n, by);
	begin(c);
	memcpy(cache_value(c, i), &n, sizeof n); // one store, which no kill can tear
	s->expires = expires;
	if (expires && expires < c->next_expiry)
		c->next_expiry = expires;
	cache_use(c, i);
	end(c);
	return CACHE_DONE;
}

static void empty(struct cache *c) {
	memset((char *)c + c->buckets_at, 0, c->buckets * 4);
	if (c->flags & CACHE_BITMAP)
		memset(map(c), 0, (c->blocks + 63) / 64 * 8);
	c->count = c->bytes = 0;
	c->free = c->newest = c->oldest = c->map_hint = 0;
	c->next_expiry = UINT64_MAX;
}

void cache_clear(struct cache *c) {
	begin(c);
	for (uint32_t i = 1; i <= LAST(c); i++)
		state(cache_slot(c, i), 0);
	cache_repair(&c->area, 0);
}

static int holds(struct cache *c, uint32_t i, int restored) {
	struct slot *s = cache_slot(c, i);
	int bitmap = c->flags & CACHE_BITMAP;
	if (s->state != 1 || s->keysize > c->keysize || s->size > c->blocks * c->blocksize)
		return 0;
	uint64_t n = blocks_of(c, s->size);
	if (bitmap ? s->block >= c->blocks || n > c->blocks - s->block || !is_free(c, s->block, n)
	           : s->block != i - 1 || n != 1)
		return 0;
	struct span key = {cache_key(c, i), s->keysize}, value = {cache_value(c, i), s->size};
	if (restored && (s->hash != hash_of(key) || s->sum != sum_of(key, value)))
		return 0;
	return 1;
}

void cache_repair(struct area *a, int restored) {
	struct cache *c = (struct cache *)a;
	begin(c);
	empty(c);
	for (uint32_t i = LAST(c); i; i--) {
		struct slot *s = cache_slot(c, i);
		if (!s->state && !restored) {
			s->next = c->free;
			c->free = i;
			continue;
		}
		uint32_t other = 0;
		int keep = s->state && holds(c, i, restored);
		if (keep && (other = lookup(c, (struct span){cache_key(c, i), s->keysize}, s->hash)))
			keep = s->sequence > cache_slot(c, other)->sequence; // an update was under way
		if (!keep) {
			if (s->state)
				state(s, 0);
			s->next = c->free;
			c->free = i;
			continue;
		}
		if (other)
			drop(c, other);
		if (c->flags & CACHE_BITMAP)
			mark(c, s->block, blocks_of(c, s->size), 1);
		link_in(c, i);
		if (s->sequence > c->sequence)
			c->sequence = s->sequence;
	}
	end(c);
}

int cache_sound(struct cache *c) {
	uint64_t used = 0, bytes = 0, chained = 0, listed = 0, unused = 0, blocks = 0, marked = 0;
	for (uint32_t i = 1; i <= LAST(c); i++) {
		struct slot *s = cache_slot(c, i);
		if (!s->state)
			continue;
		used++, bytes += s->size, blocks += blocks_of(c, s->size);
		if (lookup(c, (struct span){cache_key(c, i), s->keysize}, s->hash) != i)
			return -1;
		if ((c->flags & CACHE_STORED) && s->sum != sum_of((struct span){cache_key(c, i), s->keysize},
			(struct span){cache_value(c, i), s->size}))
			return -2;
	}
	for (uint64_t b = 0; b < c->buckets; b++)
		for (uint32_t i = *bucket(c, b); i && chained <= used; i = cache_slot(c, i)->next)
			chained++;
	for (uint32_t i = c->oldest; i && listed <= used; i = cache_slot(c, i)->newer)
		listed++;
	for (uint32_t i = c->free; i && unused <= LAST(c); i = cache_slot(c, i)->next)
		unused++;
	if (c->flags & CACHE_BITMAP)
		for (uint64_t b = 0; b < c->blocks; b++)
			marked += taken(c, b);
	if (used != c->count || bytes != c->bytes || chained != used || used > c->items ||
		listed != ((c->flags & CACHE_LRU) ? used : 0))
		return -3;
	if (unused + used != LAST(c))
		return -4;
	if ((c->flags & CACHE_BITMAP) && marked != blocks)
		return -5;
	return c->version & 1 ? -6 : 0;
}
