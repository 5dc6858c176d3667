// The process title: the argument area that the kernel shows in /proc/PID/cmdline, found from
// outside the interpreter because the limited API does not give argv.
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"

static char *title; // NULL: not looked for yet
static size_t title_size;

// title_find reports whether there is an area, and notes where.
static int title_find(void)
{
	if (!title) {
		char buf[1024];
		int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			return 0;
		buf[n] = 0;
		char *p = strrchr(buf, ')'); // field 2 may hold anything; arg_start and arg_end are fields 48 and 49 (proc(5))
		uintptr_t a = 0, b = 0;
		for (int field = 2; p && field < 49; field++) {
			p = strchr(p + 1, ' ');
			if (p && field + 1 == 48)
				sscanf(p, " %lu", (unsigned long *)&a);
			if (p && field + 1 == 49)
				sscanf(p, " %lu", (unsigned long *)&b);
		}
		if (!a || b <= a + 1)
			return 0;
		title = (char *)a;
		title_size = b - a;
	}
	return 1;
}

// Without the GIL several threads may come at once. Only one title can stay: the others are
// dropped.
static atomic_flag title_busy = ATOMIC_FLAG_INIT;

void uw_set_title(const char *text, size_t len)
{
	if (atomic_flag_test_and_set_explicit(&title_busy, memory_order_acquire))
		return;
	if (title_find()) {
		if (len > title_size - 1)
			len = title_size - 1;
		memcpy(title, text, len);
		memset(title + len, 0, title_size - len);
	}
	atomic_flag_clear_explicit(&title_busy, memory_order_release);
}
