// When the Go runtime starts, and on what thread. The library is loaded before the workers are
// forked, so that they share what its relocations write (0.5 MB); but a Go runtime does not survive
// a fork, and a c-shared library starts it in a constructor, with a thread. The linker keeps that
// constructor apart (init.ld), and it runs when the worker asks for it: nothing of Go, not even a
// signal handler, is in the loader. The constructor wants the arguments of a program, which musl
// gives none; it gets a block of ours. The linker passes the library's pthread_create on to here
// (--wrap in exports.go), so that a failure of the first thread is an error and not an abort.
//
// The next thread, which the first one makes before all others, is the runtime's monitor (sysmon).
// It is woken by the first request after a rest, looks every 20 µs, 50 times, before it takes a
// processor away from a thread that is blocked in a system call, and sleeps only when no processor
// is in use. What it then takes to be running for too long, it interrupts. A worker that has a
// request now and then would spend more on it than on the requests (measured: 60 % of them). So it
// looks once a second: its timers may be that late. Nothing here waits for it: there are more
// processors than threads that use them (uwGoStart), and the collector stops the threads itself.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bridge.h"

enum { LATE = 1000 * 1000 * 1000 }; // ns

typedef void go_init(int argc, char **argv, char **envp);
extern go_init *const uw_go_init[] __attribute__((visibility("hidden")));
extern go_init *const uw_go_init_end[] __attribute__((visibility("hidden")));

static int begun, monitored;
static void *(*first)(void *);
static void *first_arg;

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	if (!begun) {
		first = run;
		first_arg = arg;
		return 0;
	}
	if (monitored)
		return __real_pthread_create(t, attr, run, arg);
	prctl(PR_SET_TIMERSLACK, LATE); // a thread inherits its creator's
	int err = __real_pthread_create(t, attr, run, arg);
	prctl(PR_SET_TIMERSLACK, 0);
	monitored = err == 0; // the runtime tries again
	return err;
}

// runtime_arguments is what a program finds on its stack: the arguments, the environment, and an
// empty auxiliary vector, in whose place Go reads /proc/self/auxv. Go keeps the strings for ever;
// those of the environment are the application's to change. NULL: no memory.
static char **runtime_arguments(void)
{
	size_t n = 0;
	while (environ && environ[n])
		n++;
	char **block = calloc(n + 5, sizeof *block);
	if (!block)
		return NULL;
	block[0] = "uwsgi";
	for (size_t i = 0; i < n; i++)
		if (!(block[2 + i] = strdup(environ[i])))
			return NULL;
	return block;
}

int uw_begin(void)
{
	pthread_t t;
	pthread_attr_t attr;
	char **block = runtime_arguments();
	if (!block || uw_go_init_end - uw_go_init != 1)
		return block ? ELIBBAD : ENOMEM;
	uw_save_abort();
	uw_go_init[0](1, block, block + 2);
	begun = 1;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int err = __real_pthread_create(&t, &attr, first, first_arg);
	pthread_attr_destroy(&attr);
	return err;
}
