package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/config"
	"uwsgi/internal/option"
)

// Man writes a manual page in roff: "uwsgi" (section 1, also "") or "uwsgi.ini" (section 5).
func Man(w io.Writer, page string) error {
	out := bufio.NewWriter(w)
	switch page {
	case "", "uwsgi", "1":
		manCommand(out)
	case "uwsgi.ini", "5":
		manFile(out)
	default:
		return fmt.Errorf("manual page %s: there are uwsgi and uwsgi.ini", page)
	}
	return out.Flush()
}

func manCommand(w io.Writer) {
	fmt.Fprint(w, `.TH UWSGI 1 "" "uwsgi" "User Commands"
.ad l
.SH NAME
uwsgi \- application server for Python
.SH SYNOPSIS
.B uwsgi
[\fIoptions\fR] [\fIFILE.ini\fR | \fIMODULE:CALLABLE\fR | \fIFILE.py\fR]
.br
.B uwsgi
\fICOMMAND\fR [\fIarguments\fR]
.SH DESCRIPTION
Serves WSGI and ASGI applications over HTTP, the uwsgi protocol, FastCGI or SCGI. It reads the configuration files of uWSGI, see
.BR uwsgi.ini (5),
and takes its options. Names may be cut short where that is clear. A bare argument is a configuration file or an application and
counts after all options.
Where an application is named and no address, it is served at http://127.0.0.1:8000/.
.SH COMMANDS
`)
	for _, c := range Commands {
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(c.Name+" "+c.Args)), roff(c.Text))
	}
	fmt.Fprint(w, ".SH OPTIONS\n")
	for _, g := range groups(option.Honoured) {
		fmt.Fprintf(w, ".SS %s\n", roff(string(g)))
		for _, r := range option.All() {
			if r.Group == g && r.Standing == option.Honoured {
				fmt.Fprintf(w, ".TP\n\\fB%s\\fR\n%s\n", roff(forms(&r)), roff(r.Help))
			}
		}
	}
	fmt.Fprintf(w, `.SH IN THE BACKGROUND
Where systemd runs,
.B uwsgi \-d
and a configuration with
.B daemonize
start this command line as a transient unit, uwsgi\-\fINAME\fR.service, and return when it serves. \fINAME\fR is the configuration file's, or its folder's
where that is uwsgi.ini; a number follows where there is one of that name. The log is in the journal, and the file that
.B daemonize
names is not written. The unit has the environment of the caller, kept in a folder below /run/uwsgi\-daemon that only its user can
enter, and removed when the unit is over. It is restarted when it fails, unless it is killed by signal 9, and goes with a restart of uwsgi.service.
.PP
Otherwise it is a daemon of its own, which logs to the file and returns when its sockets are bound, with
.B daemonize2
when it serves: without systemd; when systemd starts it (Type=forking); and for a user who is not root, whose units would end when he logs
out. With
.B loginctl enable\-linger
they do not, and it is a unit of his own:
.BR "systemctl \-\-user" ,
.BR "journalctl \-\-user" .
.PP
The first process of a container, and the command of its init (tini, docker run \-\-init), stay in the foreground and log there.
.SH ENVIRONMENT
.TP
.B UWSGI_\fINAME\fR
the option of that name: UWSGI_PROCESSES=4 is \-\-processes 4
.TP
.B PAGER
the command that
.B uwsgi \-\-help\-all
is read with on a terminal
.SH SIGNALS
.TP
.B SIGTERM\fR, \fBSIGINT
stop: what runs and what waits is answered, within the mercy (worker\-reload\-mercy); a second one stops at once
.TP
.B SIGQUIT
stop at once
.TP
.B SIGHUP
reload: the new code is imported beside the old, which serves on where that fails
.TP
.B SIGTSTP
take no more requests, and at the next one take them again
.TP
.B SIGUSR1
write what each worker does to the log
.SH FILES
.TP
.I /etc/uwsgi/apps\-enabled/NAME.ini
the applications that are services, uwsgi@NAME.service, at every boot
.TP
.I /etc/uwsgi/apps\-available
configurations that wait for a link in the folder above
.TP
.I /usr/share/uwsgi/conf/default.ini
what those applications inherit: among others a unix socket for nginx, /run/uwsgi/app/NAME/socket, and the user www\-data
.TP
.I /etc/default/uwsgi
names another file to inherit
.TP
.I /usr/share/uwsgi/nginx
what nginx needs, in three ways
.SH EXAMPLES
.TP
A project, by hand:
.nf
uwsgi \-\-http :8000 \-\-chdir /srv/mysite \e
  \-\-home /srv/mysite/venv \-\-module mysite.wsgi
.fi
.TP
An ASGI application, with a worker for each of four CPUs:
.nf
uwsgi \-\-http :8000 \-\-master \-\-processes 4 main:app
.fi
.TP
A configuration for the project in this folder, judged and served:
.nf
uwsgi init \-\-write
uwsgi check uwsgi.ini
uwsgi uwsgi.ini
.fi
.TP
The same as a service:
.nf
cp uwsgi.ini /etc/uwsgi/apps\-enabled/mysite.ini
systemctl daemon\-reload
systemctl enable \-\-now uwsgi@mysite
.fi
.TP
New code, where a pidfile is configured:
.nf
uwsgi reload /run/uwsgi/mysite.pid
.fi
.SH EXIT STATUS
.TP
0
a normal end, or what was asked for is done
.TP
1
a fault of the command line, the configuration, a socket or the privileges; a reload that failed; uwsgi without arguments
.TP
22
the application could not be loaded, or has not answered a
.B warmup
request; what it gives to exit() in its import is the status in that place
.TP
70
a fault of this program, which the log describes
.TP
255
there is no process to reload or to stop
.PP
.B uwsgi check
exits with %d when every line is honoured and nothing is found, %d when it would not start, %d when something is refused, %d when a key
is unknown or a value, or what it names, doubtful: the first of them that applies.
.SH SEE ALSO
.BR uwsgi.ini (5)
`, config.AllHonoured, config.WouldNotStart, config.RefusedPresent, config.DoubtPresent)
}

// shown reports whether a group has options that are honoured.
func shown(g option.Group) bool {
	for _, r := range option.All() {
		if r.Group == g && r.Standing == option.Honoured {
			return true
		}
	}
	return false
}

func manFile(w io.Writer) {
	io.WriteString(w, `.TH UWSGI.INI 5 "" "uwsgi" "File Formats"
.ad l
.SH NAME
uwsgi.ini \- configuration of uwsgi
.SH DESCRIPTION
Lines \fIname\fR = \fIvalue\fR under the header [uwsgi], or another that is asked for as \fIFILE\fR:\fISECTION\fR. Every
option of
.BR uwsgi (1)
can stand here without its dashes. A name that is no option is a variable of yours. The last value of an option counts; options
that can stand several times add up.
.SS Comments
A line that begins with # or ;. In a line, a # or ; after a blank begins a comment, too, unless it is quoted or has a backslash in
front; shell commands and log formats are kept to the last byte. Quotes around a whole value are taken off.
.SS Values
Booleans are true, false, yes, no, on, off, 1, 0; a bare name is true. Sizes are bytes (64k is understood), times are seconds.
.SS Replacements
.TP
%(name)
the value of the first line of that name, defined before or after
.TP
%(a + b)
+ \- * / from left to right; words without an operator are put together
.TP
$(NAME)
an environment variable; $(NAME:\-default)
.TP
@(path)
the content of a file; exec://COMMAND its output
.TP
%v %p %d %s %n %e %c %0\-%9 %o %x
start folder, path, folder, name, name without extension, extension, folder's name, parts of the path, name as given, section of
this file; in capitals (%D) of the first file
.TP
%h %u %U %g %G %k %t %T %V %b
host, uid, user, gid, group, CPUs, time, microseconds, version, program
.TP
%%
a percent sign
.SS Blocks
for, for\-glob, for\-times, for\-readline ... endfor repeat lines; if\-env, if\-opt, if\-exists, if\-file, if\-dir, if\-hostname,
if\-plugin, if\-reload and their if\-not\- forms ... else ... endif choose them; %(_) is the item.
.SS Other files
ini, yaml, json, xml and include read a file where they stand, inherit after everything else.
.SH REFUSED
These options of uWSGI are reported and left out:
`)
	for _, g := range groups(option.Refused) {
		var names []string
		note := ""
		for _, r := range option.All() {
			if r.Group == g && r.Standing == option.Refused {
				names = append(names, r.Names()...)
				note = r.Note
			}
		}
		if names != nil && !shown(g) {
			fmt.Fprintf(w, ".TP\n.B %s\n%s. %s\n", roff(strings.TrimPrefix(string(g), "Refused: ")), roff(note),
				roff(strings.Join(names, ", ")))
		}
	}
	fmt.Fprint(w, `.SH FILES
.TP
.I /etc/uwsgi/apps\-enabled/NAME.ini
configurations of services, see
.BR uwsgi (1)
.TP
.I /usr/share/uwsgi/conf/default.ini
what they inherit
.SH EXAMPLES
.B uwsgi init
writes one for a project. Behind nginx on the same machine:
.PP
.nf
[uwsgi]
chdir = /srv/mysite
home = /srv/mysite/venv
module = mysite.wsgi:application
socket = /run/uwsgi/mysite.sock
chown\-socket = www\-data:www\-data
chmod\-socket = 660
master = true
processes = %(%k * 2)
threads = 4
harakiri = 60
uid = www\-data
gid = www\-data
vacuum = true
.fi
.SH SEE ALSO
.BR uwsgi (1)
`)
}

// roff escapes text for a manual page.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	if s != "" && (s[0] == '.' || s[0] == '\'') {
		return `\&` + s
	}
	return s
}
