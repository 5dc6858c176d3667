#include "metrics.h"

#include <string.h>

void metrics_repair(struct area *a, int restored) {
	(void)a;
	(void)restored;
}

static int64_t *number(struct metrics *m, struct metric *of) {
	return (int64_t *)((char *)m + m->values_at) + of->value;
}

struct metric *metric_find(struct metrics *m, const char *name) {
	size_t size = strlen(name);
	for (uint64_t from = 0, to = m->count; from < to;) {
		uint64_t middle = from + (to - from) / 2;
		struct metric *it = &m->list[middle];
		int order = memcmp(name, (char *)m + it->name, size < it->length ? size : it->length);
		if (!order)
			order = size < it->length ? -1 : size > it->length;
		if (!order)
			return it;
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}

int64_t metric_get(struct metrics *m, struct metric *of) { return __atomic_load_n(number(m, of), __ATOMIC_RELAXED); }

static int64_t changed(int64_t n, enum metric_change how, int64_t by) {
	switch (how) {
	case METRIC_SET:
		return by;
	case METRIC_INC:
		return (uint64_t)n + (uint64_t)by;
	case METRIC_DEC:
		return (uint64_t)n - (uint64_t)by;
	case METRIC_MUL:
		return (uint64_t)n * (uint64_t)by;
	case METRIC_DIV:
		return by == -1 ? (int64_t)(0 - (uint64_t)n) : n / by;
	case METRIC_MAX:
		return by > n ? by : n;
	case METRIC_MIN:
		return by < n ? by : n;
	}
	return n;
}

int metric_change(struct metrics *m, struct metric *of, enum metric_change how, int64_t by) {
	if (how == METRIC_DIV && !by)
		return -1;
	int64_t *at = number(m, of), n = __atomic_load_n(at, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(at, &n, changed(n, how, by), 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return 0;
}
