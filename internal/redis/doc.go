// Package redis is the one process of an instance that talks to Redis or Valkey, the agent, and the
// other processes' way to it. Its own program, cmd/uwsgi-redis, is package agent below this one;
// nothing else has go-redis in it. It runs only where something names a redis:// URL, with the
// application's rights, and keeps nothing that matters: where it dies, another one takes its place.
//
// # The door
//
// Everybody inherits the same socket, the door (SOCK_SEQPACKET). Who has something to ask makes a
// socket pair (SOCK_STREAM) and sends one end through the door: a connection of its own, for a
// process after a fork as for a thread. What is sent while no agent runs waits in the door.
//
// # Frames
//
// A frame is its length, then parts, each with its own; lengths are 32 bits, little-endian, and do
// not count themselves. A request is the name of an operation, the URL, and arguments. Its answer
// begins with "+", or with "-" and what went wrong. A connection carries one request at a time.
//
// The URL is go-redis' redis:// and rediss://, with redis+unix:// for its unix://, and valkey for
// redis. Of its parameters, name= and lease= are ours.
//
// # Time
//
// What is held for a while, a lease or a job, is held until a moment of CLOCK_BOOTTIME, which goes
// on while the machine sleeps, counted from before the request that renewed it was sent, and a
// fifth less than Redis was told. After a restart of Redis, which may have forgotten what was held,
// nobody takes anything for as long as it could be, unless it keeps a file (appendonly yes,
// appendfsync always) and has it still. Without that file, jobs are as lasting as its memory.
package redis
