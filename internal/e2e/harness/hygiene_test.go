package harness

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Everything that the server writes at error level is a complaint to the hygiene check: the
// standard error that the tests read shows no levels.
func TestErrorLevelIsAComplaint(t *testing.T) {
	verb := regexp.MustCompile(`%[+#]?\[?\d*\]?[a-z]`)
	found := 0
	for _, pkg := range []string{"supervisor", "loader", "app", "control", "emperor"} {
		files, _ := filepath.Glob(filepath.Join(Root(), "internal", pkg, "*.go"))
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) < 3 || !isErrorLevel(call.Args[0]) {
					return true
				}
				found++
				event, text := literal(call.Args[1]), literal(call.Args[2])
				line := verb.ReplaceAllString(text, "1")
				switch event {
				case "start.failed": // a test that waits for the start sees that
					return true
				case "worker.unsignalled", "attendant.unsignalled":
					line = "send signal 9 to process 1: operation not permitted" // loader.process
				case "worker.traceback":
					line = "Traceback (most recent call last):"
				case "attendant.failed":
					line = "spooler 1 (pid: 1): it ended"
				case "attendant.died": // the words are its kind's
					line = "OOOPS the spooler is no more"
				}
				if strings.HasSuffix(event, "harakiri") || event == "" && filepath.Base(file) == "harakiri.go" {
					// all of them have the word; most are built in logHarakiri, which names the
					// event by a variable
					line = "HARAKIRI " + line
				}
				if !complaint.MatchString(line) {
					t.Errorf("%s: event %q: %q is at error level and no complaint", file, event, text)
				}
				return true
			})
		}
	}
	if found < 10 {
		t.Errorf("%d messages at error level were found", found)
	}
}

func isErrorLevel(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "LevelError"
}

// literal is the first string in an expression.
func literal(e ast.Expr) (text string) {
	ast.Inspect(e, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && text == "" {
			text, _ = strconv.Unquote(lit.Value)
		}
		return true
	})
	return text
}

// What Go's runtime writes when it ends a process is one complaint, in whatever pieces it comes; a
// list of goroutines that nothing announces is one, too.
func TestADumpIsOneComplaint(t *testing.T) {
	stack := []string{"goroutine 1 gp=0x1 m=0 [syscall]:", "runtime.gopark({})", "Fatal Python error: Aborted",
		"\truntime/panic.go:1229 +0x4a", "goroutine 24 gp=0x2 m=4 [running]:"}
	got := complaints(append([]string{"fatal error: runtime: netpoll failed"}, stack...))
	if want := []string{"fatal error: runtime: netpoll failed", "Fatal Python error: Aborted"}; !slices.Equal(got,
		want) {
		t.Errorf("complaints: %q, want %q", got, want)
	}
	if got := complaints(stack); len(got) != 4 {
		t.Errorf("complaints without a first line: %q", got)
	}
}
