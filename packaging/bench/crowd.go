package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// crowd opens idle connections and slow clients in a process of its own, so that the load generator
// has nothing to do with them; the function it gives closes them.
func crowd(s *running, idle, slow int) (func(), error) {
	cmd := exec.Command("/proc/self/exe", "-crowd", "--", s.network, s.addr, strconv.Itoa(idle), strconv.Itoa(slow))
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := func() {
		hold.Close()
		cmd.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		end()
		return nil, fmt.Errorf("the crowd: %q, %w", line, err)
	}
	return end, nil
}

// beCrowd is that process. It says when everyone is connected, and goes on until its standard input
// ends.
func beCrowd(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("-crowd NETWORK ADDRESS IDLE SLOW")
	}
	idle, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	slow, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	raiseFiles()
	request := httpRequest("GET", "/", true, nil, nil)
	var all []net.Conn
	for i := range idle + slow {
		c, err := net.Dial(args[0], args[1])
		if err != nil {
			return err
		}
		all = append(all, c)
		if i < idle { // one request, then silence
			var buf [1024]byte
			c.Write(request)
			c.Read(buf[:])
		}
	}
	fmt.Println("up")
	go trickle(all[idle:], request)
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// trickle sends a byte a second over each connection, evenly: a burst of them would be a load of
// its own.
func trickle(conns []net.Conn, request []byte) {
	if len(conns) == 0 {
		return
	}
	const tick = 5 * time.Millisecond
	start := time.Now()
	for sent := 0; ; time.Sleep(tick) {
		for due := int(time.Since(start).Seconds() * float64(len(conns))); sent < due; sent++ {
			at := sent / len(conns) % len(request)
			conns[sent%len(conns)].Write(request[at : at+1])
		}
	}
}
