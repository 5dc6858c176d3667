// Package dataplane serves requests inside a worker. What belongs to one request and its response,
// from the whole head to the line in the log, is an Exchange. A worker runs its exchanges in one of
// three ways:
//
//   - Threads: every Python thread is a Core and runs Core.Run: wait for one event, read, parse,
//     call the application and answer, on the same thread and with the one Exchange of the core.
//   - A Loop: Python's event loop watches the data plane's epoll set and pulls what happened
//     there, one event at a time (Loop.Next). Many exchanges are in flight, and nothing waits.
//   - A Loop with a pool: WSGI applications beside an event loop are answered by cores of their
//     own, which get whole requests from it.
//
// Only a core, or a loop, that is free takes work; an idle or slow connection costs an epoll entry;
// and nothing on the way takes a lock that another core holds for long.
//
// One goroutine beside them, the housekeeper, never runs Python. It talks to the supervisor, ends
// what timed out, writes what a client was too slow to take of a finished response, accepts ahead
// where a listening queue fills, and hands connections that would wait here to idle workers. It
// sleeps until an event or a timer wakes it.
//
// A connection has one owner at a time (ownership.go), a worker one phase (life.go), and a request
// one answerer (answerer.go). Each of the three is a small machine with a table of its moves.
package dataplane
