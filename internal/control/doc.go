// Package control is how people and programs reach a running instance: the control socket and the
// commands that use it (--reload PIDFILE), and the master FIFO.
//
// Nothing here owns life-cycle state. A server turns what it hears into a call of a function that
// it was given, from a goroutine of its own, so that none of them can hold the supervisor's loop
// up. So do internal/touch, internal/hooks and internal/attached.
package control
