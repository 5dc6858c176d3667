// Go's monitor (sysmon) is a thread that looks every 20 µs, 50 times, before it takes a processor away from a thread that is blocked in a system
// call, and sleeps only when no processor is in use. A worker that has a request now and then would spend more on it than on the requests. A
// thread inherits how late its timers may be from the one that makes it: the monitor is born with so much that it looks every ten milliseconds or so.
#define _GNU_SOURCE
#include <sys/prctl.h>

#include "bridge.h"

enum { LATE = 10 * 1000 * 1000 }; // ns

// Runs before the constructor that starts the Go runtime, on the thread from which that makes its first one.
__attribute__((constructor(101))) static void make_late(void) { prctl(PR_SET_TIMERSLACK, LATE); }

void uw_punctual(void) { prctl(PR_SET_TIMERSLACK, 0); }
