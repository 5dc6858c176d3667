package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Host is what a configuration can learn from the machine it is read on. Every field must be set;
// [OSHost] sets them all.
type Host struct {
	Getwd      func() (string, error)
	ReadFile   func(path string) ([]byte, error)
	ReadDir    func(path string) ([]fs.DirEntry, error)
	Stat       func(path string) (fs.FileInfo, error)
	Lstat      func(path string) (fs.FileInfo, error)
	Readable   func(path string) bool                   // access(R_OK)
	Realpath   func(path string) (string, error)        // all links followed
	Glob       func(pattern string) ([]string, error)   // folders end in "/"
	Run        func(command string) ([]byte, error)     // output of /bin/sh -c command, for exec://
	Fetch      func(url string) ([]byte, error)         // body of an http:// URL
	ReadFD     func(descriptor int) ([]byte, error)     // all of an open descriptor, for fd:// and "-"
	LookupHost func(name string) (ipv4 string, _ error) // for resolve
	Hostname   func() (string, error)
	User       func() (id int, name string) // of this process
	Group      func() (id int, name string)
	CPUs       func() int // online
	Now        func() time.Time
	Executable func() (string, error)
	Version    string // of this program, for %V
}

// OSHost is the machine this program runs on.
func OSHost() Host {
	return Host{
		Getwd:      os.Getwd,
		ReadFile:   os.ReadFile,
		ReadDir:    os.ReadDir,
		Stat:       os.Stat,
		Lstat:      os.Lstat,
		Readable:   readable,
		Realpath:   filepath.EvalSymlinks,
		Glob:       glob,
		Run:        func(command string) ([]byte, error) { return run("", command) },
		Fetch:      fetch,
		ReadFD:     readFD,
		LookupHost: lookupHost,
		Hostname:   os.Hostname,
		User: func() (int, string) {
			id := os.Getuid()
			if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
				return id, u.Username
			}
			return id, strconv.Itoa(id)
		},
		Group: func() (int, string) {
			id := os.Getgid()
			if g, err := user.LookupGroupId(strconv.Itoa(id)); err == nil {
				return id, g.Name
			}
			return id, strconv.Itoa(id)
		},
		CPUs:       runtime.NumCPU,
		Now:        time.Now,
		Executable: os.Executable,
		Version:    "2.0",
	}
}

func readable(path string) bool {
	const readOK = 4                           // R_OK
	return syscall.Access(path, readOK) == nil // opening a pipe would wait for its writer
}

func glob(pattern string) ([]string, error) {
	paths, err := filepath.Glob(pattern)
	for i, p := range paths {
		if st, err := os.Stat(p); err == nil && st.IsDir() && !strings.HasSuffix(p, "/") {
			paths[i] = p + "/"
		}
	}
	return paths, err
}

// In is the host as one sees it whose working directory is dir. reach is dir, or "" where it cannot
// be entered: commands run in the working directory then.
func (h Host) In(dir, reach string) Host {
	below := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	from := h
	h.Getwd = func() (string, error) { return dir, nil }
	h.ReadFile = func(path string) ([]byte, error) { return from.ReadFile(below(path)) }
	h.ReadDir = func(path string) ([]fs.DirEntry, error) { return from.ReadDir(below(path)) }
	h.Stat = func(path string) (fs.FileInfo, error) { return from.Stat(below(path)) }
	h.Lstat = func(path string) (fs.FileInfo, error) { return from.Lstat(below(path)) }
	h.Readable = func(path string) bool { return from.Readable(below(path)) }
	h.Realpath = func(path string) (string, error) { return from.Realpath(below(path)) }
	h.Run = func(command string) ([]byte, error) { return run(reach, command) }
	h.Glob = func(pattern string) ([]string, error) {
		paths, err := from.Glob(below(pattern))
		if !filepath.IsAbs(pattern) {
			for i, p := range paths {
				paths[i] = strings.TrimPrefix(p, strings.TrimSuffix(dir, "/")+"/")
			}
		}
		return paths, err
	}
	return h
}

func run(dir, command string) ([]byte, error) {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", command, err)
	}
	return out, nil
}

// readFD reads a duplicate, so that the descriptor stays open for whoever else was given it.
func readFD(fd int) ([]byte, error) {
	return os.ReadFile("/proc/self/fd/" + strconv.Itoa(fd))
}

func lookupHost(name string) (string, error) {
	ips, err := net.LookupIP(name)
	if err != nil {
		return "", err
	}
	for _, ip := range ips {
		if v4 := ip.To4(); v4 != nil {
			return v4.String(), nil
		}
	}
	return "", fmt.Errorf("%s has no IPv4 address", name)
}

// fetchTimeout bounds a configuration read over the network.
const fetchTimeout = 10 * time.Second

// fetchLimit bounds its size.
const fetchLimit = 16 << 20

// fetch speaks the little HTTP/1.0 that uWSGI speaks here; net/http would be the biggest part of
// the program.
func fetch(url string) ([]byte, error) {
	rest, ok := strings.CutPrefix(url, "http://")
	if !ok {
		return nil, fmt.Errorf("fetch %s: only http:// is read", url)
	}
	host, path, _ := strings.Cut(rest, "/")
	addr := host
	if _, _, err := net.SplitHostPort(host); err != nil {
		addr = net.JoinHostPort(host, "80")
	}
	conn, err := net.DialTimeout("tcp", addr, fetchTimeout)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(fetchTimeout)); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	name, _ := os.Hostname()
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.0\r\nHost: %s\r\nUser-Agent: uWSGI on %s\r\n\r\n", path, host,
		name); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	all, err := io.ReadAll(io.LimitReader(conn, fetchLimit))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	head, body, ok := bytes.Cut(all, []byte("\r\n\r\n"))
	if !ok {
		return nil, fmt.Errorf("fetch %s: %w", url, errors.New("no HTTP response"))
	}
	status, _, _ := strings.Cut(string(head), "\r\n")
	if fields := strings.Fields(status); len(fields) < 2 || fields[1] != "200" {
		return nil, fmt.Errorf("fetch %s: answered %q", url, status)
	}
	return body, nil
}
