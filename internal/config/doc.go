// Package config reads uWSGI's configuration language: environment, command line and files become
// one flat list of pairs, the list is expanded, and the pairs fill the settings of package option.
//
// [Load] does it all; the rest of the package writes what was found (check, show-config) and what
// the table holds (help, manual pages, completion). One file a step: argv.go and envdir.go feed
// pairs in, sources.go finds files, ini.go with comment.go and formats.go read them, magic.go
// replaces %x in their text, reader.go keeps the list and lets options act that act while reading,
// blocks.go and declare.go multiply pairs, expand.go runs the passes, apply.go judges and applies,
// verify.go looks at what only makes sense together.
//
// # Where this differs from uWSGI on purpose
//
//   - A "#" or ";" after a blank begins a comment within a line, unless quoted or behind a backslash; uWSGI takes it as part of
//     the value. Shell commands and log templates are kept whole. Quotes around a whole value are taken off.
//   - Options that act while reading (include, for, if-exists, plugin …) have $(ENV), @(file) and %(name) replaced with what
//     is known at that line; uWSGI takes them literally. listen and umask do not act early any more.
//   - What a replacement brings in is looked through again wherever it stands; uWSGI skips the first byte. Names that are defined
//     by themselves stay as they are.
//   - $(NAME:-default), $(NAME-default), else and ienv of uWSGI 2.1 work.
//   - Files brought in by inherit are expanded, too.
//   - Blocks nest. A block that is never closed is reported.
//   - A "%" at the end of a line stays; uWSGI joins the next line. A "%x" without a meaning is taken out as in uWSGI, and reported.
//   - Files that include each other are an error (uWSGI crashes); so is ":section" with no file before it.
//   - ":section" works with include and with bare arguments. "[ uwsgi ]", "[uwsgi] ; x" and a byte order mark are understood.
//   - A bare argument can be FILE.py, FILE.wsgi or MODULE:CALLABLE.
//   - --flag=VALUE is accepted for every flag; so-send-timeout takes its value on the command line.
//   - -d, --daemonize and --daemonize2 take no value when an option or a configuration file follows.
//   - daemonize=true and log-date=false mean what they say; uWSGI logs into a file "true", and prefixes lines with "false".
//   - Sizes may have k, M, G behind them and times s, m, h, d; uWSGI stops reading at the letter.
//   - An address that is no address is an error with what to write; uWSGI makes a unix socket of it, or binds the broadcast address.
//   - chmod-socket takes 0664; a bare one is 666 in files too.
//   - env: blanks around the inner "=" are taken off.
//   - Different sources for one application (module, wsgi-file, paste) are tried in turn, modules first.
//   - Unknown keys that nothing uses are reported with the nearest option's name; so are values that are no number, and one
//     option given twice under two names.
package config
