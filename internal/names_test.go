package internal_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/logging"
	"uwsgi/internal/option"
	"uwsgi/internal/wire"
)

// sources are the texts of files by path; none of a test.
func sources(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(path, "_test.go") {
				out[path] = string(text)
			}
		}
	}
	return out
}

// found are the first groups of all matches, sorted, each once.
func found(texts map[string]string, pattern string) []string {
	var out []string
	re := regexp.MustCompile(pattern)
	for _, text := range texts {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ops are the values of the constants in internal/wire/ops.go.
func ops(t *testing.T) []string {
	return found(sources(t, "wire/ops.go"), `Op\w+\s+= "(\w+)"`)
}

// TestOps: what is said on the wires is declared in one place, and both ends know the words: those
// written in Go are constants, so what is left is Python, the document and who says them at all.
func TestOps(t *testing.T) {
	declared := ops(t)
	if len(declared) < 20 {
		t.Fatalf("only %d are declared: %q", len(declared), declared)
	}
	python := sources(t, "python/*.py")
	spoken := found(python, `(?:"op": |[._]tell\()"(\w+)"`)
	heard := found(python, `message\["op"\] == "(\w+)"`)
	if !slices.Contains(spoken, wire.OpForked) || !slices.Contains(heard, wire.OpFork) {
		t.Fatalf("Python says %q and hears %q", spoken, heard)
	}
	for _, op := range append(spoken, heard...) {
		if !slices.Contains(declared, op) {
			t.Errorf("internal/python: %q is no word of the wire", op)
		}
	}
	for _, op := range found(sources(t, "loader/doc.go"), `"op":"(\w+)"`) {
		if !slices.Contains(declared, op) {
			t.Errorf("loader/doc.go: %q is no word of the wire", op)
		}
	}
	document := found(sources(t, "loader/doc.go"), `"op":"(\w+)"`)
	golang := sources(t, "loader/*.go", "dataplane/*.go", "supervisor/signals.go")
	said := found(golang, `Op: +wire\.Op(\w+)`)
	understood := found(golang, `case (?:wire\.Op\w+, )?wire\.Op(\w+)`)
	understood = append(understood, found(golang, `case wire\.Op(\w+),`)...)
	values := map[string]string{}
	for _, m := range regexp.MustCompile(`Op(\w+)\s+= "(\w+)"`).FindAllStringSubmatch(sources(t,
		"wire/ops.go")["wire/ops.go"], -1) {
		values[m[1]] = m[2]
	}
	for name, op := range values {
		if !slices.Contains(said, name) && !slices.Contains(spoken, op) {
			t.Errorf("nobody says %q", op)
		}
		if !slices.Contains(understood, name) && !slices.Contains(heard, op) {
			t.Errorf("nobody hears %q", op)
		}
		if !slices.Contains(document, op) {
			t.Errorf("loader/doc.go does not tell of %q", op)
		}
	}
	for _, literal := range found(golang, `(?:Op: |case )"(\w+)"`) {
		if slices.Contains(declared, literal) {
			t.Errorf("a word of the wire is written out in Go: %q", literal)
		}
	}
}

// TestProtocols: what a protocol is called stands where its options are and where its row is
// (dataplane/protocol.go); else only names of options do.
func TestProtocols(t *testing.T) {
	for path, text := range sources(t, "*/*.go", "*/*/*.go", "../cmd/*/*.go", "../cmd/*/*.c", "python/*.py") {
		if strings.HasPrefix(path, "option/") || path == "dataplane/protocol.go" || strings.HasPrefix(path, "e2e/") {
			continue
		}
		if names := found(map[string]string{path: text}, `"((?:fastcgi|scgi)(?:-nph)?|http11)"`); len(names) > 0 {
			t.Errorf("%s names %q: what a protocol is like stands in dataplane/protocol.go and option/sockets.go", path,
				names)
		}
	}
}

// TestEvents: every event that is logged is in the table of package logging, and every one in the
// table is logged.
func TestEvents(t *testing.T) {
	texts := sources(t, "supervisor/*.go", "emperor/*.go", "app/*.go")
	logged := found(texts, `\.(?:log|logProcess|logAttendant|logf|Log|Event|event)\((?:slog\.Level\w+|level), "([\w.]+)"`)
	logged = append(logged, found(texts, `event(?:, \w+)? :?= "([\w.]+)"`)...)
	if len(logged) < 40 {
		t.Fatalf("only %d events were found: %q", len(logged), logged)
	}
	for _, event := range logged {
		if !logging.Known(event) {
			t.Errorf("%s is logged and not in the table of package logging", event)
		}
	}
	var all strings.Builder
	for _, text := range texts {
		all.WriteString(text)
	}
	for _, event := range logging.Events() {
		if !strings.Contains(all.String(), `"`+event+`"`) {
			t.Errorf("%s is in the table of package logging and nobody logs it", event)
		}
	}
}

// TestPythonReadsWhatThereIs: a key that Python reads of the boot document is a field of it.
func TestPythonReadsWhatThereIs(t *testing.T) {
	texts := sources(t, "python/*.py")
	for name, typ := range map[string]reflect.Type{
		"settings": reflect.TypeFor[option.Settings](), "boot": reflect.TypeFor[wire.Boot](),
		"hook": reflect.TypeFor[option.Hook](), "listener": reflect.TypeFor[wire.Listener](),
	} {
		keys := found(texts, `\b`+name+`(?:\[|\.get\()"([A-Z]\w*)"`)
		if len(keys) == 0 {
			t.Errorf("Python reads nothing of %s", name)
		}
		for _, key := range keys {
			if _, ok := typ.FieldByName(key); !ok {
				t.Errorf("Python reads %s[%q], and %v has no such field", name, key, typ)
			}
		}
	}
	for _, key := range found(texts, `for \w+ in \(\s*("\w+"(?:, "\w+")*)\)\)`) {
		for _, k := range strings.Split(strings.ReplaceAll(key, `"`, ""), ", ") {
			if _, ok := reflect.TypeFor[option.Settings]().FieldByName(k); !ok && k[0] >= 'A' && k[0] <= 'Z' {
				t.Errorf("Python reads settings[%q], and there is no such field", k)
			}
		}
	}
}

// TestHookPhases: a phase that an option names is run: by the supervisor, or by a worker, in
// Python.
func TestHookPhases(t *testing.T) {
	python := found(sources(t, "python/uwsgi_worker.py", "python/uwsgi_mule.py"), `"((?:post-fork|accepting|as-)[\w-]*)"`)
	for _, phase := range option.WorkerPhases {
		if !slices.Contains(python, phase) {
			t.Errorf("no worker runs the hooks of phase %s", phase)
		}
	}
	for _, phase := range python {
		if !slices.Contains(option.WorkerPhases, phase) {
			t.Errorf("a worker runs hooks of phase %s, which no option has", phase)
		}
	}
	run := found(sources(t, "supervisor/*.go", "app/*.go", "hooks/*.go"), `option\.(Phase\w+)`)
	declared := found(sources(t, "option/hooks.go"), `(Phase\w+)\s+= "`)
	if !slices.Equal(run, declared) {
		t.Errorf("declared are %q, and run are %q", declared, run)
	}
}

// TestHookActionsOfWorkers: an action that an option takes is one that whoever runs it knows.
func TestHookActionsOfWorkers(t *testing.T) {
	texts := sources(t, "python/uwsgi_hooks.py")
	_, table, _ := strings.Cut(texts["python/uwsgi_hooks.py"], "_actions = {")
	table, _, _ = strings.Cut(table, "\n}")
	known := found(map[string]string{"": table}, `"(\w+)": `)
	for _, action := range option.HookActions {
		if !slices.Contains(known, action) && action != "unix_signal" { // the supervisor's alone
			t.Errorf("a worker does not know the action %s", action)
		}
	}
	for _, action := range known {
		if !slices.Contains(option.HookActions, action) {
			t.Errorf("a worker knows the action %s, which no option takes", action)
		}
	}
}
