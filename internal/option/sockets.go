package option

import (
	"net/netip"
	"strconv"
	"strings"
)

const groupSockets Group = "Sockets"

// DefaultAddress is where an application is served over HTTP when nobody says where.
const DefaultAddress = "127.0.0.1:8000"

// Protocols lists the protocols a socket can speak, in the spelling of Settings.Protocol and
// Socket.Protocol.
var Protocols = []string{"uwsgi", "http", "fastcgi", "fastcgi-nph", "scgi", "scgi-nph"}

// BelievesPeer reports whether a protocol is one of web servers in front, that tell of the client
// what they please: its address, its user and more.
func BelievesPeer(protocol string) bool { return protocol != "http" }

// SocketSettings is what these rows say about the listening sockets.
type SocketSettings struct {
	Sockets        []Socket
	Protocol       string // protocol of `socket` and of inherited sockets that name none: uwsgi, http, fastcgi, scgi …
	Listen         int    // backlog; 0 = the kernel's somaxconn
	ChmodSocket    string // "", or three octal digits
	ChownSocket    string // "", or user[:group]
	AbstractSocket bool
	ReusePort      bool
	Freebind       bool
	TCPNodelay     bool
	SoKeepalive    bool
	DeferAccept    bool
	SoSndbuf       int
	SoRcvbuf       int
	HonourStdin    bool
	SkipZero       bool // do not look at descriptor 0 for an inherited socket
	TCPFastOpen    int  // queue length; 0 = off
}

var socketRows = []Row{
	{Name: "socket", Short: 's', Kind: Address, Repeat: true, Group: groupSockets, Set: socket(""),
		Example: "/run/uwsgi/mysite.sock",
		Help: "listen here and speak the default protocol (uwsgi unless protocol says otherwise): :PORT, IP:PORT, " +
			"[v6]:PORT, a unix path, @abstract, fd://N, =N (shared socket N)"},
	{Name: "uwsgi-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("uwsgi"),
		Help: "listen here and speak the uwsgi protocol"},
	{Name: "http", Aliases: []string{"httprouter"}, Kind: Address, Repeat: true, Group: groupSockets,
		Set:   socket("http"),
		Unset: DefaultAddress + ", where an application is named and no socket",
		Help:  "listen here and speak HTTP; workers serve it themselves, there is no separate router process"},
	{Name: "http-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("http"),
		Help: "listen here and speak HTTP (the same engine as http)"},
	{Name: "http11-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("http"),
		Help: "listen here and speak HTTP (the same engine as http; connections are kept alive anyway)"},
	{Name: "fastcgi-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("fastcgi"),
		Help: "listen here and speak FastCGI"},
	{Name: "fastcgi-nph-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("fastcgi-nph"),
		Help: "listen here and speak FastCGI with a full HTTP status line in the response"},
	{Name: "scgi-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("scgi"),
		Help: "listen here and speak SCGI"},
	{Name: "scgi-nph-socket", Kind: Address, Repeat: true, Group: groupSockets, Set: socket("scgi-nph"),
		Help: "listen here and speak SCGI with a full HTTP status line in the response"},
	{Name: "shared-socket", Aliases: []string{"undeferred-shared-socket"}, Kind: Address, Repeat: true,
		Example: "127.0.0.1:8000",
		Group:   groupSockets, Set: sharedSocket,
		Help: "bind this address; other options refer to it as =0, =1 … in the order of writing"},
	{Name: "protocol", Aliases: []string{"socket-protocol"}, Kind: Text, Group: groupSockets, Set: protocol,
		Example: "http",
		Help:    "protocol of sockets that name none: uwsgi, http, fastcgi, fastcgi-nph, scgi, scgi-nph"},
	{Name: "listen", Unset: "net.core.somaxconn, the kernel's limit", Short: 'l', Example: "1024",
		Kind: Int, Group: groupSockets,
		Set: integer(func(s *Settings) *int { return &s.Listen }),
		Help: "connections that may wait before workers that are busy take them in or answer 503; 0 or unset = the " +
			"kernel's limit, net.core.somaxconn"},
	{Name: "chmod-socket", Aliases: []string{"chmod"}, Short: 'C', Kind: Octal, Optional: true, Group: groupSockets,
		Set:  mode(func(s *Settings) *string { return &s.ChmodSocket }),
		Help: "permissions of unix sockets, three octal digits; without a value 666"},
	{Name: "chown-socket", Example: "www-data:www-data", Kind: Text, Group: groupSockets,
		Set:  text(func(s *Settings) *string { return &s.ChownSocket }),
		Help: "owner of unix sockets: USER, USER:GROUP or :GROUP"},
	{Name: "abstract-socket", Short: 'a', Kind: Flag, Group: groupSockets,
		Set:  flag(func(s *Settings) *bool { return &s.AbstractSocket }),
		Help: "put unix sockets into the abstract namespace"},
	{Name: "reuse-port", Kind: Flag, Group: groupSockets, Set: flag(func(s *Settings) *bool { return &s.ReusePort }),
		Help: "let several instances listen on one TCP port (SO_REUSEPORT)"},
	{Name: "freebind", Kind: Flag, Group: groupSockets, Set: flag(func(s *Settings) *bool { return &s.Freebind }),
		Help: "bind to addresses this machine does not have yet"},
	{Name: "tcp-nodelay", Kind: Flag, Group: groupSockets, Set: flag(func(s *Settings) *bool { return &s.TCPNodelay }),
		Help: "send small packets at once (TCP_NODELAY)"},
	{Name: "so-keepalive", Kind: Flag, Group: groupSockets,
		Set:  flag(func(s *Settings) *bool { return &s.SoKeepalive }),
		Help: "let the kernel probe idle TCP connections (SO_KEEPALIVE)"},
	{Name: "defer-accept", Kind: Flag, Since: "ours", Group: groupSockets,
		Set: flag(func(s *Settings) *bool { return &s.DeferAccept }),
		Help: "accept a TCP connection once its request has begun to come, or after socket-timeout " +
			"(TCP_DEFER_ACCEPT); on unless refused"},
	{Name: "no-defer-accept", Kind: Flag, Group: groupSockets,
		Set:  flagOff(func(s *Settings) *bool { return &s.DeferAccept }),
		Help: "accept TCP connections before anything has come"},
	{Name: "tcp-fast-open", Aliases: []string{"tcp-fastopen"}, Kind: Int, Group: groupSockets,
		Set:  integer(func(s *Settings) *int { return &s.TCPFastOpen }),
		Help: "accept data in the first packet of a TCP connection, with a queue of this length (TCP_FASTOPEN)"},
	{Name: "socket-sndbuf", Kind: Bytes, Group: groupSockets,
		Set:  sizeBytes(func(s *Settings) *int { return &s.SoSndbuf }),
		Help: "kernel send buffer of a connection (SO_SNDBUF)"},
	{Name: "socket-rcvbuf", Kind: Bytes, Group: groupSockets,
		Set:  sizeBytes(func(s *Settings) *int { return &s.SoRcvbuf }),
		Help: "kernel receive buffer of a connection (SO_RCVBUF)"},
	{Name: "honour-stdin", Kind: Flag, Group: groupSockets,
		Set:  flag(func(s *Settings) *bool { return &s.HonourStdin }),
		Help: "keep standard input as it is instead of /dev/null"},
	{Name: "skip-zero", Kind: Flag, Group: groupSockets, Set: flag(func(s *Settings) *bool { return &s.SkipZero }),
		Help: "do not take a socket found on descriptor 0"},
	// Fatal where it would do something: package config looks at the sockets.
	{Name: "enable-proxy-protocol", Kind: Flag, Group: groupSockets, Standing: Refused, Note: noProxyProtocol,
		Help: "HTTP connections begin with a PROXY line that names the client"},
	{Name: "http-enable-proxy-protocol", Kind: Flag, Optional: true, Group: groupSockets, Standing: Refused,
		Note: noProxyProtocol, Help: "the same for http, not for http-socket"},
}

const noProxyProtocol = "a PROXY line is not understood: have the proxy send X-Forwarded-For, or put nginx " +
	"(real_ip) before this server"

func socket(proto string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		addr, err := address(v)
		if survivable(err) && addr != "" {
			s.Sockets = append(s.Sockets, Socket{Address: addr, Protocol: proto, Option: v.Name, Origin: v.Origin})
		}
		return err
	}
}

func sharedSocket(s *Settings, v Value) error {
	addr, err := address(v)
	if strings.HasPrefix(addr, "=") {
		return fault("write an address", "a shared socket cannot refer to another")
	}
	if survivable(err) && addr != "" {
		s.Sockets = append(s.Sockets, Socket{Address: addr, Option: v.Name, Shared: true, Origin: v.Origin})
	}
	return err
}

// address checks a socket address and returns it without leading blanks; "" = there is none.
func address(v Value) (string, error) {
	a := strings.TrimLeft(v.Text, " \t")
	switch {
	case a == "":
		return "", fault("write "+v.Name+" = 127.0.0.1:8000, = :8000 or = /run/app.sock", "an address is expected")
	case IsBoolWord(a):
		return "", warning("write "+v.Name+" = 127.0.0.1:8000 or a path",
			"an address is expected, not a boolean; the line is left out")
	case a[0] == '=':
		n := strings.TrimSpace(a[1:])
		if n != "" && strings.Trim(n, "0123456789") == "" {
			return "=" + n, nil
		}
		first, _, _ := cutBlank(n)
		return "", fault("write "+v.Name+" = "+first,
			"one \"=\" too many: \"=N\" stands for shared socket number N, %q is no number", n)
	case a[0] == '@' || a[0] == '/' || strings.HasPrefix(a, `\0`):
		return a, bareAddress(v.Name, a)
	case strings.HasPrefix(a, "fd://"):
		if _, err := strconv.ParseUint(a[5:], 10, 31); err != nil {
			return "", fault("write fd://3", "%q names no descriptor", a)
		}
		return a, nil
	case strings.HasPrefix(a, "unix:"):
		return "", fault("write "+v.Name+" = "+strings.TrimPrefix(a, "unix:"),
			"a unix socket is written as its path alone")
	case strings.Contains(a, "://"):
		return "", fault("write HOST:PORT, :PORT or a path", "%q is a URL, not a socket address", a)
	}
	colon := strings.LastIndexByte(a, ':')
	if colon < 0 {
		return a, bareAddress(v.Name, a)
	}
	// uWSGI reads the port with atoi(): blanks in front are passed over, and what follows the
	// digits.
	host, port := a[:colon], strings.TrimLeft(a[colon+1:], " \t")
	digits := port[:len(port)-len(strings.TrimLeft(port, "0123456789"))]
	if _, err := strconv.ParseUint(digits, 10, 16); err != nil {
		hint := "write HOST:PORT, :PORT or a path"
		if strings.Contains(port, "$(") {
			hint = "the environment variable is not set"
		}
		return "", fault(hint, "%q is no port", port)
	}
	if strings.Contains(host, ":") && (host[0] != '[' || host[len(host)-1] != ']') {
		return "", fault("write ["+host+"]:"+port, "an IPv6 address stands in brackets")
	}
	if host == "*" {
		return ":" + digits, warning("write :"+digits, "%q is read as all addresses", a)
	}
	a = host + ":" + digits
	if digits != port {
		return a, warning("write "+v.Name+" = "+a, "%q after the port is left out", port[len(digits):])
	}
	return a, nil
}

func bareAddress(name, a string) error {
	_, notIP := netip.ParseAddr(strings.Trim(a, "[]"))
	switch {
	case notIP == nil || a == "localhost" || a == "*":
		return fault("write "+name+" = "+a+":8000",
			"the port is missing: without a colon this is the path of a unix socket")
	case strings.HasSuffix(a, ";") || strings.HasSuffix(a, ","):
		return warning("write "+name+" = "+a[:len(a)-1], "the %q at the end is taken as a part of the address",
			a[len(a)-1:])
	}
	if strings.Trim(a, "0123456789") == "" {
		return warning("write "+name+" = :"+a+" for a TCP port",
			"%q without a colon is a unix socket file of that name", a)
	}
	if strings.ContainsAny(a, " \t") {
		return warning("write one address a line", "%q is taken whole as the path of a unix socket", a)
	}
	return nil
}

func protocol(s *Settings, v Value) error {
	p := strings.ToLower(strings.TrimSpace(v.Text))
	if p == "http11" {
		p = "http"
	}
	for _, known := range Protocols {
		if p == known {
			s.Protocol = p
			return nil
		}
	}
	hint := "write one of " + strings.Join(Protocols, ", ")
	if near, ok := nearest(p, Protocols); ok {
		hint = "write " + near
	}
	if p == "https" || p == "suwsgi" {
		hint = "end TLS in nginx and speak http or uwsgi here"
	}
	s.Protocol = "uwsgi"
	return warning(hint, "%q is no protocol this server speaks; uwsgi is spoken, as uWSGI does", v.Text)
}
