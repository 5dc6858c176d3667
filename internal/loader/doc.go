// Package loader is the supervisor's view of one loader process (the application's own Python
// interpreter running internal/python/loader.py) and of the workers it forks.
//
// # The wire
//
// Supervisor and loader share a SOCK_SEQPACKET pair; supervisor and each worker share another. A
// message is one packet holding one JSON object with "op"; descriptors travel beside it by
// SCM_RIGHTS, from the supervisor only. End of file is the lifeline: a loader whose supervisor is
// gone exits, a worker finishes what it does (a second at most) and exits.
//
// The loader is started as
//
//	<python> <libdir>/loader.py <libdir>
//
// with these descriptors (the first three are the instance's own stdin, stdout and stderr):
//
//	3   control socket
//	4   memfd with a wire.Boot as JSON
//	5   memfd of the scoreboard
//	6…  the listening sockets, in the order of Boot.Listeners, then the request log, the handoff pair … at the numbers Boot says
//
// environment: as the application shall see it, plus
// GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096, or LD_PRELOAD with the library where the
// interpreter is linked with musl (the loader undoes that as Boot.Unsetenv and
// Boot.Setenv say). limit-as is the loader's soft RLIMIT_AS until it says loaded; a worker is born
// without it and held to it, with Row.ASOverhead added, once it is ready. Supervisor → loader:
//
//	{"op":"fork","slot":1,"row":0,"reason":"start","first":true,"again":false,"trial":true} + [worker's control socket, (its stderr)]   fork a worker; first: none of the
//	                                                                                          slot has served yet, the -once hooks run; again: as Boot.Again;
//	                                                                                          trial: its generation is not in force, a warmup that fails refuses it
//	{"op":"quit"}                                                                             no more forks; exit when the last child is gone
//	{"op":"reap"}                                                                             a child has ended: tell its status (exited)
//
// loader → supervisor:
//
//	{"op":"loaded","apps":[{"mount":"","seconds":0.2,"source":"mysite.wsgi","interface":"wsgi"}],"python":"3.11.2"}      the application is imported (lazy-apps: the interpreter is up)
//	{"op":"failed","error":"ImportError: …","message":"…","exclusive":false,"code":22}         no application. message: what is left to say where the traceback is on
//	                                                                                          stderr already. exclusive: a lock or an address was in use, so a reload
//	                                                                                          that stops the old ones first may work
//	{"op":"forked","slot":1,"row":0,"pid":4711}
//	{"op":"forkfailed","slot":1,"row":0,"error":"…"}
//	{"op":"exited","slot":1,"pid":4711,"status":9}                                             raw wait status, as os.waitpid gives it
//	{"op":"log","message":"…","level":"warning"}                                               something for the server log
//	{"op":"register"} {"op":"schedule"} {"op":"raise"}                                         as a worker's: the application does so while it is imported
//
// The application's own lines (WSGI app 0 … ready, no app loaded …, tracebacks) are the loader's
// and the worker's to write, those of processes (spawned, DAMN …) the supervisor's. "forked" must
// be on its way before "exited" of the same pid; the supervisor opens it by number and makes sure
// that it is a child of the loader's with the application's user. What it is told is otherwise the
// application's word, too: numbers are held to their range and texts escaped (wire.go), and nothing
// is done to a process that a message names.
//
// worker → supervisor:
//
//	{"op":"loaded","apps":[…]}              lazy-apps: it has imported the applications
//	{"op":"ready"}                          it could serve, and takes nothing before it is told to
//	{"op":"failed","error":"…","message":"…","trace":"…","exclusive":false,"code":22}   it cannot serve (lazy-apps: the application cannot be imported; a warmup has failed); it exits with that code.
//	                                        trace: a traceback for the supervisor to write into the log, of one worker of those that fail alike
//	{"op":"recycle","reason":"max-requests"} it asks to be replaced; it goes on serving until told to drain. The supervisor writes the log lines
//	{"op":"deadline"}                       a request has set itself a deadline that the supervisor would come too late for (Row.NextScan)
//	{"op":"answered"}                       after "harakiri" or "giveup": the 504s are out and no other core is busy; it will be killed now, not after the grace
//	{"op":"busy","within":20000,"done":true}  a mule or spooler: what it does from now on has to be over in that many ms, else it is killed; below 0: at some
//	                                        time; 0: it is over. done: with a task of the statistics
//	{"op":"reload"} {"op":"stop"}           uwsgi.reload(), uwsgi.stop()
//	{"op":"register","message":"{…}"}       a handler of a uWSGI signal: signal, target
//	{"op":"schedule","message":"{…}"}       a timer, cron or file monitor that raises one (schedule.Source)
//	{"op":"raise","message":"{…}"}          uwsgi.signal()
//	{"op":"began","message":"{…}"}          the handler of a signal runs
//	{"op":"handled","message":"{…}"}        it has ended: error, "" = none
//	{"op":"withdrawn","message":"{…}"}      a signal that was not begun with is not for this process any more
//	{"op":"waits","message":"{}"}           it waits for a signal, perhaps before it is ready
//	{"op":"log","message":"…","level":"warning"}  something for the server log
//
// supervisor → worker:
//
//	{"op":"serve"}                        the answer to ready: it counts as serving, and begins to take connections
//	{"op":"part"}                         serve on, and tell clients with each answer to close their connection: the instance will stop
//	{"op":"drain","reason":"reload","handoff":true,"close":false}  take no more, finish what runs, hand idle connections on (handoff) or close them
//	                                      after a moment, exit 0. close: the instance ends, what waits in the queues of its own sockets is answered.
//	                                      It may come once more, with other terms
//	{"op":"cancel","core":0,"started":71}     the same of a worker with an event loop: cancel it, the others go on
//	{"op":"harakiri","core":0,"started":71}   that core's request, which began then (Core.Started), is past its deadline: answer 504 in its place, stop accepting, let the others finish
//	{"op":"giveup"}                       it will be killed in a moment: answer 504 in the place of whatever still runs
//	{"op":"pause"} {"op":"resume"}
//	{"op":"signal","signal":7}            run the handler of that uWSGI signal between two requests
//	{"op":"withdraw","signal":7}          withdraw it, if it has not begun
//	{"op":"look"}                         a connection may wait that the kernel has told a process of that has ended: look
//	{"op":"accesslog"} (+ [descriptor])   reopen what the request log writes to, or write to that descriptor from now on
//
// A mule (internal/python/uwsgi_mule.py), a process of the spooler (uwsgi_spooler.py) and the
// script of pyrun (uwsgi_script.py) are forked like a worker, as "kind":"mule", "spooler" or
// "script", with a negative row, for they have none on the scoreboard. They have no data plane;
// they say ready, failed, recycle, busy, log and what is of signals, get those, are told to drain,
// and send themselves SIGTERM then.
//
// The dump signal (SIGRTMIN+5 = 39) makes a loader or a worker write every Python thread's stack to
// its stderr (faulthandler, needs no GIL).
package loader
