package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoroutinesAreGuarded: a goroutine of the supervisor's process that panics ends it as
// internal/crash says; one that nobody guards would end it with its children left, or leave others
// waiting for it.
func TestGoroutinesAreGuarded(t *testing.T) {
	for _, dir := range []string{"alarm", "app", "control", "emperor", "keeper", "listen", "loader", "logging",
		"privilege", "sd", "supervisor"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, file, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: a goroutine that is not started by crash.Go", set.Position(n.Pos()))
				case *ast.CallExpr:
					f, ok := n.Fun.(*ast.SelectorExpr)
					if !ok || f.Sel.Name != "Go" && f.Sel.Name != "AfterFunc" || selects(f, "crash", "Go") {
						return true
					}
					last, ok := n.Args[len(n.Args)-1].(*ast.CallExpr)
					if !ok {
						t.Errorf("%s: a function that is not crash.Guarded", set.Position(n.Pos()))
						return true
					}
					if by, ok := last.Fun.(*ast.SelectorExpr); !ok || !selects(by, "crash", "Guarded") {
						t.Errorf("%s: a function that is not crash.Guarded", set.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func selects(f *ast.SelectorExpr, pkg, name string) bool {
	x, ok := f.X.(*ast.Ident)
	return ok && x.Name == pkg && f.Sel.Name == name
}
