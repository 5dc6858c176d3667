package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one server and all that it started.
type process struct {
	cmd  *exec.Cmd
	log  string
	stop syscall.Signal
	done chan struct{}
}

// start runs argv with its output in a file of dir.
func start(dir, name string, argv, env []string, cwd string, stderr *os.File, stop syscall.Signal) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), log: filepath.Join(dir, name+".log"), stop: stop,
		done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fmt.Fprintln(f, "+", strings.Join(argv, " "))
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = f, f, cwd
	if stderr != nil {
		p.cmd.Stderr = stderr
	}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	return p, nil
}

// end stops the server and kills what is left of it after a while.
func (p *process) end() {
	tree := p.tree()
	starts := make([]int64, len(tree)) // a number may belong to another process by the time it is killed
	for i, pid := range tree {
		s, _ := readStat(pid)
		starts[i] = s.start
	}
	syscall.Kill(p.cmd.Process.Pid, p.stop)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	for i, pid := range tree { // those that made groups of their own
		if stat, err := readStat(pid); err == nil && stat.group != p.cmd.Process.Pid && stat.start == starts[i] {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-p.done
}

// tail is the end of the server's output.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	return string(b[max(0, len(b)-2000):])
}

type stat struct {
	parent, group          int
	user, system           int64 // ticks
	childUser, childSystem int64
	start                  int64
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	n := func(i int) int64 { v, _ := strconv.ParseInt(string(f[i]), 10, 64); return v }
	return stat{int(n(1)), int(n(2)), n(11), n(12), n(13), n(14), n(19)}, nil
}

// tree is the server's process and all below it.
func (p *process) tree() []int {
	children := map[int][]int{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(name))
		if s, err := readStat(pid); err == nil {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	all := []int{p.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// cpu is the processor time of the whole tree, of children that ended and were waited for too. The
// kernel scales it from the time that it measures exactly, so its unit of 10 ms is all that is
// lost; where the threads' own figures agree with it, they are taken.
func (p *process) cpu() float64 {
	total := 0.0
	for _, pid := range p.tree() {
		if s, err := readStat(pid); err == nil {
			own := float64(s.user+s.system) / 100
			if exact := threadTime(pid); math.Abs(exact-own) < 0.02 {
				own = exact
			}
			total += own + float64(s.childUser+s.childSystem)/100
		}
	}
	return total
}

// threadTime sums the run time of the process's threads, in seconds. Of threads that have ended it
// knows nothing.
func threadTime(pid int) float64 {
	ns := int64(0)
	names, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat")
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			if f := bytes.Fields(b); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64)
				ns += n
			}
		}
	}
	return float64(ns) / 1e9
}

// pss is the memory of the tree, shared pages divided among those who share them.
func (p *process) pss() int64 {
	total := int64(0)
	for _, pid := range p.tree() {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
		for line := range bytes.Lines(b) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				n, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
				total += n << 10
			}
		}
	}
	return total
}

// raiseFiles lets this process have as many connections as the rows want.
func raiseFiles() {
	var lim unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &lim)
	lim.Cur = max(lim.Max, 65536)
	lim.Max = lim.Cur
	unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
}
