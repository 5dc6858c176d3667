package option

import "strings"

// Other loops and other kinds of application.

var loopsRows = []Row{
	{Name: "async", Kind: Int, Judge: judgeAsync, Help: "N concurrent cores per worker in an async loop"},
	{Name: "asyncio", Kind: Int, Judge: judgeAsync, Help: "asyncio loop with N cores"},
	{Name: "greenlet", Help: "use greenlets to suspend requests (asyncio/tornado loops)"},
	{Name: "tornado", Kind: Int, Judge: judgeAsync, Help: "tornado loop with N cores"},
}

// judgeAsync says what to write in the place of N requests at a time that are no threads.
func judgeAsync(v Value) error {
	n := strings.TrimSpace(v.Text)
	if _, rest, ok := number(n); !ok || rest != "" {
		n = "100"
	}
	return warning("write asgi = MODULE:CALLABLE for an ASGI application, gevent = "+n+" for a WSGI one",
		"a request of WSGI is not suspended but by gevent")
}

var otherAppsRows = []Row{
	{Name: "vhost", Note: "write one mount, or one instance, an application; server_name of nginx chooses",
		Help: "one app per SERVER_NAME"},
	{Name: "vhost-host", Note: "write one mount, or one instance, an application; server_name of nginx chooses",
		Help: "one app per Host header"},
	{Name: "pecan", Kind: Path, Fatal: true, Help: "Pecan config"},
	{Name: "web3", Kind: Text, Fatal: true, Help: "web3 app"},
	{Name: "pump", Kind: Text, Fatal: true, Help: "pump app"},
	{Name: "wsgi-lite", Kind: Text, Fatal: true, Help: "wsgi-lite app"},
	{Name: "start_response-nodelay", Note: "headers go out with the first byte of the body, as PEP 3333 asks",
		Help: "send headers at start_response"},
	{Name: "cgi", Kind: Text, Repeat: true, Fatal: true, Help: "CGI directory/script"},
	{Name: "cgi-helper", Aliases: []string{"cgi-map-helper"}, Kind: Text, Repeat: true, Help: "interpreter per suffix"},
	{Name: "cgi-from-docroot", Help: "CGI under DOCUMENT_ROOT"},
	{Name: "cgi-buffer-size", Kind: Bytes, Help: "CGI buffer"},
	{Name: "cgi-timeout", Kind: Seconds, Help: "CGI limit"},
	{Name: "cgi-index", Kind: Text, Repeat: true, Help: "CGI index"},
	{Name: "cgi-allowed-ext", Kind: Text, Repeat: true, Help: "permitted CGI suffix"},
	{Name: "cgi-unset", Kind: Text, Repeat: true, Help: "option of the cgi plugin"},
	{Name: "cgi-loadlib", Kind: Text, Repeat: true, Help: "option of the cgi plugin"},
	{Name: "cgi-optimize", Help: "option of the cgi plugin"},
	{Name: "cgi-optimized", Help: "option of the cgi plugin"},
	{Name: "cgi-path-info", Help: "option of the cgi plugin"},
	{Name: "cgi-do-not-kill-on-error", Help: "option of the cgi plugin"},
	{Name: "cgi-async-max-attempts", Help: "option of the cgi plugin"},
	{Name: "cgi-close-stdin-on-eof", Help: "option of the cgi plugin"},
	{Name: "cgi-safe", Kind: Text, Repeat: true, Help: "option of the cgi plugin"},
	{Name: "notfound-log", Help: "log requests of the notfound handler"},
	{Name: "webdav-mount", Kind: Text, Repeat: true, Fatal: true, Help: "option of the webdav plugin"},
	{Name: "webdav-css", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-javascript", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-js", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-class-directory", Kind: Text, Help: "option of the webdav plugin"},
	{Name: "webdav-div", Kind: Text, Help: "option of the webdav plugin"},
	{Name: "webdav-lock-cache", Kind: Text, Help: "option of the webdav plugin"},
	{Name: "webdav-principal-base", Kind: Text, Help: "option of the webdav plugin"},
	{Name: "webdav-add-option", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-collection-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-object-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-prop-href", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-collection-prop-href", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-object-prop-href", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-prop-comp", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-collection-prop-comp", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-object-prop-comp", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-rtype-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-rtype-collection-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-add-rtype-object-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "webdav-skip-prop", Kind: Text, Repeat: true, Help: "option of the webdav plugin"},
	{Name: "sqlite3", Kind: Text, Note: "write the configuration into a file", Help: "option of the sqlite3 plugin"},
	{Name: "sqlite", Kind: Text, Note: "write the configuration into a file", Help: "option of the sqlite3 plugin"},
	{Name: "xslt-docroot", Kind: Text, Repeat: true, Help: "option of the xslt plugin"},
	{Name: "xslt-ext", Kind: Text, Repeat: true, Help: "option of the xslt plugin"},
	{Name: "xslt-var", Kind: Text, Repeat: true, Help: "option of the xslt plugin"},
	{Name: "xslt-stylesheet", Kind: Text, Repeat: true, Help: "option of the xslt plugin"},
	{Name: "xslt-content-type", Kind: Text, Help: "option of the xslt plugin"},
	{Name: "pypy-lib", Kind: Text, Help: "option of the pypy plugin"},
	{Name: "pypy-setup", Kind: Text, Help: "option of the pypy plugin"},
	{Name: "pypy-home", Kind: Text, Help: "option of the pypy plugin"},
	{Name: "pypy-wsgi", Kind: Text, Fatal: true, Help: "option of the pypy plugin"},
	{Name: "pypy-wsgi-file", Kind: Text, Fatal: true, Help: "option of the pypy plugin"},
	{Name: "pypy-ini-paste", Kind: Text, Fatal: true, Help: "option of the pypy plugin"},
	{Name: "pypy-paste", Kind: Text, Fatal: true, Help: "option of the pypy plugin"},
	{Name: "pypy-eval", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "pypy-eval-post-fork", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "pypy-exec", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "pypy-exec-post-fork", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "pypy-pp", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "pypy-python-path", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "pypy-pythonpath", Kind: Text, Repeat: true, Help: "option of the pypy plugin"},
	{Name: "dynamic-apps", Since: "2.1", Note: "code is never loaded on a request's word",
		Help: "permit request-time app loading via protocol vars"},
	{Name: "cgi-dontresolve", Since: "2.1", Help: "option of the cgi plugin"},
}
