package supervisor

import (
	"net"
	"strings"
)

// links are the addresses of listening sockets that a browser on this machine can be sent to.
func links(listeners []Listener) []string {
	var all []string
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.Name)
		if l.Protocol != "http" || err != nil || port == "" || strings.Trim(port, "0123456789") != "" {
			continue
		}
		if ip := net.ParseIP(host); host == "" || host == "*" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
			if ip != nil && ip.To4() == nil {
				host = "::1"
			}
		}
		at := net.JoinHostPort(host, port)
		if port == "80" {
			at = strings.TrimSuffix(at, ":80")
		}
		all = append(all, "http://"+at+"/")
	}
	return all
}
