package option

import (
	"strings"
	"time"
)

const groupRequests Group = "Requests and responses"

// RequestSettings is what these rows say about requests and responses.
type RequestSettings struct {
	BufferSize          int           // head of a request; default 64 KiB
	PostBuffering       int64         // a body larger than this goes to a temporary file; default 64 KiB
	LimitPost           int64         // 0 = no limit
	SocketTimeout       time.Duration // reading from and writing to a peer; default 4 s as uWSGI's, see the data plane
	SendTimeout         time.Duration
	HTTPTimeout         time.Duration // 0 = 60 s for the head, SocketTimeout for the body
	HTTPHeadersTimeout  time.Duration
	HTTPKeepalive       time.Duration // idle time of a keep-alive connection; 0 = default
	HTTPNoKeepalive     bool          // http-keepalive = 0
	ChunkedInputLimit   int64
	ChunkedInputTimeout time.Duration
	IgnoreWriteErrors   bool
	NoWriteException    bool // disable-write-exception
	AddHeaders          []string
	RemHeaders          []string
	HTTPVars            []string // http-var, NAME=value
	HTTPHostAsName      bool
	MaxVars             int
	PostBufferingMemory int64 // bytes of a worker
}

var requestRows = []Row{
	{Name: "buffer-size", Short: 'b', Example: "65536", Kind: Bytes, Group: groupRequests, Set: bufferSize,
		Help: "largest request head, headers and all (64 KiB); a larger one gets a 431"},
	{Name: "post-buffering", Example: "65536", Kind: Bytes, Group: groupRequests, Set: postBuffering,
		Help: "request bodies above this size go to a temporary file (64 KiB)"},
	{Name: "post-buffering-memory", Kind: Bytes, Since: "ours", Group: groupRequests,
		Set: sizeBytes(func(s *Settings) *int64 { return &s.PostBufferingMemory }),
		Help: "where no temporary file can be made (a read-only root), most memory of a worker for what would be in " +
			"them (64 MiB)"},
	{Name: "limit-post", Example: "10485760", Kind: Bytes, Group: groupRequests,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.LimitPost }),
		Help: "largest request body; a larger one gets a 413"},
	{Name: "max-vars", Short: 'v', Kind: Int, Group: groupRequests,
		Set:  integer(func(s *Settings) *int { return &s.MaxVars }),
		Help: "most variables of a request, headers among them (1000; 0 = any number)"},
	{Name: "socket-timeout", Short: 'z', Example: "60", Kind: Seconds, Group: groupRequests,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.SocketTimeout }),
		Help: "longest wait for the other side to send or take something (4)"},
	{Name: "so-send-timeout", Aliases: []string{"socket-send-timeout", "so-write-timeout", "socket-write-timeout"},
		Kind: Seconds, Group: groupRequests,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.SendTimeout }),
		Help: "longest wait for the other side to take something, where it differs from socket-timeout"},
	{Name: "http-timeout", Unset: "60", Kind: Seconds, Group: groupRequests,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.HTTPTimeout }),
		Help: "longest silence of an HTTP client within a request (60; in a body socket-timeout unless set)"},
	{Name: "http-headers-timeout", Kind: Seconds, Group: groupRequests,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.HTTPHeadersTimeout }),
		Help: "longest time for the headers of an HTTP request"},
	{Name: "http-keepalive", Unset: "1", Example: "60", Kind: Seconds, Optional: true, Group: groupRequests,
		Set:  httpKeepalive,
		Help: "1 = keep HTTP connections open (the default), N = for N seconds between requests, 0 = close after each"},
	{Name: "http-auto-chunked", Kind: Flag, Group: groupRequests, Set: checked,
		Help: "send responses without a length chunked (always so on HTTP/1.1)"},
	{Name: "http-var", Example: "REGION=eu", Kind: NameValue, Repeat: true, Group: groupRequests, Set: httpVar,
		Help: "a variable every HTTP request gets: NAME=value"},
	{Name: "http-server-name-as-http-host", Example: "1", Kind: Text, Group: groupRequests,
		Set:  flag(func(s *Settings) *bool { return &s.HTTPHostAsName }),
		Help: "1 = SERVER_NAME is the Host of the request, for http (takes an argument, as in uWSGI)"},
	{Name: "http-buffer-size", Kind: Bytes, Group: groupRequests, Set: httpBufferSize,
		Help: "largest head of an HTTP request, where it is above buffer-size"},
	{Name: "chunked-input-limit", Kind: Bytes, Group: groupRequests,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.ChunkedInputLimit }),
		Help: "largest chunk of a request body (1 MiB)"},
	{Name: "chunked-input-timeout", Kind: Seconds, Group: groupRequests,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.ChunkedInputTimeout }),
		Help: "longest wait for a chunk"},
	{Name: "ignore-sigpipe", Kind: Flag, Group: groupRequests, Set: checked,
		Help: "do not log the signal SIGPIPE when a client has gone away (always so here)"},
	{Name: "ignore-write-errors", Kind: Flag, Group: groupRequests,
		Set:  flag(func(s *Settings) *bool { return &s.IgnoreWriteErrors }),
		Help: "log nothing when a response could not be written"},
	{Name: "write-errors-exception-only", Kind: Flag, Group: groupRequests, Set: writeErrorsException,
		Help: "raise in the application, log nothing, when a response could not be written"},
	{Name: "disable-write-exception", Kind: Flag, Group: groupRequests,
		Set:  flag(func(s *Settings) *bool { return &s.NoWriteException }),
		Help: "raise nothing in the application when a response could not be written"},
	{Name: "http-raw-body", Kind: Flag, Group: groupRequests, Set: checked,
		Help: "accept bodies of any kind (always so here)"},
	{Name: "http-chunked-input", Kind: Flag, Group: groupRequests, Set: checked,
		Help: "accept chunked bodies (always so here)"},
	{Name: "wsgi-manage-chunked-input", Kind: Flag, Since: "2.1", Group: groupRequests, Set: checked,
		Help: "set wsgi.input_terminated, so that chunked bodies can be read to their end (always so here)"},
	{Name: "add-header", Kind: Text, Repeat: true, Group: groupRequests, Set: addHeader,
		Example: "X-Frame-Options: DENY",
		Help:    "add a response header: \"Name: value\""},
	{Name: "rem-header", Aliases: []string{"del-header"}, Kind: Text, Repeat: true, Group: groupRequests,
		Example: "Server",
		Set:     list(func(s *Settings) *[]string { return &s.RemHeaders }), Help: "drop a response header"},
	{Name: "close-on-exec", Kind: Flag, Group: groupRequests, Set: checked,
		Help: "programs the application starts do not inherit connections (always so here)"},
	{Name: "close-on-exec2", Kind: Flag, Group: groupRequests, Set: checked,
		Help: "… nor listening sockets (always so here)"},
}

// minBufferSize keeps a request line and a few headers possible.
const minBufferSize = 1024

func bufferSize(s *Settings, v Value) error {
	n, err := v.whole(byteUnits, "bytes")
	switch {
	case !survivable(err):
		return err
	case err != nil && n == 0:
		return err // the default stays
	case n < minBufferSize:
		return warning("write 65536", "a request head of %d bytes cannot hold anything; the default stays", n)
	case n > 64<<20:
		return fault("write 65536", "%d bytes for every request head are too much", n)
	}
	s.BufferSize = int(n)
	return err
}

func httpBufferSize(s *Settings, v Value) error {
	n, err := v.whole(byteUnits, "bytes")
	if survivable(err) && n > int64(s.BufferSize) && n <= 64<<20 {
		s.BufferSize = int(n)
	}
	return err
}

// postBuffering of 0 means "unbuffered" to uWSGI. Bodies are always gathered before the application
// is called here.
func postBuffering(s *Settings, v Value) error {
	n, err := v.whole(byteUnits, "bytes")
	if survivable(err) && n > 0 {
		s.PostBuffering = n
	}
	return err
}

func httpKeepalive(s *Settings, v Value) error {
	if v.Given {
		if on, err := v.Bool(); err == nil {
			s.HTTPNoKeepalive, s.HTTPKeepalive = !on, 0
			return nil
		}
	}
	n, err := v.whole(secondUnits, "seconds")
	if survivable(err) {
		s.HTTPNoKeepalive, s.HTTPKeepalive = n == 0, 0
		if n > 1 {
			s.HTTPKeepalive = time.Duration(min(n, 86400)) * time.Second
		}
	}
	return err
}

func httpVar(s *Settings, v Value) error {
	if _, _, err := pairOf(v, "NAME=value"); err != nil {
		return err
	}
	s.HTTPVars = append(s.HTTPVars, v.Text)
	return nil
}

func writeErrorsException(s *Settings, v Value) error {
	on, err := v.Bool()
	if on {
		s.IgnoreWriteErrors, s.NoWriteException = true, false
	}
	return err
}

func addHeader(s *Settings, v Value) error {
	name, _, ok := strings.Cut(v.Text, ":")
	if !ok || strings.TrimSpace(name) == "" {
		return warning("write "+v.Name+" = Name: value", "%q is no header; the line is left out", v.Text)
	}
	if strings.ContainsAny(v.Text, "\r\n\x00") {
		return fault("", "a header cannot hold a line break")
	}
	s.AddHeaders = append(s.AddHeaders, v.Text)
	return nil
}
