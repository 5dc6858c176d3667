#include "sharedarea.h"

#include <sys/syscall.h>
#include <unistd.h>

// A thread's number is asked for where it matters alone: a copy would be wrong after a fork.
static uint64_t me(void) { return syscall(SYS_gettid); }

void sharedarea_repair(struct area *a, int restored) {
	(void)restored;
	sharedarea_let((struct sharedarea *)a);
}

int sharedarea_mine(struct sharedarea *s) {
	uint64_t keeper = __atomic_load_n(&s->keeper, __ATOMIC_RELAXED);
	return keeper && keeper == me();
}

void sharedarea_keep(struct sharedarea *s) { __atomic_store_n(&s->keeper, me(), __ATOMIC_RELAXED); }

void sharedarea_let(struct sharedarea *s) { __atomic_store_n(&s->keeper, 0, __ATOMIC_RELAXED); }
