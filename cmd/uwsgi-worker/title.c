// The process title: the argument area that the kernel shows in /proc/PID/cmdline, found from
// outside the interpreter because the limited API does not give argv.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"

void uw_set_title(const char *text, size_t len)
{
	static char *start;
	static size_t size;
	if (!start) {
		char buf[1024];
		int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			return;
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
			return;
		start = (char *)a;
		size = b - a;
	}
	if (len > size - 1)
		len = size - 1;
	memcpy(start, text, len);
	memset(start + len, 0, size - len);
}
