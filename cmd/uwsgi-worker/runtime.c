// When the Go runtime starts, and on what thread. The library is loaded before the workers are
// forked, so that they share what its relocations write (0.5 MB); but a Go runtime does not survive
// a fork, and a c-shared library starts it as it is loaded, with a thread. The linker passes the
// library's pthread_create on to here (--wrap in exports.go), and that first thread is made when
// the worker asks for it.
//
// Its monitor (sysmon) is a thread that looks every 20 µs, 50 times, before it takes a processor
// away from a thread that is blocked in a system call, and sleeps only when no processor is in use.
// A worker that has a request now and then would spend more on it than on the requests. A thread
// inherits its creator's timer slack: the monitor is created with 10 ms of it, and looks that
// often.
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>

#include "bridge.h"

enum { LATE = 10 * 1000 * 1000 }; // ns

static int begun;
static void *(*first)(void *);
static void *first_arg;

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	if (begun)
		return __real_pthread_create(t, attr, run, arg);
	first = run;
	first_arg = arg;
	return 0;
}

int uw_begin(void)
{
	pthread_t t;
	pthread_attr_t attr;
	begun = 1;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	prctl(PR_SET_TIMERSLACK, LATE);
	int err = __real_pthread_create(&t, &attr, first, first_arg);
	prctl(PR_SET_TIMERSLACK, 0);
	pthread_attr_destroy(&attr);
	return err;
}
