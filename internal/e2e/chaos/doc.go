// Package chaos does to a running server what happens to servers: hostile clients, crowds, slow
// ones, and faults, injected for real (signals, rlimits, control groups, full disks). Every line of
// issue 6 is a test here; `make chaos` runs them with full counts, `make test` with counts that
// take a minute (UWSGI_CHAOS=full tells them apart).
//
// TestStorm names the seed of each of its runs: UWSGI_CHAOS_SEED=N has that one again.
//
// After every test the harness looks for stray processes, descriptors left open, socket files and
// complaints in the log that the test did not provoke. The tests need root: control groups, mounts
// and other users are not to be had without.
package chaos
