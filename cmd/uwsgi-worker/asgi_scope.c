// The scope of a request (ASGI 3.0, HTTP & WebSocket 2.5), from its CGI variables.
#include <string.h>

#include "asgi.h"
#include "head.h"
#include "names.h"

// What a variable is to the scope.
enum {
	SCOPE_UNKNOWN = 0, // not looked at yet
	SCOPE_NOTHING,
	SCOPE_AGAIN, // what an entity's variable says already: nginx gives both
	SCOPE_HEADER,
	SCOPE_ENTITY, // Content-Type, Content-Length: an empty one is none, as nginx gives it
	SCOPE_SUBPROTOCOL,
	SCOPE_TE,
	SCOPE_METHOD,
	SCOPE_URI,
	SCOPE_PATH,
	SCOPE_QUERY,
	SCOPE_PROTOCOL,
	SCOPE_SCRIPT,
	SCOPE_ADDR,
	SCOPE_PORT,
	SCOPE_SERVER_NAME,
	SCOPE_SERVER_PORT,
	SCOPE_KINDS,
};

static const struct {
	const char *name;
	int kind;
} scope_variables[] = {
	{"HTTP_CONTENT_TYPE", SCOPE_AGAIN},   {"HTTP_CONTENT_LENGTH", SCOPE_AGAIN},
	{"CONTENT_TYPE", SCOPE_ENTITY},       {"CONTENT_LENGTH", SCOPE_ENTITY}, {"HTTP_SEC_WEBSOCKET_PROTOCOL", SCOPE_SUBPROTOCOL},
	{"HTTP_TE", SCOPE_TE},                {"REQUEST_METHOD", SCOPE_METHOD}, {"REQUEST_URI", SCOPE_URI},
	{"PATH_INFO", SCOPE_PATH},            {"QUERY_STRING", SCOPE_QUERY},    {"SERVER_PROTOCOL", SCOPE_PROTOCOL},
	{"SCRIPT_NAME", SCOPE_SCRIPT},        {"REMOTE_ADDR", SCOPE_ADDR},      {"REMOTE_PORT", SCOPE_PORT},
	{"SERVER_NAME", SCOPE_SERVER_NAME},   {"SERVER_PORT", SCOPE_SERVER_PORT},
};

// What is known of a name of names.c. Each header remembers its last pair, for most values recur.
typedef struct {
	int kind;
	PyObject *header; // b"x-foo"
	PyObject *pair;   // (header, value)
	const char *value;
	Py_ssize_t len;
} scope_name;
static scope_name scope_names[UW_NAMES];

typedef struct {
	const char *p;
	Py_ssize_t n;
} scope_span;

// A request's headers up to here are collected without an allocation.
enum { SCOPE_FEW = 64 };

// Clients that come again: their tuple is kept, at the place that address and port give. A few
// hundred, as many as there are connections at work at a time; each takes 200 bytes.
enum { SCOPE_CLIENTS = 256, SCOPE_ADDRESS = 64 };
typedef struct {
	PyObject *tuple;
	unsigned char addr_len, port_len;
	char text[SCOPE_ADDRESS]; // address and port
} scope_endpoint;
static scope_endpoint scope_clients[SCOPE_CLIENTS], scope_server;

static struct {
	PyObject *method, *path, *raw_path, *query_string, *root_path, *headers, *http_version, *client, *server, *scheme, *state, *extensions, *subprotocols;
} scope_key;
static PyObject *scope_http, *scope_https, *scope_ws, *scope_wss, *scope_no_text, *scope_no_bytes, *scope_trailers;
static PyObject *scope_version10, *scope_version11;
static PyObject *scope_get, *scope_post; // methods

int asgi_scope_init(void)
{
	const struct {
		PyObject **to;
		const char *text;
	} all[] = {
		{&scope_key.method, "method"}, {&scope_key.path, "path"}, {&scope_key.raw_path, "raw_path"}, {&scope_key.query_string, "query_string"},
		{&scope_key.root_path, "root_path"}, {&scope_key.headers, "headers"}, {&scope_key.http_version, "http_version"},
		{&scope_key.client, "client"}, {&scope_key.server, "server"}, {&scope_key.scheme, "scheme"}, {&scope_key.state, "state"},
		{&scope_key.extensions, "extensions"}, {&scope_key.subprotocols, "subprotocols"}, {&scope_http, "http"}, {&scope_https, "https"},
		{&scope_ws, "ws"}, {&scope_wss, "wss"}, {&scope_no_text, ""}, {&scope_trailers, "http.response.trailers"},
		{&scope_version10, "1.0"}, {&scope_version11, "1.1"}, {&scope_get, "GET"}, {&scope_post, "POST"},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (!(*all[i].to = PyUnicode_InternFromString(all[i].text)))
			return -1;
	scope_no_bytes = PyBytes_FromStringAndSize("", 0);
	return scope_no_bytes ? 0 : -1;
}

PyObject *asgi_scope_template(PyObject *dict, int websocket)
{
	// Every key is there from the start: a copy then grows no more.
	PyObject *keys[] = {scope_key.http_version, scope_key.server, scope_key.client, scope_key.scheme, scope_key.root_path, scope_key.path,
	                    scope_key.raw_path, scope_key.query_string, scope_key.headers, websocket ? scope_key.subprotocols : scope_key.method};
	PyObject *t = PyDict_Copy(dict);
	for (size_t i = 0; t && i < sizeof keys / sizeof *keys; i++)
		if (PyDict_SetItem(t, keys[i], Py_None) < 0)
			Py_CLEAR(t);
	return t;
}

// scope_classify finds what a variable is to the scope, and makes the name of its header.
static int scope_classify(scope_name *e, const char *s, uint32_t n)
{
	int kind = SCOPE_NOTHING;
	for (size_t i = 0; i < sizeof scope_variables / sizeof *scope_variables; i++)
		if (strlen(scope_variables[i].name) == n && memcmp(scope_variables[i].name, s, n) == 0)
			kind = scope_variables[i].kind;
	if (kind == SCOPE_NOTHING && n > 5 && memcmp(s, "HTTP_", 5) == 0)
		kind = SCOPE_HEADER;
	if (kind >= SCOPE_HEADER && kind <= SCOPE_TE) {
		uint32_t skip = kind == SCOPE_ENTITY ? 0 : 5;
		PyObject *header = PyBytes_FromStringAndSize(s + skip, n - skip);
		if (!header)
			return -1;
		char *p = PyBytes_AsString(header);
		for (uint32_t i = 0; i < n - skip; i++) // no name on the wire has "_": http1 lets none pass
			p[i] = p[i] == '_' ? '-' : p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
		e->header = header;
	}
	e->kind = kind;
	return 0;
}

// scope_pair gives (name, value), a new reference.
static PyObject *scope_pair(scope_name *e, const char *s, Py_ssize_t n)
{
	if (e->pair && e->len == n && memcmp(e->value, s, (size_t)n) == 0) {
		Py_INCREF(e->pair);
		return e->pair;
	}
	PyObject *value = PyBytes_FromStringAndSize(s, n);
	if (!value)
		return NULL;
	PyObject *pair = PyTuple_Pack(2, e->header, value);
	Py_DECREF(value); // the pair's
	if (!pair)
		return NULL;
	enum { LONGEST = 512 }; // a value that is kept
	if (n <= LONGEST) {
		PyObject *old = e->pair;
		Py_INCREF(pair);
		e->pair = pair;
		e->value = PyBytes_AsString(value);
		e->len = n;
		Py_XDECREF(old);
	}
	return pair;
}

// scope_address gives (address, port), a new reference; e may hold it from the last time.
static PyObject *scope_address(scope_endpoint *e, scope_span addr, scope_span port)
{
	if (e->tuple && e->addr_len == addr.n && e->port_len == port.n && memcmp(e->text, addr.p, (size_t)addr.n) == 0 &&
	    memcmp(e->text + addr.n, port.p, (size_t)port.n) == 0) {
		Py_INCREF(e->tuple);
		return e->tuple;
	}
	long number = 0;
	for (Py_ssize_t i = 0; i < port.n && port.p[i] >= '0' && port.p[i] <= '9' && number < 65536; i++)
		number = number * 10 + (port.p[i] - '0');
	PyObject *tuple = Py_BuildValue("(Nl)", PyUnicode_DecodeLatin1(addr.p, addr.n, NULL), number);
	if (tuple && addr.n + port.n <= SCOPE_ADDRESS) {
		PyObject *old = e->tuple;
		Py_INCREF(tuple);
		e->tuple = tuple;
		e->addr_len = (unsigned char)addr.n;
		e->port_len = (unsigned char)port.n;
		memcpy(e->text, addr.p, (size_t)addr.n);
		memcpy(e->text + addr.n, port.p, (size_t)port.n);
		Py_XDECREF(old);
	}
	return tuple;
}

static PyObject *scope_client(scope_span addr, scope_span port)
{
	// Nothing is known of the peer on a unix socket; only WSGI is given the address 0.0.0.0.
	if (addr.n == 0 || (port.n == 0 && addr.n == 7 && memcmp(addr.p, "0.0.0.0", 7) == 0))
		Py_RETURN_NONE;
	uint32_t h = 2166136261u;
	for (Py_ssize_t i = 0; i < port.n; i++)
		h = (h ^ (unsigned char)port.p[i]) * 16777619u;
	for (Py_ssize_t i = 0; i < addr.n; i++)
		h = (h ^ (unsigned char)addr.p[i]) * 16777619u;
	return scope_address(&scope_clients[h % SCOPE_CLIENTS], addr, port);
}

static PyObject *scope_text(const char *s, Py_ssize_t n)
{
	if (n == 0) {
		Py_INCREF(scope_no_text);
		return scope_no_text;
	}
	return PyUnicode_DecodeUTF8(s, n, "replace");
}

static PyObject *scope_bytes(scope_span s)
{
	if (s.n == 0) {
		Py_INCREF(scope_no_bytes);
		return scope_no_bytes;
	}
	return PyBytes_FromStringAndSize(s.p, s.n);
}

// scope_path is SCRIPT_NAME and PATH_INFO: the path includes root_path, and the application strips
// it.
static PyObject *scope_path(scope_span script, scope_span path)
{
	if (script.n == 0)
		return scope_text(path.p, path.n);
	PyObject *whole = PyBytes_FromStringAndSize(NULL, script.n + path.n);
	if (!whole)
		return NULL;
	char *p = PyBytes_AsString(whole);
	memcpy(p, script.p, (size_t)script.n);
	memcpy(p + script.n, path.p, (size_t)path.n);
	PyObject *text = scope_text(p, script.n + path.n);
	Py_DECREF(whole);
	return text;
}

// scope_raw_path is the path of the request's target as it came; None if a gateway does not pass
// it.
static PyObject *scope_raw_path(scope_span uri)
{
	if (uri.n == 0)
		Py_RETURN_NONE;
	if (uri.p[0] != '/') { // the absolute form: what stands behind the authority
		for (Py_ssize_t i = 0; i + 2 < uri.n && uri.p[i] != '/' && uri.p[i] != '?'; i++) {
			if (memcmp(uri.p + i, "://", 3) == 0) {
				for (i += 3; i < uri.n && uri.p[i] != '/' && uri.p[i] != '?';)
					i++;
				uri.p += i;
				uri.n -= i;
				break;
			}
		}
	}
	const char *q = memchr(uri.p, '?', (size_t)uri.n);
	if (q)
		uri.n = q - uri.p;
	return scope_bytes(uri);
}

static PyObject *scope_http_version(scope_span s)
{
	if (s.n == 8 && memcmp(s.p, "HTTP/", 5) == 0) {
		if (s.p[5] == '1') {
			PyObject *v = s.p[7] == '0' ? scope_version10 : scope_version11;
			Py_INCREF(v);
			return v;
		}
		return PyUnicode_FromStringAndSize(s.p + 5, 1); // HTTP/2.0, as nginx says, is "2"
	}
	if (s.n > 5 && memcmp(s.p, "HTTP/", 5) == 0)
		return PyUnicode_DecodeLatin1(s.p + 5, s.n - 5, NULL);
	Py_INCREF(scope_version11);
	return scope_version11;
}

static PyObject *scope_method(scope_span s)
{
	PyObject *m = s.n == 3 && memcmp(s.p, "GET", 3) == 0 ? scope_get : s.n == 4 && memcmp(s.p, "POST", 4) == 0 ? scope_post : NULL;
	if (!m)
		return PyUnicode_DecodeLatin1(s.p, s.n, NULL);
	Py_INCREF(m);
	return m;
}

// scope_split appends the elements of a list of tokens.
static int scope_split(PyObject *list, const char *s, Py_ssize_t n)
{
	for (Py_ssize_t i = 0; i < n;) {
		Py_ssize_t start, end;
		while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == ','))
			i++;
		for (start = i; i < n && s[i] != ',';)
			i++;
		for (end = i; end > start && (s[end - 1] == ' ' || s[end - 1] == '\t');)
			end--;
		if (end == start)
			continue;
		PyObject *o = PyUnicode_DecodeLatin1(s + start, end - start, NULL);
		int rc = o ? PyList_Append(list, o) : -1;
		Py_XDECREF(o);
		if (rc < 0)
			return -1;
	}
	return 0;
}

// scope_set stores a value, taking over its reference; a value of NULL means that an exception is
// set.
static int scope_set(PyObject *scope, PyObject *key, PyObject *value)
{
	int rc = value ? PyDict_SetItem(scope, key, value) : -1;
	Py_XDECREF(value);
	return rc;
}

// scope_private gives the scope its own copy of the dict that the template has under key: an
// application may change it.
static int scope_private(PyObject *scope, PyObject *key)
{
	PyObject *shared = PyDict_GetItemWithError(scope, key);
	if (!shared)
		return PyErr_Occurred() ? -1 : 0;
	return scope_set(scope, key, PyDict_Copy(shared));
}

static PyObject *scope_server_of(const uw_event *ev, const scope_span *at)
{
	if (ev->socket_len > 0)
		return Py_BuildValue("(NO)", PyUnicode_DecodeUTF8(uw_at(ev->socket), (Py_ssize_t)ev->socket_len, "surrogateescape"), Py_None);
	if (at[SCOPE_SERVER_NAME].n == 0)
		Py_RETURN_NONE;
	return scope_address(&scope_server, at[SCOPE_SERVER_NAME], at[SCOPE_SERVER_PORT]);
}

// scope_fill sets what belongs to this request. -1: an exception is set.
static int scope_fill(PyObject *scope, const asgi_app *app, const uw_event *ev, const scope_span *at, PyObject *headers, PyObject *subprotocols)
{
	PyObject *scheme = ev->websocket ? ev->https ? scope_wss : scope_ws : ev->https ? scope_https : scope_http;
	if (PyDict_SetItem(scope, scope_key.scheme, scheme) < 0 || PyDict_SetItem(scope, scope_key.headers, headers) < 0 ||
	    scope_set(scope, scope_key.path, scope_path(at[SCOPE_SCRIPT], at[SCOPE_PATH])) < 0 ||
	    scope_set(scope, scope_key.raw_path, scope_raw_path(at[SCOPE_URI])) < 0 ||
	    scope_set(scope, scope_key.query_string, scope_bytes(at[SCOPE_QUERY])) < 0 ||
	    scope_set(scope, scope_key.root_path, scope_text(at[SCOPE_SCRIPT].p, at[SCOPE_SCRIPT].n)) < 0 ||
	    scope_set(scope, scope_key.http_version, scope_http_version(at[SCOPE_PROTOCOL])) < 0 ||
	    scope_set(scope, scope_key.client, scope_client(at[SCOPE_ADDR], at[SCOPE_PORT])) < 0 ||
	    scope_set(scope, scope_key.server, scope_server_of(ev, at)) < 0 || scope_private(scope, scope_key.extensions) < 0)
		return -1;
	if (app->state && scope_set(scope, scope_key.state, PyDict_Copy(app->state)) < 0)
		return -1;
	if (subprotocols)
		return PyDict_SetItem(scope, scope_key.subprotocols, subprotocols);
	return scope_set(scope, scope_key.method, scope_method(at[SCOPE_METHOD]));
}

// scope_offer adds the extension that depends on the client: trailers go only to a client that
// accepts them (RFC 9110 §6.5.1), in chunks.
static int scope_offer(PyObject *scope, const scope_span *at)
{
	scope_span te = at[SCOPE_TE], protocol = at[SCOPE_PROTOCOL];
	if (te.n < 8 || protocol.n != 8 || memcmp(protocol.p, "HTTP/1.1", 8) != 0)
		return 0;
	for (Py_ssize_t i = 0; i + 8 <= te.n; i++) {
		if (UW_IS(te.p + i, 8, "trailers")) {
			PyObject *extensions = PyDict_GetItemWithError(scope, scope_key.extensions);
			return extensions ? scope_set(extensions, scope_trailers, PyDict_New()) : PyErr_Occurred() ? -1 : 0;
		}
	}
	return 0;
}

PyObject *asgi_scope(const asgi_app *app, const uw_event *ev, char *head)
{
	PyObject *few[SCOPE_FEW], **pairs = few, *headers = NULL, *scope = NULL, *subprotocols = ev->websocket ? PyList_New(0) : NULL;
	const char *arena = uw_at(ev->arena);
	const uw_var *vars = uw_at(ev->vars);
	scope_span at[SCOPE_KINDS];
	Py_ssize_t n = 0;
	int slot = -1;
	memset(at, 0, sizeof at);
	if (ev->websocket && !subprotocols)
		return NULL;
	if (ev->nvars > SCOPE_FEW && !(pairs = PyMem_Malloc((size_t)ev->nvars * sizeof *pairs))) {
		Py_XDECREF(subprotocols);
		return PyErr_NoMemory();
	}
	for (int i = 0; i < ev->nvars; i++) {
		const uw_var *v = &vars[i];
		const char *name = arena + v->key_off;
		scope_span value = {arena + v->val_off, v->val_len};
		slot = uw_name_after(slot, name, v->key_len);
		scope_name other = {0}, *e = slot >= 0 ? &scope_names[slot] : &other;
		if (e->kind == SCOPE_UNKNOWN && scope_classify(e, name, v->key_len) < 0)
			goto done;
		if (e->kind > SCOPE_HEADER)
			at[e->kind] = value; // of two the later counts
		int rc = e->kind == SCOPE_SUBPROTOCOL && subprotocols ? scope_split(subprotocols, value.p, value.n) : 0;
		if (rc == 0 && e->header && (e->kind != SCOPE_ENTITY || value.n > 0)) {
			PyObject *pair = scope_pair(e, value.p, value.n);
			if (pair)
				pairs[n++] = pair;
			else
				rc = -1;
		}
		Py_XDECREF(other.pair); // of a name that is not kept
		Py_XDECREF(other.header);
		if (rc < 0)
			goto done;
	}
	*head = at[SCOPE_METHOD].n == 4 && memcmp(at[SCOPE_METHOD].p, "HEAD", 4) == 0;
	headers = PyList_New(n);
	if (!headers)
		goto done;
	for (Py_ssize_t i = 0; i < n; i++)
		PyList_SetItem(headers, i, pairs[i]);
	n = 0; // they are the list's
	scope = PyDict_Copy(ev->websocket ? app->websocket : app->http);
	if (scope && (scope_fill(scope, app, ev, at, headers, subprotocols) < 0 || (!ev->websocket && scope_offer(scope, at) < 0)))
		Py_CLEAR(scope);
done:
	Py_XDECREF(headers);
	Py_XDECREF(subprotocols);
	while (n > 0)
		Py_DECREF(pairs[--n]);
	if (pairs != few)
		PyMem_Free(pairs);
	return scope;
}
