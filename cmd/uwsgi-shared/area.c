#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

// Robust: the kernel marks the lock of a thread that ends with it (set_robust_list(2)).
static int make_lock(struct area *a) {
	pthread_mutexattr_t attr;
	int rc = pthread_mutexattr_init(&attr);
	if (rc)
		return rc;
	rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!rc)
		rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!rc)
		rc = pthread_mutex_init(&a->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return rc;
}

// prepare makes the lock, once an area and supervisor. A record lock of the file keeps others away
// meanwhile; the kernel lets go of it when its process dies.
static int prepare(struct area *a, int fd, area_repair repair) {
	if (__atomic_load_n(&a->ready, __ATOMIC_ACQUIRE) == a->owner)
		return 0;
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	while (fcntl(fd, F_SETLKW, &all) < 0)
		if (errno != EINTR)
			return errno;
	int rc = 0;
	if (__atomic_load_n(&a->ready, __ATOMIC_ACQUIRE) != a->owner && !(rc = make_lock(a))) {
		repair(a, 1);
		__atomic_store_n(&a->ready, a->owner, __ATOMIC_RELEASE);
	}
	all.l_type = F_UNLCK;
	fcntl(fd, F_SETLK, &all);
	return rc;
}

struct area *area_open(int fd, uint64_t magic, size_t least, area_repair repair, size_t *size) {
	struct stat st;
	if (fstat(fd, &st) < 0)
		return NULL;
	if (st.st_size < (off_t)least) {
		errno = EINVAL;
		return NULL;
	}
	struct area *a = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (a == MAP_FAILED)
		return NULL;
	*size = st.st_size;
	int rc = a->magic == magic ? prepare(a, fd, repair) : EINVAL;
	if (rc) {
		munmap(a, st.st_size);
		errno = rc;
		return NULL;
	}
	return a;
}

static void inherit(struct area *a, area_repair repair) {
	a->deaths++;
	repair(a, 0);
	pthread_mutex_consistent(&a->mutex);
}

static void pause_a_moment(void) {
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

int area_try(struct area *a, area_repair repair) {
	for (int spin = 0; spin < 100; spin++) {
		switch (pthread_mutex_trylock(&a->mutex)) {
		case 0:
			return 0;
		case EOWNERDEAD:
			inherit(a, repair);
			return 0;
		}
		pause_a_moment();
	}
	return EBUSY;
}

void area_lock(struct area *a, area_repair repair) {
	switch (pthread_mutex_lock(&a->mutex)) {
	case 0:
		return;
	case EOWNERDEAD:
		inherit(a, repair);
		return;
	}
	abort(); // whoever has the area has destroyed the lock
}

void area_unlock(struct area *a) { pthread_mutex_unlock(&a->mutex); }
