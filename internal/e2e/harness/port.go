package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports lie below the range from which the kernel takes the ports of outgoing connections, so that
// none of those can be in the way. A process of tests has whole blocks of them to itself: between
// the moment an address is given out and the moment a server binds it, nobody else may try it.
const (
	firstPort  = 12000
	portBlocks = 95
	blockPorts = 200
)

var ports struct {
	sync.Mutex
	next, end int
	held      []net.Listener // one a block, as long as this process lives
}

// Addr is an address on the loopback interface that nobody listens on.
func Addr(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range portBlocks * blockPorts {
		if ports.next == ports.end && !reserve() {
			break
		}
		addr := fmt.Sprintf("127.0.0.1:%d", ports.next)
		ports.next++
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// reserve takes a block that no other process has: the abstract socket of its name is bound by
// whoever does.
func reserve() bool {
	at := rand.IntN(portBlocks)
	for i := range portBlocks {
		first := firstPort + (at+i)%portBlocks*blockPorts
		if l, err := net.Listen("unix", fmt.Sprintf("@uwsgi-e2e-ports-%d", first)); err == nil {
			ports.held = append(ports.held, l)
			ports.next, ports.end = first, first+blockPorts
			return true
		}
	}
	return false
}
