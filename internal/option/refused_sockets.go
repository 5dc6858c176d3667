package option

// Listeners that are not offered.

var tlsRows = []Row{
	{Name: "suwsgi-socket", Kind: Text, Repeat: true, Fatal: true,
		Help: "uwsgi protocol inside TLS; value ADDR,CERT,KEY[,CIPHERS[,CLIENT_CA]]"},
	{Name: "ssl-socket", Kind: Text, Repeat: true, Fatal: true, Help: "same handler as suwsgi-socket"},
	{Name: "https-socket", Kind: Text, Repeat: true, Fatal: true,
		Help: "HTTP over TLS parsed by workers; ADDR,CERT,KEY[,CIPHERS[,CLIENT_CA]]"},
	{Name: "ssl-verbose", Help: "log TLS errors"},
	{Name: "ssl-verify-depth", Kind: Int, Optional: true, Help: "client cert chain depth"},
	{Name: "ssl-sessions-use-cache", Aliases: []string{"ssl-session-use-cache"}, Kind: Text, Optional: true,
		Help: "TLS sessions in a cache"},
	{Name: "ssl-sessions-timeout", Aliases: []string{"ssl-session-timeout"}, Kind: Seconds,
		Help: "TLS session life (300)"},
	{Name: "sni", Kind: Text, Repeat: true, Help: "extra TLS context"},
	{Name: "sni-dir", Kind: Path, Help: "TLS contexts by file name"},
	{Name: "sni-dir-ciphers", Kind: Text, Help: "ciphers for sni-dir"},
	{Name: "ssl-enable3", Aliases: []string{"ssl-enable-sslv3"}, Help: "allow SSLv3"},
	{Name: "ssl-enable-tlsv1", Help: "allow TLS 1.0"},
	{Name: "ssl-option", Repeat: true, Help: "raw OpenSSL option bit"},
	{Name: "sni-regexp", Kind: Text, Repeat: true, Help: "TLS context by pattern"},
	{Name: "ssl-tmp-dir", Kind: Path, Help: "temporary TLS files"},
	{Name: "https", Kind: Text, Repeat: true, Fatal: true,
		Note: "this server does not speak TLS: end it in nginx (listen 443 ssl; proxy_pass) and use http here",
		Help: "TLS router"},
	{Name: "https2", Kind: NameValue, Repeat: true, Fatal: true, Help: "TLS router, keyed form"},
	{Name: "https-export-cert", Help: "pass client certificate in HTTPS_CC"},
	{Name: "https-session-context", Kind: Text, Help: "TLS session id context"},
	{Name: "http-to-https", Kind: Address, Repeat: true, Fatal: true,
		Note: "this server does not speak TLS: let nginx redirect (return 301 https://$host$request_uri)",
		Help: "redirecting HTTP listener"},
}

var otherSocketsRows = []Row{
	{Name: "raw-socket", Kind: Address, Repeat: true, Fatal: true,
		Help: "listening socket handing raw connections to the application handler; deferred accept off"},
	{Name: "puwsgi-socket", Kind: Address, Repeat: true, Fatal: true, Help: "uwsgi protocol on persistent connections"},
	{Name: "map-socket", Kind: Text, Repeat: true,
		Note: "every worker serves every socket; run a second instance for a socket of its own",
		Help: "serve socket number only from the listed workers"},
	{Name: "udp", Kind: Address, Help: "UDP listener in the master (SNMP, log sink)"},
	{Name: "multicast", Kind: Address, Help: "join a multicast group"},
	{Name: "multicast-ttl", Kind: Int, Help: "TTL (1)"},
	{Name: "multicast-loop", Kind: Int, Help: "loopback (1)"},
	{Name: "python-raw", Kind: Path, Fatal: true, Help: "handler for raw-socket"},
	{Name: "pty-socket", Kind: Address, Help: "expose a terminal of worker 1"},
	{Name: "pty-log", Help: "terminal output to log too"},
	{Name: "pty-input", Help: "read original stdin too"},
	{Name: "pty-connect", Kind: Address, Help: "attach to a terminal"},
	{Name: "pty-uconnect", Kind: Address, Help: "attach through the uwsgi protocol"},
	{Name: "pty-no-isig", Help: "no signal keys in client"},
	{Name: "pty-exec", Kind: Command, Help: "command run in the pty"},
	{Name: "zeromq", Kind: Address, Repeat: true, Fatal: true, Help: "option of the mongrel2 plugin"},
	{Name: "zmq", Kind: Address, Repeat: true, Fatal: true, Help: "option of the mongrel2 plugin"},
	{Name: "zeromq-socket", Kind: Address, Repeat: true, Fatal: true, Help: "option of the mongrel2 plugin"},
	{Name: "zmq-socket", Kind: Address, Repeat: true, Fatal: true, Help: "option of the mongrel2 plugin"},
	{Name: "mongrel2", Kind: Address, Repeat: true, Fatal: true, Help: "option of the mongrel2 plugin"},
}

var zergRows = []Row{
	{Name: "zerg", Kind: Path, Repeat: true, Fatal: true, Help: "take listening sockets from another instance"},
	{Name: "zerg-fallback", Help: "bind own sockets if that fails"},
	{Name: "zerg-server", Kind: Path, Fatal: true, Help: "hand out own sockets"},
	{Name: "http-zerg", Kind: Path, Repeat: true, Fatal: true, Help: "take listening sockets from zerg server"},
	{Name: "zergpool", Kind: Text, Repeat: true, Fatal: true, Help: "socket pool for zerg instances"},
	{Name: "zerg-pool", Kind: Text, Repeat: true, Fatal: true, Help: "socket pool for zerg instances"},
}

var forkRows = []Row{
	{Name: "fork-socket", Aliases: []string{"fork-server"}, Kind: Path, Since: "2.1", Fatal: true,
		Help: "pause early and fork per connection"},
}
