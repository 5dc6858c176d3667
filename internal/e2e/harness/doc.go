// Package harness drives a real uwsgi through its front door: it starts bin/uwsgi in a folder of
// its own, collects its log, speaks HTTP and the uwsgi protocol to it, puts a private nginx before
// it, and after every test checks that nothing was left behind.
//
// Nothing here sleeps to let something happen: a test waits for a line of the log, for a
// connection, for the end of a process, and fails with the log when that does not come within
// Patience.
package harness

import "time"

// Patience is how long anything may take that normally takes a moment; machines that run tests are
// busy.
const Patience = 30 * time.Second
