package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"uwsgi/internal/option"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// section is one "-- name --" part of a golden file.
type section struct{ name, text string }

func parseArchive(text string) (comment string, parts []section) {
	for _, line := range strings.SplitAfter(text, "\n") {
		trimmed := strings.TrimRight(line, "\n")
		if strings.HasPrefix(trimmed, "-- ") && strings.HasSuffix(trimmed, " --") && len(trimmed) > 6 {
			parts = append(parts, section{name: trimmed[3 : len(trimmed)-3]})
			continue
		}
		if len(parts) == 0 {
			comment += line
		} else {
			parts[len(parts)-1].text += line
		}
	}
	return comment, parts
}

// fakeHost is a machine whose files are given: names are relative to /srv/start or absolute.
func fakeHost(files map[string]string) Host {
	tree := fstest.MapFS{}
	for name, text := range files {
		if !filepath.IsAbs(name) {
			name = "/srv/start/" + name
		}
		tree[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	inside := func(path string) string {
		if p := strings.TrimPrefix(filepath.Clean(path), "/"); p != "" {
			return p
		}
		return "."
	}
	return Host{
		Getwd:    func() (string, error) { return "/srv/start", nil },
		ReadFile: func(p string) ([]byte, error) { return tree.ReadFile(inside(p)) },
		ReadDir:  func(p string) ([]fs.DirEntry, error) { return tree.ReadDir(inside(p)) },
		Stat:     func(p string) (fs.FileInfo, error) { return tree.Stat(inside(p)) },
		Lstat:    func(p string) (fs.FileInfo, error) { return tree.Stat(inside(p)) },
		Readable: func(p string) bool { _, err := tree.Stat(inside(p)); return err == nil },
		Realpath: func(p string) (string, error) { return filepath.Clean(p), nil },
		Glob: func(pattern string) ([]string, error) {
			found, err := tree.Glob(inside(pattern))
			for i, f := range found {
				found[i] = "/" + f
				if st, err := tree.Stat(f); err == nil && st.IsDir() {
					found[i] += "/"
				}
			}
			return found, err
		},
		Run:        func(command string) ([]byte, error) { return []byte("output of " + command + "\n"), nil },
		Fetch:      func(url string) ([]byte, error) { return nil, errors.New("no network in tests") },
		ReadFD:     func(fd int) ([]byte, error) { return tree.ReadFile(fmt.Sprintf("fd/%d", fd)) },
		LookupHost: func(name string) (string, error) { return "192.0.2.7", nil },
		Hostname:   func() (string, error) { return "web1.example", nil },
		User:       func() (int, string) { return 1000, "anna" },
		Group:      func() (int, string) { return 1000, "staff" },
		CPUs:       func() int { return 4 },
		Now:        func() time.Time { return time.Unix(1700000000, 0).UTC() },
		Executable: func() (string, error) { return "/usr/bin/uwsgi", nil },
		Version:    "2.0.30",
	}
}

// changed lists the fields of the settings that are not as Default leaves them, one a line.
func changed(t *testing.T, s *option.Settings) string {
	t.Helper()
	fields := func(s *option.Settings) map[string]json.RawMessage {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	was, is := fields(option.Default()), fields(s)
	var lines []string
	for name, value := range is {
		if name != "Opt" && name != "Magic" && !bytes.Equal(value, was[name]) {
			lines = append(lines, name+": "+string(value)+"\n")
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// TestGolden runs every testdata/*.txtar: the files of the archive, "args" (one a line) and
// "environ" go in; "error", "command", "pairs", "settings", "check" and "start" come out and are
// compared where they stand in the archive.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runGolden(t, name) })
	}
}

func runGolden(t *testing.T, name string) {
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	comment, parts := parseArchive(string(raw))
	files := map[string]string{}
	var args, environ []string
	outputs := map[string]bool{"error": true, "command": true, "pairs": true, "settings": true, "check": true,
		"json": true, "start": true}
	wanted := 0
	for _, p := range parts {
		switch {
		case p.name == "args":
			args = strings.Split(strings.TrimSuffix(p.text, "\n"), "\n")
		case p.name == "environ":
			environ = strings.Split(strings.TrimSuffix(p.text, "\n"), "\n")
		case outputs[p.name]:
			wanted++
		default:
			files[p.name] = strings.NewReplacer("<CR>", "\r", "<BOM>", bom, "<BOM16>",
				"\xff\xfe").Replace(strings.TrimSuffix(p.text, "<EOF>\n"))
		}
	}
	if wanted == 0 {
		t.Fatal("the archive expects nothing")
	}
	c, loadErr := Load(args, environ, fakeHost(files))
	got := map[string]string{}
	if loadErr != nil {
		got["error"] = loadErr.Error() + "\n"
	}
	got["command"] = strings.TrimSpace(string(c.Command)+" "+strings.Join(c.CommandArgs, " ")) + "\n"
	for _, p := range c.Pairs {
		got["pairs"] += p.Key + " = " + p.Value + "\n"
	}
	got["settings"] = changed(t, c.Settings)
	var check, asJSON strings.Builder
	exit := WriteCheck(&check, c, false)
	got["check"] = fmt.Sprintf("%sexit %d\n", check.String(), exit)
	WriteCheck(&asJSON, c, true)
	got["json"] = asJSON.String()
	if lines := c.StartReport(); lines != nil {
		got["start"] = strings.Join(lines, "\n") + "\n"
	}
	out := comment
	for _, p := range parts {
		text := p.text
		if outputs[p.name] {
			if got[p.name] != p.text && !*update {
				t.Errorf("%s is\n%swant\n%s", p.name, got[p.name], p.text)
			}
			text = got[p.name]
		}
		out += "-- " + p.name + " --\n" + text
	}
	if *update && out != string(raw) {
		if err := os.WriteFile(name, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
