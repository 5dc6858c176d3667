// Metrics in an area: a table of names, which the supervisor wrote, and the numbers. Each of these
// is one word, changed by one instruction: there is no lock, and nothing for a death to leave torn.
#ifndef UWSGI_METRICS_H
#define UWSGI_METRICS_H

#include "area.h"

#define METRICS_MAGIC 0x315352544d575555ull // "UUWMTRS1"

struct metric {
	uint32_t name, length; // where its name is in the area
	uint32_t value;        // which of the numbers
	uint32_t collected;    // 1 = the application does not set it
};

struct metrics {
	struct area area;
	// The geometry, written by the supervisor (internal/metrics).
	uint64_t count;
	uint64_t values;
	uint64_t values_at, size;
	struct metric list[]; // by name
};

_Static_assert(sizeof(struct metrics) == 288, "internal/metrics knows the size");
_Static_assert(sizeof(struct metric) == 16, "internal/metrics knows the size");

enum metric_change { METRIC_SET, METRIC_INC, METRIC_DEC, METRIC_MUL, METRIC_DIV, METRIC_MAX, METRIC_MIN };

void metrics_repair(struct area *, int restored);

// metric_find gives a metric by name, NULL = there is none.
struct metric *metric_find(struct metrics *, const char *name);

int64_t metric_get(struct metrics *, struct metric *);

// metric_change changes one that is not collected; 0, or -1 for a division by zero.
int metric_change(struct metrics *, struct metric *, enum metric_change, int64_t by);

#endif
