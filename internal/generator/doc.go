// Package generator turns the configuration files of /etc/uwsgi/apps-enabled into drop-ins of uwsgi@NAME.service and uwsgi@NAME.socket, so that
// an ini stays the one place to edit: systemd.generator(7).
//
// Three layers, each callable without the next:
//
//	Instance.DropIns   pure: one configuration's settings → the text of two drop-ins; the emperor uses it too
//	Plan               reads the folder, loads each file, and gives the whole tree of drop-ins and links, with what could not be used
//	Run                the program: as a generator (three folders), --refresh NAME (before uwsgi@NAME starts), --start (uwsgi.service)
//
// As a generator it runs before anything else is up: it executes nothing, asks no network and no name service, and its exit status is 0
// whatever the files hold. A file that cannot be used is reported to the kernel's log, which journald picks up, and left out.
package generator
