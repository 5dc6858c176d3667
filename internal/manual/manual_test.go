package manual

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"uwsgi/internal/option"
)

var optionName = regexp.MustCompile(`--[a-zA-Z][\w-]*`)

// TestHelpIsOneScreen: of a terminal of 80 columns, with thirty options or more that exist and are
// obeyed.
func TestHelpIsOneScreen(t *testing.T) {
	var b bytes.Buffer
	Help(&b)
	if n := strings.Count(b.String(), "\n"); n > 50 {
		t.Errorf("the help has %d lines", n)
	}
	narrow(t, b.String())
	seen := map[string]bool{}
	_, options, _ := strings.Cut(b.String(), "\nOptions ") // above it are those of commands
	for _, name := range optionName.FindAllString(options, -1) {
		r, ok := option.Lookup(name[2:])
		if !ok || r.Standing != option.Honoured {
			t.Errorf("%s is in the help and not honoured", name)
		}
		seen[name] = true
	}
	if len(seen) < 30 {
		t.Errorf("the help has %d options only", len(seen))
	}
}

func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestHelpAll: every option is there, those that are not honoured behind all others.
func TestHelpAll(t *testing.T) {
	var b bytes.Buffer
	HelpAll(&b)
	narrow(t, b.String())
	first, last := map[string]int{}, map[string]int{} // where each name stands
	for _, at := range optionName.FindAllStringIndex(b.String(), -1) {
		name := b.String()[at[0]:at[1]]
		if _, seen := first[name]; !seen {
			first[name] = at[0]
		}
		last[name] = at[0]
	}
	from := map[option.Standing]int{
		option.NotNeeded: strings.Index(b.String(), "\nNot needed\n"),
		option.Refused:   strings.Index(b.String(), "\nRefused\n"),
	}
	if from[option.NotNeeded] < 0 || from[option.Refused] < from[option.NotNeeded] {
		t.Fatalf("what is not honoured stands at %v", from)
	}
	for _, r := range option.All() {
		for _, name := range r.Names() {
			at, ok := first["--"+name]
			switch {
			case !ok:
				t.Errorf("--%s is not in the help", name)
			case r.Standing == option.Honoured && at > from[option.NotNeeded]:
				t.Errorf("--%s is among what is not honoured", name)
			case last["--"+name] < from[r.Standing]:
				t.Errorf("--%s is not among what is %s", name, r.Standing)
			}
		}
	}
}

// told is a default in a help text.
var told = regexp.MustCompile(`\([0-9]+\)`)

func TestTopics(t *testing.T) {
	for name, want := range map[string][]string{
		"processes":       {"-p, --processes, --workers N\n", "default   1\n", "processes = 4\n", "uwsgi --processes 4\n", "UWSGI_PROCESSES=4"},
		"-p":              {"--processes"},
		"--harakiri-v":    {"--harakiri-verbose"},
		"disable-logging": {"default   false\n"},
		"http":            {"default   127.0.0.1:8000, where an application is named and no socket\n"},
		"home":            {"default   the virtualenv that uwsgi lies in"},
		"pidfile":         {"default   not set\n"},
		"reload":          {"uwsgi reload PIDFILE", "--reload PATH"},
		"--reload":        {"--reload PATH"},
		"status":          {"uwsgi list"},
		"thunder-lock":    {"not needed: "},
		"route":           {"refused: "},
		"static-expires":  {`uwsgi --static-expires '/css/.* 3600'`},
		"if-env":          {"if-env = DEBUG=1\n", "endif ="},
	} {
		var b bytes.Buffer
		if err := Topic(&b, name); err != nil {
			t.Errorf("help %s: %v", name, err)
		}
		for _, w := range want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("help %s has no %q:\n%s", name, w, b.String())
			}
		}
	}
	for name, want := range map[string]string{"vaccum": "vacuum", "hara": "harakiri-verbose",
		"qqqqqq": "--help-all", "--": "--help-all"} {
		if err := Topic(io.Discard, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("help %s: %v, want a word of %s", name, err, want)
		}
	}
	for _, r := range option.All() {
		for _, name := range r.Names() {
			var b bytes.Buffer
			if err := Topic(&b, "--"+name); err != nil {
				t.Errorf("help %s: %v", name, err)
			}
			if !r.Repeat && told.MatchString(r.Help) && strings.Contains(b.String(), "not set\n") {
				t.Errorf("help %s tells a default and says that it is not set", name)
			}
		}
	}
}

func TestManPagesAreRoff(t *testing.T) {
	for page, words := range map[string][]string{"uwsgi": {".TH UWSGI 1", `\-\-processes`, `\-\-reload\-stop\-first`,
		".SH EXAMPLES", ".SH FILES", ".SH SIGNALS", ".SH EXIT STATUS", ".B init"}, "uwsgi.ini": {".TH UWSGI.INI 5", "%(name)", "zerg", ".SH EXAMPLES", ".SH FILES"}} {
		var b bytes.Buffer
		if err := Man(&b, page); err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s lacks %s", page, w)
			}
		}
		asWritten := false // filled by nobody: it is as wide as it is, on terminals of 80 columns too
		for i, line := range strings.Split(b.String(), "\n") {
			asWritten = line == ".nf" || asWritten && line != ".fi"
			if text := strings.NewReplacer(`\-`, "-", `\e`, `\`).Replace(line); asWritten && len(text) > 80-2*7 {
				t.Errorf("%s:%d is %d columns wide, indented twice: %s", page, i+1, len(text)+2*7, text)
			}
			if strings.HasPrefix(line, "'") {
				t.Errorf("%s:%d begins with a quote, which roff takes for a request: %s", page, i+1, line)
			}
		}
	}
	if Man(&bytes.Buffer{}, "nothing") == nil {
		t.Error("there is a page called nothing")
	}
}

// completions are what is written on a line, and what is offered for its last word in a folder
// with these files.
var (
	completionFiles = []string{"a file.ini", "b.yaml", "c.txt", "app.py", "mysite/wsgi.py", "x.pid"}
	completions     = map[string]string{
		"uwsgi --harakiri-v":    "--harakiri-verbose",
		"uwsgi --ini a":         "a file.ini",
		"uwsgi --ini c":         "",
		"uwsgi --ini=a":         "a file.ini",
		"uwsgi --chdir=":        "mysite",
		"uwsgi --uid=roo":       "root",
		"uwsgi rel":             "reload",
		"uwsgi --module ":       "app mysite.wsgi",
		"uwsgi --uid roo":       "root",
		"uwsgi --gid roo":       "root",
		"uwsgi --protocol sc":   "scgi scgi-nph",
		"uwsgi --chdir ":        "mysite",
		"uwsgi --processes ":    "",
		"uwsgi --stop ":         "mysite x.pid",
		"uwsgi comp":            "completion",
		"uwsgi a":               "a file.ini app.py",
		"uwsgi check b":         "b.yaml",
		"uwsgi reload ":         "mysite x.pid",
		"uwsgi help harakiri-v": "harakiri-verbose",
		"uwsgi completion ":     "bash fish zsh",
		"uwsgi --master --chd":  "--chdir --chdir2",
		"uwsgi --logto c":       "c.txt",
	}
)

// TestCompletion asks each shell that is here.
func TestCompletion(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	for _, f := range completionFiles {
		path := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for shell, ask := range map[string]func(line string) []string{
		"bash": func(line string) []string {
			words := strings.Fields(strings.ReplaceAll(line, "=", " = ")) // COMP_WORDBREAKS
			if strings.HasSuffix(line, " ") {
				words = append(words, "")
			}
			return append([]string{"--norc", "-c", `. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _uwsgi; printf '%s\n' "${COMPREPLY[@]}"`,
				filepath.Join(dir, ".script")}, words...)
		},
		"fish": func(line string) []string {
			return []string{"--no-config", "-c", "source " + filepath.Join(dir, ".script") +
				"; complete -C '" + line + "'"}
		},
	} {
		bin, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here", shell)
			continue
		}
		var script bytes.Buffer
		if err := Completion(&script, shell); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".script"), script.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		for line, want := range completions {
			cmd := exec.Command(bin, ask(line)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
			out, err := cmd.CombinedOutput()
			var got []string
			for text := range strings.Lines(string(out)) {
				text, _, _ = strings.Cut(strings.TrimSpace(text), "\t") // fish adds what it is
				if option, value, ok := strings.Cut(text, "="); ok && strings.HasPrefix(option, "--") {
					text = value
				}
				if text = strings.TrimRight(text, "/"); text != "" && !strings.HasPrefix(text, ".") {
					got = append(got, text)
				}
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); err != nil || text != want {
				t.Errorf("%s: %s<TAB> is %q, want %q (%v)", shell, line, text, want, err)
			}
		}
	}
	if Completion(io.Discard, "tcsh") == nil {
		t.Error("there is completion for tcsh")
	}
}

// TestZshCompletion: the script is read without a complaint, has every option, and offers what fits
// where TAB is pressed.
func TestZshCompletion(t *testing.T) {
	var script bytes.Buffer
	if err := Completion(&script, "zsh"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{".script": script.String(), "a file.ini": "", "c.txt": "", "x.pid": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"#compdef uwsgi\n", `'*--ini=[read an ini file]:file:_files -g "*.ini"'`,
		`'*--uid=[`, `:_users'`, `'*--master[`, `'*-p+[`, "'check:judge"} {
		if !strings.Contains(script.String(), line) {
			t.Errorf("the script has no %s", line)
		}
	}
	zsh, err := exec.LookPath("zsh")
	if err != nil {
		t.Log("zsh is not here")
		return
	}
	press, err := filepath.Abs("testdata/press.zsh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(zsh, "-f", "-n")
	cmd.Stdin = &script
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for line, want := range map[string]string{"uwsgi --ini ": "a file.ini", "uwsgi --ini=": "a file.ini",
		"uwsgi rel": "reload", "uwsgi --uid roo": "root", "uwsgi reload ": "x.pid"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(zsh, "-f", press, ".script", line)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%s<TAB> is %q, want %q (%v)", line, out, want, err)
			}
		})
	}
}

// TestOffersAreOfOptions: what is said about an option's value is of one that there is.
func TestOffersAreOfOptions(t *testing.T) {
	for name := range byName {
		if r, ok := option.Lookup(name); !ok || r.Name != name {
			t.Errorf("there is no option %s", name)
		}
	}
	for name := range byCommand {
		if c := command(name); c == nil || c.Name != name {
			t.Errorf("there is no command %s", name)
		}
	}
}
