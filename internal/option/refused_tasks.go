package option

// Background work and shared state.

var curlCronRows = []Row{
	{Name: "curl-cron", Kind: Text, Help: "option of the curl_cron plugin"},
	{Name: "cron-curl", Kind: Text, Help: "option of the curl_cron plugin"},
}

var cacheNodeRows = []Row{
	{Name: "cache-udp-server", Kind: Address, Repeat: true, Help: "accept cache updates by UDP"},
	{Name: "cache-udp-node", Kind: Address, Repeat: true, Help: "send cache updates by UDP"},
	{Name: "cache-sync", Kind: Address, Help: "clone another node's cache at start"},
	{Name: "check-cache", Kind: Text, Optional: true, Help: "serve GETs from a cache keyed by URI"},
}

var signalsRows = []Row{
	{Name: "signal", Kind: Text, Help: "deliver one uwsgi signal over the network, then exit 0/1/2"},
}
