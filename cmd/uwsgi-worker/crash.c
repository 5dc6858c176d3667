// Crashes of native code are told by Python's faulthandler, which shows where in the application they happened. It is enabled before this
// library is loaded: Go then hands it the faults that are not Go's own. SIGABRT (abort(), a corrupted heap, a C++ exception that nobody
// catches) Go would keep for itself and write its goroutines instead; the handler of before is put back.
#define _GNU_SOURCE
#include <signal.h>

#include "bridge.h"

static struct sigaction before;

// Runs before the constructor that starts the Go runtime.
__attribute__((constructor(101))) static void save_abort(void) { sigaction(SIGABRT, NULL, &before); }

void uw_restore_abort(void) { sigaction(SIGABRT, &before, NULL); }
