package listen

import (
	"net/netip"
	"testing"
)

// What proc_net(5) shows of 127.0.0.1:8000, of *:8001 over IPv4 and of [::]:8002 and [::1]:8003 as
// listening, and of a connection.
const procNetText = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 100 0 0 10 0
   1: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 0100007F:1F44 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F42 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0 100 0 0 10 0
   1: 00000000000000000000000001000000:1F43 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 15 1 0 100 0 0 10 0
`

// TestHolder: which addresses cannot be bound beside those that somebody listens on.
func TestHolder(t *testing.T) {
	all := listeners(procNetText)
	for text, inode := range map[string]string{
		"127.0.0.1:8000": "11", "0.0.0.0:8000": "11", "192.0.2.1:8000": "",
		"127.0.0.1:8001": "12", "192.0.2.1:8001": "12", "[::1]:8001": "",
		"127.0.0.1:8002": "14", "[::1]:8002": "14", "[::1]:8003": "15", "127.0.0.1:8003": "",
		"127.0.0.1:8004": "", "127.0.0.1:8005": "",
	} {
		got, taken := all.holder(netip.MustParseAddrPort(text))
		if got.inode != inode || taken != (inode != "") {
			t.Errorf("%s: held by %q, %v, not by %q", text, got.inode, taken, inode)
		}
	}
}

// TestHexAddress: what is no address is left out.
func TestHexAddress(t *testing.T) {
	for _, text := range []string{"", ":", "0100007F", "0100007F:", "0100007G:1F40", "01:1F40", "0100007F:1F401"} {
		if got, err := hexAddress(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
