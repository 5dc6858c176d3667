package request

import (
	"bytes"
	"net/url"
	"strconv"
)

// Options say where a request came from.
type Options struct {
	// HTTP: package http1 made the variables. Otherwise a gateway did (uwsgi, FastCGI, SCGI), and
	// may have left PATH_INFO out.
	HTTP bool
	// Ends: the protocol says where a body ends (FastCGI), so a gateway may say of its length that
	// it does not know it, with -1.
	Ends bool
	// Repeats: a header that comes more than once stays as many variables, for interfaces that have
	// a list of headers (ASGI). Cookie is joined, and so is what Finish itself goes by.
	Repeats bool
}

// Finish is the one policy after every parser: it judges the variables of r and fills the fields
// that are said to be set by it.
//
//   - HTTP_ names that repeat become one, values joined (RFC 9110 §5.3); Host, Authorization and a client's Content-Type are no lists: two that
//     differ are refused. Other names, which a gateway gives on purpose, repeat as they came and the last counts, here as in the environ.
//   - HTTP_TRANSFER_ENCODING is taken out: every body is whole and of known length by the time the application sees it
//     (RFC 9112 §7.1.3; nginx passes the header on for a body it has already decoded).
//   - HTTP_PROXY is taken out, of packets too: no client has a reason to send Proxy, and an application that runs CGI programs
//     would hand it to them as their outgoing proxy.
//   - What the environ has of the server itself (wsgi.errors and its like) cannot come in a packet: a text there would break the application.
//   - CONTENT_LENGTH is digits or empty (nginx's "none"); two that differ are refused. Caddy's -1 for a chunked upload is taken out: SetLength
//     follows when the body has ended.
//   - The scheme is that of UWSGI_SCHEME or X-Forwarded-Proto, the later of the two, if it is http or https; else HTTPS or
//     X-Forwarded-SSL, the later; else http. As in uWSGI these are believed of any peer.
//   - A gateway's PATH_INFO that is missing is made from what there is: nginx's stock fastcgi_params and Apache's mod_proxy_scgi give
//     SCRIPT_NAME = the whole path and no PATH_INFO, nginx's scgi_params neither.
//   - UWSGI_FILE, UWSGI_MODULE, UWSGI_SCRIPT, UWSGI_SETENV, UWSGI_POSTFILE, UWSGI_CHDIR, UWSGI_HOME, UWSGI_PYHOME,
//     UWSGI_TOUCH_RELOAD, UWSGI_CACHE_GET and their like stay in the environ, where applications may read them as in uWSGI.
//     Nothing in this program acts on them.
func Finish(r *Request, lim *Limits, o Options) error {
	if lim.Vars > 0 && len(r.Vars) > lim.Vars {
		return ErrVars
	}
	r.startIndex()
	// Positions in Vars of what the scheme is made from; the later of two counts.
	scheme, https, forwardedProto, forwardedSSL := -1, -1, -1, -1
	hasPath, hasLength := false, false
	kept := 0
	for i := range r.Vars {
		v := &r.Vars[i]
		key := r.Arena[v.KeyOff : v.KeyOff+v.KeyLen]
		mayRepeat := false
		if len(key) > 5 && string(key[:5]) == "HTTP_" {
			mayRepeat = true
			switch string(key[5:]) {
			case "X_FORWARDED_PROTO":
				forwardedProto = kept // where it repeats, the first one holds what is joined
			case "X_FORWARDED_SSL":
				forwardedSSL = kept
			case "UPGRADE":
				r.Upgrade = true
			case "TRANSFER_ENCODING", "PROXY":
				continue
			}
		} else {
			switch string(key) {
			case "REQUEST_METHOD":
				r.Method = v.value()
			case "REQUEST_URI":
				r.URI = v.value()
			case "PATH_INFO":
				r.Path, hasPath = v.value(), true
			case "SERVER_PROTOCOL":
				r.Protocol = v.value()
			case "REMOTE_ADDR":
				r.RemoteAddr = v.value()
			case "CONTENT_LENGTH":
				val := r.Val(i)
				unknown := o.Ends && string(val) == "-1"
				if unknown {
					val = nil
				}
				if err := r.setLength(val, hasLength); err != nil {
					return err
				}
				if hasLength = true; unknown {
					continue
				}
			case "CONTENT_TYPE":
				mayRepeat = o.HTTP
			case "UWSGI_SCHEME":
				scheme = kept
			case "HTTPS":
				https = kept
			case "wsgi.version", "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once",
				"wsgi.input_terminated", "wsgi.file_wrapper",
				"uwsgi.version", "uwsgi.node", "uwsgi.core":
				continue
			}
		}
		if mayRepeat && r.repeated(kept, *v, key) {
			continue
		}
		if kept != i {
			r.Vars[kept] = *v
		}
		kept++
	}
	r.Vars = r.Vars[:kept]
	if len(r.repeats) > 0 {
		if err := r.join(o.Repeats); err != nil {
			return err
		}
		// A repeated header's own position is that of its first.
		forwardedProto, forwardedSSL = r.find("HTTP_X_FORWARDED_PROTO"), r.find("HTTP_X_FORWARDED_SSL")
	}
	if !hasPath && !o.HTTP {
		r.repairPath()
	}
	if lim.Body > 0 && r.ContentLength > lim.Body {
		return ErrBodySize
	}
	r.Head = string(r.Bytes(r.Method)) == "HEAD"
	r.HTTPS = r.secure(max(https, forwardedSSL))
	if s := r.schemeAt(max(scheme, forwardedProto)); s != "" {
		r.HTTPS = s == "https"
	} else if s := r.schemeAt(min(scheme, forwardedProto)); s != "" {
		r.HTTPS = s == "https"
	}
	return nil
}

// setLength takes a CONTENT_LENGTH; again says that there was one before.
func (r *Request) setLength(val []byte, again bool) error {
	if len(val) == 0 {
		if again && r.HasLength {
			return ErrTwoLengths
		}
		return nil
	}
	n, ok := Digits(val)
	if !ok {
		return ErrLength
	}
	if again && (!r.HasLength || n != r.ContentLength) {
		return ErrTwoLengths
	}
	r.ContentLength, r.HasLength = n, true
	return nil
}

// Digits reads a length: decimal digits and nothing else (RFC 9110 §8.6), and small enough for a
// file's size.
func Digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := int64(c - '0')
		if d > 9 || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// schemeAt is the scheme that variable i names, "" unless it is one of the two there are: uWSGI
// passed anything on to wsgi.url_scheme, a client's "foo, bar" among them.
func (r *Request) schemeAt(i int) string {
	if i >= 0 {
		switch val := r.Val(i); {
		case bytes.EqualFold(val, []byte("https")):
			return "https"
		case bytes.EqualFold(val, []byte("http")):
			return "http"
		}
	}
	return ""
}

// secure says whether variable i, HTTPS or X-Forwarded-SSL, means TLS: it begins with "on" or with
// 1, as in uWSGI.
func (r *Request) secure(i int) bool {
	if i < 0 {
		return false
	}
	val := r.Val(i)
	return len(val) >= 1 && val[0] == '1' || len(val) >= 2 && val[0]|0x20 == 'o' && val[1]|0x20 == 'n'
}

// repairPath sets PATH_INFO from DOCUMENT_URI, which nginx gives; or from SCRIPT_NAME, where that
// names the whole path: it follows CGI (RFC 3875 §4.1.4: GATEWAY_INTERFACE is always there), or
// REQUEST_URI does not go on behind it; else from REQUEST_URI.
func (r *Request) repairPath() {
	var path []byte
	script := r.find("SCRIPT_NAME")
	if doc := r.find("DOCUMENT_URI"); doc >= 0 {
		path = r.Val(doc)
	} else if script >= 0 && r.find("GATEWAY_INTERFACE") >= 0 {
		path = r.Val(script)
	} else if path = r.uriPath(); path == nil {
		return
	} else if script >= 0 && r.Vars[script].ValLen > 0 && !below(path, r.Val(script)) {
		path = r.Val(script)
	}
	if script >= 0 {
		// A SCRIPT_NAME that is a true prefix is a mount point and stays; the whole path is not
		// one.
		if mount := r.Val(script); below(path, mount) {
			path = path[len(mount):]
		} else {
			r.Vars[script].ValLen = 0
		}
	}
	r.AddVar("PATH_INFO", path)
	added := r.Vars[len(r.Vars)-1]
	r.Path = Span{added.ValOff, added.ValLen}
}

// below says that path goes on behind mount.
func below(path, mount []byte) bool {
	return len(path) > len(mount) && bytes.HasPrefix(path, mount) && path[len(mount)] == '/'
}

// uriPath is the path that REQUEST_URI names, decoded, nil if it names none.
func (r *Request) uriPath() []byte {
	path, _, _ := bytes.Cut(r.Bytes(r.URI), []byte("?"))
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	if bytes.IndexByte(path, '%') >= 0 {
		if decoded, err := url.PathUnescape(string(path)); err == nil {
			return []byte(decoded)
		}
	}
	return path
}

// SetLength says how long a body of unknown length turned out to be: a chunked one, gathered before
// the application is called.
func (r *Request) SetLength(n int64) {
	var text [20]byte
	r.AddVar("CONTENT_LENGTH", strconv.AppendInt(text[:0], n, 10))
	r.ContentLength, r.HasLength = n, true
}

// find is the position of the last variable of that name, -1 if there is none.
func (r *Request) find(key string) int {
	for i := len(r.Vars) - 1; i >= 0; i-- {
		if int(r.Vars[i].KeyLen) == len(key) && string(r.Key(i)) == key {
			return i
		}
	}
	return -1
}
