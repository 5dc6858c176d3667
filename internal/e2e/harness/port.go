package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Ports lie below the range from which the kernel takes the ports of outgoing connections, so that none of those can be in the way.
const firstPort, lastPort = 12000, 31000

var nextPort atomic.Int64

func init() { nextPort.Store(int64(rand.IntN(lastPort - firstPort))) }

// Addr is an address on the loopback interface that nobody listens on.
func Addr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%(lastPort-firstPort))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
