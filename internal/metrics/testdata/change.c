// change FD NAME HOW N: changes a metric of the area in FD and says what it is then.
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
	size_t size;
	struct metrics *m = argc < 5 ? NULL
		: (struct metrics *)area_open(atoi(argv[1]), METRICS_MAGIC, sizeof *m, metrics_repair, &size);
	if (!m)
		return perror("area_open"), 2;
	struct metric *it = metric_find(m, argv[2]);
	if (!it)
		return puts("none"), 0;
	if (!it->collected)
		metric_change(m, it, atoi(argv[3]), atoll(argv[4]));
	printf("%s%lld\n", it->collected ? "collected " : "", (long long)metric_get(m, it));
	return 0;
}
