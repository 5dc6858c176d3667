// Crashes of native code are told by Python's faulthandler, which shows where in the application
// they happened. It is enabled before the Go runtime starts: Go then hands it the faults that are
// not Go's own. SIGABRT (abort(), a corrupted heap, a C++ exception that nobody catches) Go would
// keep for itself and write its goroutines instead; the handler of before gets it back.
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
	// The Go runtime, too, aborts when its epoll set is gone, within milliseconds; who reads the
	// log should learn why.
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
