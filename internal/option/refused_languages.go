package option

import (
	"slices"
	"strings"
)

// foreignRows are the options of uWSGI's handlers for other languages, and of the storage that it
// serves files from. Those that name what is to be served are fatal: the server would start without
// it.
func foreignRows() []Row {
	var rows []Row
	for _, l := range []struct{ name, serves, values, flags string }{
		{"PHP", "php-app php-docroot php-fallback php-fallback2",
			"php-index php-set php-ini php-config php-ini-append php-config-append " +
				"php-allowed-ext php-allowed-script " +
				"php-allowed-docroot php-server-software php-app-qs php-fallback-qs php-app-bypass " +
				"php-var php-exec-before " +
				"php-exec-begin php-exec-after php-exec-end php-sapi-name early-php-sapi-name",
			"php-dump-config early-php"},
		{"Perl", "psgi early-psgi coroae", "perl-local-lib perl-args perl-arg perl-exec perl-exec-post-fork " +
			"perl-auto-reload perl-auto-reload-ignore",
			"psgi-enable-psgix-io perl-no-die-catch perl-version perl-no-plack early-perl plshell plshell-oneshot"},
		{"Ruby", "rack rails", "ruby-gc-freq rb-gc-freq rb-lib ruby-lib rb-require ruby-require rbrequire " +
			"rubyrequire require shared-rb-require shared-ruby-require shared-rbrequire shared-rubyrequire " +
			"shared-require gemset rvm rvm-path rb-threads rbthreads ruby-threads", "fiber rbshell rbshell-oneshot"},
		{"Lua", "lua", "lua-load lua-gc-freq", "lua-gc-full lua-shell luashell"},
		{"Java", "jwsgi jvm-class jvm-main-class ring-app", "jvm-classpath jvm-opt ring-load", ""},
		{"Clojure", "clojure-load", "", ""},
		{".NET", "mono-app", "mono-gc-freq mono-key mono-version mono-config mono-assembly mono-exec mono-index", ""},
		{"JavaScript", "v8-load v8-jsgi", "v8-preemptive v8-gc-freq v8-module-path", ""},
		{"Go", "go-load gccgo-load", "go-args gccgo-args goroutines", ""},
		{"Erlang", "erlang", "erlang-cookie", ""},
		{"GridFS", "gridfs-mount", "", "gridfs-debug"},
		{"RADOS", "rados-mount", "rados-timeout", ""},
		{"GlusterFS", "glusterfs-mount", "glusterfs-timeout", ""},
	} {
		serves := strings.Fields(l.serves)
		for _, name := range slices.Concat(serves, strings.Fields(l.values)) {
			rows = append(rows, Row{Name: name, Kind: Text, Repeat: true, Fatal: slices.Contains(serves, name),
				Help: "option of the handler for " + l.name})
		}
		for _, name := range strings.Fields(l.flags) {
			rows = append(rows, Row{Name: name, Help: "option of the handler for " + l.name})
		}
	}
	return rows
}
