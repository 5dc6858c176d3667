package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Two processes of tests that run at the same time are never given the same port, though nobody
// listens on it yet.
func TestAddrBesideAnotherProcess(t *testing.T) {
	const role = "UWSGI_E2E_PORTS"
	if os.Getenv(role) != "" {
		for range 20 * blockPorts {
			fmt.Println("port " + Addr(t))
		}
		return
	}
	mine := map[string]bool{}
	for range blockPorts / 2 {
		mine[Addr(t)] = true
	}
	for range 8 { // the first block of a process is a random one
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), role+"=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		given := 0
		for _, line := range strings.Split(string(out), "\n") {
			if addr, ok := strings.CutPrefix(line, "port "); ok {
				given++
				if mine[addr] {
					t.Fatalf("%s was given to two", addr)
				}
			}
		}
		if given != 20*blockPorts {
			t.Fatalf("%d addresses were given", given)
		}
	}
}
