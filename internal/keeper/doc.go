// Package keeper is the little of root that an instance keeps once it has become the application's
// user.
//
// The supervisor reads the configuration, answers commands and is reached by whatever the
// application does, so it gives root up as soon as the first configuration stands, as uWSGI's
// master does. A few things need root later: a log, pidfile or socket in a folder of root's is
// opened anew or removed, a port below 1024 is bound again, a hook runs as root, a daemon has a
// user of its own. Where the first configuration names such a thing, a second process stays root:
// the keeper, forked while the supervisor was root, and gone as soon as nothing needs it.
//
//	supervisor (the application's user) ──socketpair──> keeper (root)
//
// Its Plan is what the first configuration says, complete before any code of the application runs.
// The supervisor, who may be somebody else's puppet by then, can name an object of the Plan and a
// verb, and nothing more: no path, no owner, no mode, no command comes from a message. The keeper
// reads no configuration, loads no code of the application, follows no link that anybody but root
// could have made (package privilege), sends signals only to children of its own, and ends when the
// supervisor does, whoever has the socket by then.
//
// A planned name can stand for anything where the application's user can rename what is there: a
// file of root's that lay beside it, or in another folder of that name. There the keeper reads and
// renames nothing; it writes on to a log that it made or knows from the time before "settle", and
// over a pidfile. Where anybody but root can, it gives away, and opens to others, only what it has
// just made.
//
//	| verb    | object                    | what it does                                              | gives back   |
//	|---------|---------------------------|-----------------------------------------------------------|--------------|
//	| settle  |                           | notes that the supervisor is not root from now on         |              |
//	| bind    | Plan.Sockets, by Key      | binds, with owner and mode                                | a descriptor |
//	| log     | Plan.Logs, by path        | opens for appending, with owner and mode                  | a descriptor |
//	| rotate  | Plan.Logs, by path        | renames it to its backup name, or to PATH.TIME (once a s) |              |
//	| pidfile | Plan.Pidfiles             | writes the supervisor's process id                        |              |
//	| fifo    | Plan.FIFOs                | makes it, the application's user its owner                | a descriptor |
//	| remove  | sockets, pidfiles, FIFOs  | unlinks what is still of that kind                        |              |
//	| config  | Plan.Configs              | opens it for reading                                      | a descriptor |
//	| hook    | Plan.Hooks, by number     | carries it out, one after the other                       |              |
//	| daemon  | Plan.Daemons, by number   | starts it as its own user, at most 8 at a time            | a process id |
//	| wait    | a daemon it started       | waits for its end                                         | how it ended |
//	| signal  | a daemon it started       | sends a signal to its group                               |              |
package keeper
