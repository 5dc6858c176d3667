package manual

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

func TestHelpShowsEveryOption(t *testing.T) {
	var b bytes.Buffer
	Help(&b)
	for _, name := range option.Names() {
		if !strings.Contains(b.String(), "--"+name) {
			t.Errorf("--%s is not in the help", name)
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
