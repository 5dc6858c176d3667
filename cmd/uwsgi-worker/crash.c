// Crashes of native code are reported by Python's faulthandler, which shows where in the
// application they happened. It is enabled before the Go runtime starts, so Go passes on to it the
// faults that are not Go's own. Not SIGABRT, though (abort(), a corrupted heap, an uncaught C++
// exception): Go would keep that and print its goroutines, so here it is given back to the earlier
// handler.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "bridge.h"

static struct sigaction crash_before;
static int witness; // one of the server's descriptors

void uw_save_abort(void) { sigaction(SIGABRT, NULL, &crash_before); }

static void crash_aborted(int sig)
{
	// The Go runtime also aborts, within milliseconds, when its epoll set is gone: the log says
	// why.
	static const char lost[] = "the application has closed descriptors that are not its own (os.closerange?), this worker ends\n";
	if (!uw_forked && fcntl(witness, F_GETFD) < 0 && write(STDERR_FILENO, lost, sizeof(lost) - 1) < 0) {
		// nobody to tell
	}
	sigaction(sig, &crash_before, NULL);
	raise(sig); // delivered when this handler returns
}

void uw_take_abort(int descriptor)
{
	witness = descriptor;
	sigaction(SIGABRT, &(struct sigaction){.sa_handler = crash_aborted, .sa_flags = SA_ONSTACK}, NULL);
}
