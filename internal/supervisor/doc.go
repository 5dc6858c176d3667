// Package supervisor is the one loop that owns an instance: its generations, its worker slots and
// everything that is timed.
//
// # Ownership
//
// One goroutine, Supervisor.Run, owns all state. Everything else reaches it as a message: loaders
// and workers through the channel of loader.Event, callers through Supervisor.post, timers through
// its list of timers, slow work (reading the configuration, hooks) through Supervisor.background,
// whose result comes back as a message. There is no lock. After every message reconcile compares
// what should run with what does and forks the difference, so no handler has to remember to.
//
// # What there is
//
//   - A generation (generation.go) is one loader and its workers. One is in force; during a rollout (rollout.go: first start, reload,
//     repair after the loader's death) another one is coming up; any number of old ones drain.
//   - A slot (slot.go) is one worker number of a generation: the process that serves it and, during a recycling, the one that will. What
//     outlives processes and generations (counts, respawns) is in the slot's tally.
//   - A process (process.go) is one worker process with its named state.
//   - A phase (phase.go) is the instance's named state. Both kinds of state change only along a written table.
//   - Rows (rows.go) of the scoreboard belong to processes, not to slots, so that old and new process of a slot never share one.
//
// # Rules
//
// A process that leaves by our will is taken out of its slot first, then told; a process that is
// still in its slot when it ends has died. Every drain has a mercy and every kill is by pidfd.
// READY follows RELOADING whatever came of it. By the time of the first loader this process has
// become the application's user (package privilege); Config.Credential is for a process that stays
// root all the same.
//
// # Trust
//
// The application may write anything into the scoreboard and say anything on a wire; its listening
// sockets and the handoff pair are its own to spoil. So what is read from there decides only what
// becomes of the application itself: it is shown, compared with a limit, or waited for with a
// bound. The board's dimensions, rows and process ids are ours; a process is one of its workers
// because /proc says so under a pidfd of our own (package loader). A panic of the loop ends the
// program (Run).
package supervisor
