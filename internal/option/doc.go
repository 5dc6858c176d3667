// Package option is THE option table: one [Row] an option, and the [Settings] the rows fill.
//
// The command line, the configuration files, --help, the manual pages, completion and `uwsgi check`
// are all derived from the table; a name stands in exactly one place. The rows are spread over
// files by concept (sockets.go, app.go, lifecycle.go …); table.go joins them and finds them by name
// or letter.
//
// A row has a standing:
//
//   - [Honoured]: it does what it does under uWSGI. Rows that configure the server have a setter; rows
//     of the configuration language itself (ini, include, if-env …) and of the command line (stop,
//     reload, help …) are carried out by package config.
//   - [NotNeeded]: accepted and without effect, because what it asks for is always so here. The note says why.
//   - [Refused]: this server does not have it. The note says what to use instead. Start-up continues, unless going on would be unsafe or
//     senseless ([Row.Fatal], or a [Row.Judge] that says so for this value).
//
// The package imports nothing of this program.
package option
