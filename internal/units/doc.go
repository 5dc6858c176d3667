// Package units turns the configuration files of /etc/uwsgi/apps-enabled into drop-ins of
// uwsgi@NAME.service and uwsgi@NAME.socket, so that an ini stays the one place to edit:
// systemd.generator(7).
//
// Three layers, each callable without the next:
//
//	Instance.DropIns   pure: one configuration's settings → the text of two drop-ins; the emperor uses it too
//	Plan               reads the folder, loads each file, and gives the whole tree of drop-ins and links, with what could not be used
//	Run                the program: as a generator (three folders), --refresh NAME (before uwsgi@NAME starts), --start (uwsgi.service)
//
// As a generator it runs before anything else is up: it executes nothing, asks no network and no
// name service, and its exit status is 0 whatever the files hold. A file that cannot be used is
// reported to the kernel's log, which journald picks up, and left out.
//
// What runs as root outside of an instance's sandbox, and on whose word:
//
//	--pidfile, --logfile     commands of the service with "+": names that root's ini gives, or that lie in the runtime directory; by descriptors of
//	                         a folder that root alone decides on (openFolder), into files that are new
//	--stopping, --stopped    the instance's name
//	--refresh, --start       the files of apps-enabled, which whoever links them there trusts as root: they say User=, and root's hooks
//	root's hooks             in the instance (User= empty); an ini that others can change (RootsAlone) does not get out of ProtectSystem=strict
//	emperor-tyrant           User= is the owner; his file is read by --wishes, as him, and ReadWishes takes what it says for a stranger's
//
// systemd itself, as root, makes and removes the sockets at the paths that the ini gives, through
// whatever folders they are in.
package units
