// Package pythontest runs programs that try our Python: a request a line of JSON on standard input,
// an answer a line on standard output.
package pythontest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// Program is one that runs until the test ends.
type Program struct {
	t   *testing.T
	in  *json.Encoder
	out *bufio.Reader
}

// Start starts the program at path, which finds our modules in modules; files have the descriptors
// from 3 on.
func Start(t *testing.T, modules, path string, files []*os.File, args ...string) *Program {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-S", path}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+modules, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, files
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &Program{t, json.NewEncoder(in), bufio.NewReader(out)}
}

// Ask sends a request and reads the answer into where answer points.
func (p *Program) Ask(answer any, request ...any) {
	p.t.Helper()
	if err := p.in.Encode(request); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
