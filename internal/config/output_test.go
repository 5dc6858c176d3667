package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

func TestShowConfig(t *testing.T) {
	c, err := Load([]string{"--master", "--http", ":80", "--show-config"}, nil, fakeHost(nil))
	if err != nil || !c.ShowConfig || c.Command != Serve {
		t.Fatalf("%v %v %v", err, c.ShowConfig, c.Command)
	}
	var b bytes.Buffer
	c.WriteShowConfig(&b)
	want := "\n;uWSGI instance configuration\n[uwsgi]\nmaster = true\nhttp = :80\nshow-config = " +
		"true\n;end of configuration\n\n"
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestSubcommands(t *testing.T) {
	for args, want := range map[string]Command{"list": List, "status": List, "completion bash": Completion,
		"man uwsgi.ini": Man, "--help": Help, "-h": Help,
		"--version": Version, "--dump-options": DumpOptions, "--python-version": PythonVersion, "--pyrun x.py": Pyrun, "--no-server": Serve,
		"--connect-and-read :1": ConnectAndRead, "--extract x": ExtractSource, "--resume x": Pause, "check": Check} {
		c, err := Load(strings.Fields(args), nil, fakeHost(nil))
		if err != nil || c.Command != want {
			t.Errorf("%s is %s, want %s (%v)", args, c.Command, want, err)
		}
	}
}

// TestErrorsAreTyped: a caller can take file, line, name and advice apart.
func TestErrorsAreTyped(t *testing.T) {
	_, err := Load([]string{"x.ini"}, nil, fakeHost(map[string]string{"x.ini": "[uwsgi]\nsocket==0.0.0.0:8000\n"}))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 1 {
		t.Fatalf("not one joined error: %v", err)
	}
	e, ok := joined.Unwrap()[0].(*option.Error)
	if !ok || e.File != "x.ini" || e.Line != 2 || e.Name != "socket" || e.Hint != "write socket = 0.0.0.0:8000" {
		t.Errorf("got %#v", e)
	}
}

// TestOSHost reads real files: links, folders, pipes of commands, magic paths.
func TestOSHost(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ini := write("site.ini", "[uwsgi]\nchdir = %d\npidfile = %d%n.pid\nenv = A=@(exec://echo hi)\nenv = "+
		"B=%i\nfor-glob = %d*.txt\nenv = F=%(_)\nendfor=\n"+
		"if-exists = %dnone\nthreads = 9\nendif=\nprocname = %U\n")
	write("a.txt", "")
	link := filepath.Join(dir, "link.ini")
	if err := os.Symlink(ini, link); err != nil {
		t.Fatal(err)
	}
	c, err := Load([]string{"--ini", link}, os.Environ(), OSHost())
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings
	if s.Chdir != dir+"/" || s.Pidfile != dir+"/link.pid" || s.Threads != 1 || s.Name != "link" || s.Procname == "" {
		t.Errorf("chdir %q, pidfile %q, threads %d, name %q, procname %q", s.Chdir, s.Pidfile,
			s.Threads, s.Name, s.Procname)
	}
	if len(s.Env) != 3 || s.Env[0].Value != "hi" || s.Env[1].Value == "" || s.Env[2].Value != dir+"/a.txt" {
		t.Errorf("env %v", s.Env)
	}
	if _, err := Extract(OSHost(), "fd://999"); err == nil {
		t.Error("descriptor 999 was read")
	}
	if text, err := Extract(OSHost(), ini); err != nil || len(text) == 0 {
		t.Errorf("extract: %v", err)
	}
}
