package option

import (
	"slices"
	"strings"
)

// refusedRows are the options that are not offered, each group with what to use instead; the rows
// stand in refused_*.go.
func refusedRows() []Row {
	var all []Row
	for _, part := range []struct {
		group Group
		note  string
		rows  []Row
	}{
		{"Refused: TLS", "this server does not speak TLS: end it in nginx or another front end and use socket " +
			"or http here", tlsRows},
		{"Refused: Sockets of other kinds", "no such listener: use socket, http, fastcgi-socket or scgi-socket",
			otherSocketsRows},
		{"Refused: Sockets from another instance",
			"listening sockets are handed on by systemd socket units (uwsgi@.socket), or shared with reuse-port",
			zergRows},
		{"Refused: Fork server", "there is no fork server: workers are forked from a loader that has imported " +
			"the application already", forkRows},
		{"Refused: Routers", "there are no router processes: use an upstream block of nginx, or HAProxy, for " +
			"several backends", routerRows},
		{"Refused: HTTP router", "workers speak HTTP themselves: use an upstream block of nginx for other backends",
			httpRouterRows},
		{"Refused: HTTP extras", "let the front end do it: gzip on in nginx", webEncodingRows},
		{"Refused: Subscriptions", "there is no subscription system: list the backends in an upstream block of " +
			"nginx, or let DNS or Consul tell it", subscriptionRows},
		{"Refused: Legions", "write cluster = redis://HOST:PORT/DB: one of the instances with " +
			"that line has each name, " +
			"which uwsgi.i_am_the_lord(NAME) tells", legionRows},
		{"Refused: Timed requests", "write cron = … curl -s URL", curlCronRows},
		{"Refused: Internal routing", "there is no internal routing: use location, rewrite, return, auth_basic " +
			"and access_log off of nginx", routeRows},
		{"Refused: Caches of several machines",
			"a cache is of one instance, and answers no requests: use Redis, or " +
				"the cache of nginx", cacheNodeRows},
		{"Refused: uwsgi signals of other instances", "no instance raises another one's signals: send it a request",
			signalsRows},
		{"Refused: Statistics that are sent", "metrics are on the stats socket: scrape it, for instance with " +
			"uwsgi_exporter for Prometheus", pushRows},
		{"Refused: Debugging", "use py-spy or the stacks that harakiri logs", debugRows},
		{"Refused: Interactive shells", "run the interpreter of the virtualenv, or manage.py shell", shellRows},
		{"Refused: Log destinations", "use logger = rsyslog:HOST:PORT, syslog:NAME, file:PATH or systemd",
			logPluginsRows},
		{"Refused: Isolation", "this server does not isolate: use the unit file (RootDirectory=, PrivateTmp=, " +
			"CapabilityBoundingSet=, RestrictNamespaces= …) or a container", jailRows},
		{"Refused: Resource control", "use CPUQuota=, MemoryMax= and TasksMax= of the unit file", cgroupRows},
		{"Refused: C functions", "there are no C plugins: do it in Python, or with a hook exec:COMMAND",
			symbolsRows},
		{"Refused: Event loops", "write asgi = MODULE:CALLABLE for an ASGI application, gevent = 100 for a WSGI " +
			"one that shall wait without a thread", loopsRows},
		{"Refused: Other kinds of application", "only WSGI and ASGI applications are served",
			append(slices.Clone(otherAppsRows), foreignRows()...)},
		{"Refused: Emperor extras", "the emperor does not offer this", vassalsRows},
		{"Refused: Tools of the uWSGI build", "this program is not built from plugins", toolsRows},
		{"Refused: Reload triggers", "use touch-reload, master-fifo or systemctl reload", descriptorsRows},
	} {
		all = append(all, standing(Refused, part.group, part.note, part.rows)...)
	}
	return all
}

// tuned is, by how their names begin, which refused options only tune what other ones ask for. The
// first entry counts.
var tuned = []struct {
	prefix string
	askers []string
}{
	{"ssl-", tlsAskers}, {"sni", tlsAskers}, {"https-", []string{"https", "https2"}},
	{"http-", []string{"http", "https", "https2"}},
	{"fastrouter-", []string{"fastrouter"}}, {"rawrouter-", []string{"rawrouter"}},
	{"sslrouter-", []string{"sslrouter", "sslrouter2"}},
	{"forkptyrouter-", forkptyAskers}, {"forkpty-router-", forkptyAskers},
	{"tuntap-", []string{"tuntap-router", "tuntap-device"}},
	{"multicast-", []string{"multicast"}}, {"pty-", []string{"pty-socket", "pty-connect", "pty-uconnect"}},
	{"subscriptions-", subscriptionServers},
	{"subscription-", append([]string{"subscribe-to", "subscribe2"}, subscriptionServers...)},
	{"subscribe-freq", subscribers}, {"unsubscribe-", subscribers}, {"start-unsubscribed", subscribers},
	{"weight", subscribers}, {"auto-weight", subscribers},
	{"legion-", []string{"legion", "legion-mcast", "legion-cron", "legion-attach-daemon", "legion-smart-attach-daemon",
		"legion-smart-attach-daemon2", "legion-curl-cron", "legion-cron-curl"}},
	{"alarm-freq", []string{"alarm"}}, {"alarm-cheap", []string{"alarm"}}, {"alarm-msg-size", []string{"alarm"}},
	{"stats-pusher-", []string{"stats-push"}},
	{"statsd-", []string{"stats-push"}}, {"carbon-", []string{"carbon", "stats-push"}},
	{"rrdtool-", []string{"rrdtool"}},
	{"snmp-", []string{"snmp"}}, {"ping-", []string{"ping"}}, {"nagios", []string{"ping"}},
	{"geoip-use-disk", []string{"geoip-country", "geoip-city"}},
	{"emperor-", []string{"emperor"}},
	{"cgi-", []string{"cgi"}}, {"webdav-", []string{"webdav-mount"}}, {"xslt-", []string{"xslt-docroot"}},
}

var (
	tlsAskers = []string{"https", "https2", "https-socket", "suwsgi-socket", "ssl-socket",
		"sslrouter", "sslrouter2"}
	forkptyAskers       = []string{"forkptyrouter", "forkpty-router", "forkptyurouter", "forkpty-urouter"}
	subscribers         = []string{"subscribe-to", "subscribe2"}
	subscriptionServers = []string{"http-subscription-server", "fastrouter-subscription-server",
		"rawrouter-subscription-server"}
)

// Askers are the options without which a refused one asks for nothing: fastrouter for
// fastrouter-timeout. nil = it asks for something itself.
func (r *Row) Askers() []string {
	if r.Standing != Refused || r.Fatal {
		return nil
	}
	for _, t := range tuned {
		if strings.HasPrefix(r.Name, t.prefix) {
			if slices.Contains(t.askers, r.Name) {
				return nil
			}
			return t.askers
		}
	}
	return nil
}
