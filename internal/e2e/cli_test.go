package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

var update = flag.Bool("update", false, "write what came out into testdata/cli")

// part is one "-- name --" of an archive.
type part struct{ name, text string }

func parseArchive(text string) (parts []part) {
	for _, line := range strings.SplitAfter(text, "\n") {
		if name := strings.TrimSuffix(line, "\n"); strings.HasPrefix(name, "-- ") && strings.HasSuffix(name, " --") {
			parts = append(parts, part{name: name[3 : len(name)-3]})
		} else if len(parts) > 0 {
			parts[len(parts)-1].text += line
		}
	}
	return parts
}

// varying is what differs from run to run, and what stands for it.
var varying = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`on \[\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\]`), "on [$$NOW]"},
	{regexp.MustCompile(`bound on 127\.0\.0\.1:\d+ fd \d+`), "bound on 127.0.0.1:$$PORT fd $$FD"},
	{regexp.MustCompile(`(?m)^\*\*\* WARNING: you are running uWSGI as root .*\n`), ""},
}

func tidy(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "$DIR")
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.by)
	}
	return text
}

// TestCommandLine runs every testdata/cli/*.txtar: "args" (one a line) is the command line; every
// other part but those that come out is a file. "exit", "stdout" and "stderr" are compared as they
// are, with $DIR for the folder; "stdout has" names lines that must be there.
func TestCommandLine(t *testing.T) {
	names, _ := filepath.Glob("testdata/cli/*.txtar")
	if len(names) == 0 {
		t.Fatal("no golden files")
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runArchive(t, name)
		})
	}
}

func runArchive(t *testing.T, name string) {
	s := harness.New(t)
	s.Setenv(harness.DebianPath)
	parts := parseArchive(readFile(t, name))
	var args []string
	for _, p := range parts {
		switch p.name {
		case "args":
			if p.text != "" {
				args = strings.Split(strings.TrimSuffix(p.text, "\n"), "\n")
			}
		case "exit", "stdout", "stderr", "stdout has":
		default:
			s.Write(p.name, p.text)
		}
	}
	cmd := s.Command(args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, ended := err.(*exec.ExitError); !ended {
			t.Fatal(err)
		}
	}
	got := map[string]string{"exit": itoa(cmd.ProcessState.ExitCode()) + "\n", "stdout": tidy(stdout.String(), s.Dir),
		"stderr": tidy(stderr.String(), s.Dir)}
	for i, p := range parts {
		if p.name == "stdout has" {
			for _, line := range strings.Split(strings.TrimSuffix(p.text, "\n"), "\n") {
				if !strings.Contains(stdout.String(), line+"\n") {
					t.Errorf("stdout has no line %q", line)
				}
			}
		} else if text, out := got[p.name]; out && text != p.text {
			parts[i].text = text
			if !*update {
				t.Errorf("%s:\n%s\nnot\n%s", p.name, text, p.text)
			}
		}
	}
	if *update {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString("-- " + p.name + " --\n" + p.text)
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
