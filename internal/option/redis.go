package option

import "strings"

// isRedis reports whether an address is one of Redis, or of Valkey, which is the same to us.
func isRedis(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	switch scheme {
	case "redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix":
		return ok
	}
	return false
}

// Shown is what logs and statistics call it.
func (s Spooler) Shown() string {
	if !s.Remote() {
		return s.Dir
	}
	return Public(s.Dir)
}

// ShownURL is where a cache in Redis is, without a password.
func (c Cache) ShownURL() string { return Public(c.URL) }
