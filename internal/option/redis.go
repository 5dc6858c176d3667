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
