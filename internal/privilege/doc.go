// Package privilege has what a process that is root needs to touch files that other users can
// reach: it acts with a user's own rights (As), or finds its way by descriptors and follows no link
// that somebody else could have put there (Dir). It also gives root up for good (Drop).
//
// A name means little to root. Between two system calls whoever owns a folder can put a link, a
// FIFO or another file behind it. So every folder on the way is opened as itself, links are
// followed only where root alone can have made them, and owners, modes and kinds are looked at and
// set on what was opened: openat(2), O_NOFOLLOW, fchown(2).
package privilege
