// Package control is how people and programs reach a running instance, and what runs beside it: the
// control socket and the commands that use it (--reload PIDFILE), the master FIFO, touch files, the
// stats server, hooks, attached daemons and timed commands.
//
// Nothing here owns life-cycle state. Every actor turns what it hears into a call of a function
// that it was given, from a goroutine of its own, so that none of them can hold the supervisor's
// loop up.
package control
