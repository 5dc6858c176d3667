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
.B uwsgi check
\fIFILE\fR [\fB\-\-json\fR] [\fB\-\-syntax\fR]
.br
.B uwsgi list
[\fB\-\-json\fR]
.br
.B uwsgi reload \fR|\fB stop
\fIPIDFILE\fR | \fIPID\fR
.br
.B uwsgi completion bash
.SH DESCRIPTION
Serves a WSGI application over HTTP, the uwsgi protocol, FastCGI or SCGI. It reads the configuration files of uWSGI, see
.BR uwsgi.ini (5),
and takes its options. Names may be cut short where that is clear. A bare argument is a configuration file or an application and
counts after all options.
.SH COMMANDS
.TP
.B check \fIFILE\fR
judge every line of a configuration without starting: obeyed, not needed, refused or unknown; and look whether it would start on
this machine: users, folders and who may use them, ports, the virtualenv, and the application, which is read and not imported. With
\fB\-\-syntax\fR the lines alone, whatever machine they are for. With \fB\-\-json\fR one object a line:
\fIfile\fR ("" for the command line and the environment), \fIline\fR, \fIoption\fR, \fIvalue\fR, \fIstanding\fR (supported, no\-need, refused,
unknown), \fInote\fR and, where so, \fIfatal\fR (it would not start) or \fIwarning\fR: true.
.TP
.B list\fR, \fBstatus
show the instances of this machine; with \fB\-\-json\fR as an array of objects
.TP
.B reload \fIPIDFILE\fR
reload an instance and wait until the new code serves; fails, and says why, where the old code goes on serving
.TP
.B stop \fIPIDFILE\fR
stop an instance
.TP
.B completion bash
write a completion script
.TP
.B man \fR[\fBuwsgi.ini\fR]
write this page, or the one of the files
.SH OPTIONS
`)
	for _, g := range groups(option.Supported) {
		fmt.Fprintf(w, ".SS %s\n", roff(string(g)))
		for _, r := range option.All() {
			if r.Group == g && r.Standing == option.Supported {
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
.SH EXIT STATUS
.TP
0
a normal end
.TP
1
a fault of the configuration, a socket or the privileges
.TP
22
the application could not be loaded
.PP
.B uwsgi check
exits with %d when every line is honoured and nothing is found, %d when it would not start, %d when something is refused, %d when a key
is unknown or a value, or what it names, doubtful: the first of them that applies.
.SH SEE ALSO
.BR uwsgi.ini (5)
`, config.AllHonoured, config.WouldNotStart, config.RefusedPresent, config.DoubtPresent)
}

// shown reports whether a group has options that are obeyed.
func shown(g option.Group) bool {
	for _, r := range option.All() {
		if r.Group == g && r.Standing == option.Supported {
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
.SH NOT OFFERED
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
			fmt.Fprintf(w, ".TP\n.B %s\n%s. %s\n", roff(strings.TrimPrefix(string(g), "Not offered: ")), roff(note),
				roff(strings.Join(names, ", ")))
		}
	}
	fmt.Fprint(w, ".SH SEE ALSO\n.BR uwsgi (1)\n")
}

// roff escapes text for a manual page.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	if s != "" && (s[0] == '.' || s[0] == '\'') {
		return `\&` + s
	}
	return s
}
