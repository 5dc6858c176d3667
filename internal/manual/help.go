// Package manual is what the tables of options and commands print: the help, the manual pages,
// completion.
package manual

import (
	"bufio"
	"fmt"
	"io"
)

const usage = `Usage: uwsgi [OPTIONS] FILE.ini | MODULE:CALLABLE | FILE.py
       uwsgi COMMAND ...
`

// often are the options that people use, as files of theirs have them (a test holds each to the
// table).
const often = `
Options (in a file: NAME = VALUE, in the environment: UWSGI_NAME=VALUE):
  --ini FILE                read them from a file
  --http ADDRESS            speak HTTP at IP:PORT or :PORT
  --socket ADDRESS          speak uwsgi's protocol, for nginx: PATH or IP:PORT
  --chmod-socket=660        who may connect to a PATH; also --chown-socket
  --module NAME[:CALLABLE]  the application, WSGI or ASGI; or --wsgi-file FILE
  --callable NAME           its name, where that is not "application"
  --chdir DIR               its folder; --pythonpath DIR: a further one
  --home DIR                its virtualenv
  --env NAME=VALUE          a variable of its environment
  --mount /PREFIX=NAME      one more application, below a path
  --static-map /PREFIX=DIR  files that need no application
  --processes N --threads N workers, threads in each; --cheaper N: fewer if idle
  --master                  import once, then fork; --lazy-apps: in each worker
  --harakiri SECONDS        end a request that takes longer
  --max-requests N          replace a worker then; also --reload-on-rss MIB
  --touch-reload FILE       reload when it is touched; --py-autoreload SECONDS
  --buffer-size BYTES       longest head of a request; --listen N: backlog
  --http-timeout SECONDS    longest silence of a client
  --uid USER --gid GROUP    who the application runs as
  --daemonize FILE          go to the background; --pidfile FILE; --vacuum
  --logto FILE              log there; --disable-logging: no request lines
  --stats ADDRESS           figures as JSON

Examples:
  uwsgi --http :8000 --module mysite.wsgi
  uwsgi --http :8000 --processes 4 --home venv main:app
  uwsgi check /etc/uwsgi/apps-enabled/mysite.ini

All options: uwsgi --help-all, man uwsgi     One: uwsgi help harakiri
`

// Help writes the one screen of it: the commands and the options that people use.
func Help(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprint(out, usage, "\nCommands:\n")
	for _, c := range Commands {
		fmt.Fprintf(out, "  %-25s %s\n", c.Name+" "+c.Args, c.Help)
	}
	fmt.Fprint(out, often)
}
