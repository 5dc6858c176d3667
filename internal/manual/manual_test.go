package manual

import (
	"bytes"
	"io"
	"os/exec"
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
	for _, name := range optionName.FindAllString(b.String(), -1) {
		r, ok := option.Lookup(name[2:])
		if slices.ContainsFunc(Commands, func(c Command) bool { return strings.Contains(c.Args, name) }) {
			continue
		}
		if !ok || r.Standing != option.Supported {
			t.Errorf("%s is in the help and not obeyed", name)
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

// TestHelpAll: every option is there, those that are not obeyed behind all others.
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
		option.NoNeed:  strings.Index(b.String(), "\nAccepted, without effect\n"),
		option.Refused: strings.Index(b.String(), "\nNot offered\n"),
	}
	if from[option.NoNeed] < 0 || from[option.Refused] < from[option.NoNeed] {
		t.Fatalf("what is not obeyed stands at %v", from)
	}
	for _, r := range option.All() {
		for _, name := range r.Names() {
			at, ok := first["--"+name]
			switch {
			case !ok:
				t.Errorf("--%s is not in the help", name)
			case r.Standing == option.Supported && at > from[option.NoNeed]:
				t.Errorf("--%s is among what is not obeyed", name)
			case last["--"+name] < from[r.Standing]:
				t.Errorf("--%s is not among what is %s", name, r.Standing)
			}
		}
	}
}

func TestTopics(t *testing.T) {
	for name, want := range map[string][]string{
		"processes":       {"-p, --processes, --workers N\n", "default   1\n", "processes = 4\n", "uwsgi --processes 4\n", "UWSGI_PROCESSES=4"},
		"-p":              {"--processes"},
		"--harakiri-v":    {"--harakiri-verbose"},
		"disable-logging": {"default   false\n"},
		"reload":          {"uwsgi reload PIDFILE", "--reload PATH"},
		"--reload":        {"--reload PATH"},
		"status":          {"uwsgi list"},
		"thunder-lock":    {"accepted, without effect: "},
		"route":           {"not offered: "},
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
	for name, want := range map[string]string{"vaccum": "vacuum", "hara": "harakiri-verbose", "qqqqqq": "--help-all", "--": "--help-all"} {
		if err := Topic(io.Discard, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("help %s: %v, want a word of %s", name, err, want)
		}
	}
	for _, r := range option.All() {
		for _, name := range r.Names() {
			if err := Topic(io.Discard, "--"+name); err != nil {
				t.Errorf("help %s: %v", name, err)
			}
		}
	}
}

func TestManPagesAreRoff(t *testing.T) {
	for page, words := range map[string][]string{"uwsgi": {".TH UWSGI 1", `\-\-processes`, `\-\-reload\-stop\-first`}, "uwsgi.ini": {".TH UWSGI.INI 5", "%(name)", "zerg"}} {
		var b bytes.Buffer
		if err := Man(&b, page); err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s lacks %s", page, w)
			}
		}
		for i, line := range strings.Split(b.String(), "\n") {
			if strings.HasPrefix(line, "'") {
				t.Errorf("%s:%d begins with a quote, which roff takes for a request: %s", page, i+1, line)
			}
		}
	}
	if Man(&bytes.Buffer{}, "nothing") == nil {
		t.Error("there is a page called nothing")
	}
}

func TestCompletionIsBash(t *testing.T) {
	var b bytes.Buffer
	if err := Completion(&b, "bash"); err != nil {
		t.Fatal(err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	script := b.String() + "\nCOMP_WORDS=(uwsgi --harakiri-v); COMP_CWORD=1; _uwsgi; echo \"${COMPREPLY[@]}\"\n"
	cmd := exec.Command(bash, "--norc")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "--harakiri-verbose" {
		t.Errorf("%v: %q", err, out)
	}
	if Completion(&b, "fish") == nil {
		t.Error("there is completion for fish")
	}
}
